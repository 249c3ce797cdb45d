"""The one HTML page a pathologist looks at, made from the files that a run and an evaluation left behind."""

from restain.reporting.page import report

__all__ = ["report"]
