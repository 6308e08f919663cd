"""The peers at their best settings, and lmmixup, each behind the same kind of function."""
