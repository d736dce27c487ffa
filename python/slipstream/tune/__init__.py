"""Searching for how a model runs best on this machine."""
