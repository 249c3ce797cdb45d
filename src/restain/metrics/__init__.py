"""What is measured on real and virtual stains: measures of an image, figures of a set, and how sure they are."""

from restain.metrics.metric import Estimate, Metric, estimate
from restain.metrics.protocols import PROTOCOLS, Protocol, find_protocol
from restain.metrics.registry import METRICS
from restain.metrics.statistics.bootstrap import NotComputed

__all__ = ["METRICS", "PROTOCOLS", "Estimate", "Metric", "NotComputed", "Protocol", "estimate", "find_protocol"]
