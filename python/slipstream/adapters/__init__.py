"""Adapters: one file per model library; what it saved becomes something slipstream can serve."""
