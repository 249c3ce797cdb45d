"""Alignment: how one picture of a tissue lies against another, as mathematics on arrays. No files, no slides, no torch."""
