"""Models: from a file on disk to an artifact and a manifest, without trusting the file."""
