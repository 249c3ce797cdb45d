"""Virtual tissue: image pairs, H&E and IHC, whose truth is known to the last cell."""

from restain.data.phantom.dataset import phantom
from restain.data.phantom.options import Consecutive, PhantomOptions

__all__ = ["Consecutive", "PhantomOptions", "phantom"]
