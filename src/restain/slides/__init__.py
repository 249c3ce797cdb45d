"""Whole slides: reading them at a scale, finding tissue, staining without seams, writing pyramids, checking files."""
