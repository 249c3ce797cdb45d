"""Intervals, tests, agreement and ranks."""
