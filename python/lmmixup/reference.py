"""Plain NumPy truth of every operation: slow, obvious, and what the tests compare with."""
