"""What speech children do: one module a kind, with ``open_worker(options)``.

Only children import them, and they alone import the libraries.
"""
