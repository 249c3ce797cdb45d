"""One pair of slides that several tests register: turned, face down, with control tissue and other scales."""

from pathlib import Path

import pytest
from small_slides import write_slide

from restain.phantoms.dots import Sections, draw_sections


@pytest.fixture(scope="session")
def sections() -> Sections:
    """A small section, and the next one turned by 115 degrees and mirrored, beside control tissue."""
    return draw_sections(
        3, size=(1300.0, 1100.0), he_mpp=1.6, ihc_mpp=2.0, angle=115.0, mirror=True, shift=(20.0, -10.0), control=True
    )


@pytest.fixture(scope="session")
def slides(sections: Sections, tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, Path]:
    """The same as files."""
    folder = tmp_path_factory.mktemp("slides")
    return (
        write_slide(folder / "P1_HE.tif", sections.he, sections.he_mpp),
        write_slide(folder / "P1_ER.tif", sections.ihc, sections.ihc_mpp),
    )
