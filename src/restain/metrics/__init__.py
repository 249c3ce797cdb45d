"""What is measured on real and virtual stains: measures of an image, figures of a set, and how sure they are."""

from restain.metrics.bootstrap import NotComputed
from restain.metrics.estimate import Estimate, Metric, estimate
from restain.metrics.protocols import PROTOCOLS, Protocol, find_protocol
from restain.metrics.registry import METRICS

__all__ = ["METRICS", "PROTOCOLS", "Estimate", "Metric", "NotComputed", "Protocol", "estimate", "find_protocol"]
