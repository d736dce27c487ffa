"""The typed Python face of ``slipstream._engine``: the only package that imports it."""
