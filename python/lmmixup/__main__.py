"""`python -m lmmixup` is `lmmixup`."""

from lmmixup.cli import main

main()
