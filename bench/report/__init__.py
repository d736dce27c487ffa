"""One self-contained HTML page and its plots, from a result file: ``python -m bench report``."""
