"""The command line: one file per command, dispatched by `slipstream.cli.main`."""
