"""What the tidy tests (test_tidy*.py) measure the tree with."""
