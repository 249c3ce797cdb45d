"""Virtual tissue: image pairs, H&E and IHC, whose truth is known to the last cell."""

from restain.phantoms.dataset import phantom
from restain.phantoms.options import Consecutive, PhantomOptions

__all__ = ["Consecutive", "PhantomOptions", "phantom"]
