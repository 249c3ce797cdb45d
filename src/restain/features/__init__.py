"""What trained networks see in real and virtual stains: frozen extractors, a cache, and the metrics made of them."""

from restain.features.figures import SetFigure
from restain.features.measurement import LearnedMetrics
from restain.metrics.learned import LEARNED

__all__ = ["LEARNED", "LearnedMetrics", "SetFigure"]
