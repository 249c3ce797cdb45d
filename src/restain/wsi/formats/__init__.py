"""File formats of slides: one module each, one class each, all of them a ``Source``."""
