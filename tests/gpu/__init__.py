"""What only a GPU can show: ``pytest -m gpu tests/gpu``; elsewhere it all skips, and says why."""
