"""Checking a slide file with every reader that is installed."""
