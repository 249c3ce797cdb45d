"""Whole-slide image files: reading at a physical resolution, finding tissue, writing, checking. No torch."""
