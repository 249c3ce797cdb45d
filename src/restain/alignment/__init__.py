"""Alignment: how one picture of a tissue lies against another; mathematics on arrays, no files, no slides, no torch."""
