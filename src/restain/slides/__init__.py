"""Whole slides: reading at a physical resolution, finding tissue, staining without seams, writing, checking."""
