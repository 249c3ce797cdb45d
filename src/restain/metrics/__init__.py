"""What is measured on real and virtual stains: measures of an image, scores of a set, and how certain they are."""

from restain.metrics.catalogue import CATALOGUE, explain, select_metrics
from restain.metrics.metric import Estimate, Metric, estimate
from restain.metrics.protocols import PROTOCOLS, Protocol, find_protocol
from restain.metrics.statistics.bootstrap import NotComputed

__all__ = [
    "CATALOGUE",
    "PROTOCOLS",
    "Estimate",
    "Metric",
    "NotComputed",
    "Protocol",
    "estimate",
    "explain",
    "find_protocol",
    "select_metrics",
]
