"""One module per section of the document of the endpoints at the root."""
