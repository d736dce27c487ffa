"""The gate: a tree model served by the forest backend decides as the library that trained it."""
