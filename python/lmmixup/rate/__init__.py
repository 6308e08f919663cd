"""Ratings for records."""
