"""What became of one record, through every stage, in both directions."""

from lmmixup.explain.story import Chapter, explain

__all__ = ["Chapter", "explain"]
