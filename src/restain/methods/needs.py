"""What a method needs of the data beside H&E and IHC, said by its settings. No torch."""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

from restain.sections import Section


@dataclass(frozen=True, kw_only=True)
class DataNeeds:
    """What must be there, or be prepared, before the first step."""

    maps: bool = False  # where DAB is, and how dense nuclei are, for each real IHC: ``Batch.maps``


class MethodSection(Section):
    """The base of a method's settings."""

    needs: ClassVar[DataNeeds] = DataNeeds()
