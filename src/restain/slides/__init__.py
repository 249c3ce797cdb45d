"""Whole slides stained without seams: tiles, statistics, the pipeline and its journal."""
