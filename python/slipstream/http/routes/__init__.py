"""Endpoints, one file per area, and the table that gives each its path.

A new endpoint is a function here and a row in `table`.
"""
