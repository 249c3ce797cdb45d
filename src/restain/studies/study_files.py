"""The files of a study: what is decided (``study.yaml``), which image is which (``key.json``), the readers' links.

``study.yaml`` and ``images.sqlite`` are all that the server needs besides ``links.json``; it never opens the key.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, Any, Literal, TypeAlias, TypeVar

import yaml
from pydantic import BaseModel, Field, ValidationError, model_validator

from restain.errors import RestainError
from restain.files import read_bytes, read_text, write_text
from restain.sections import Line, Section
from restain.studies.questions import Design, Marker, Question
from restain.yaml_text import LIMIT, load_yaml

STUDY, KEY, LINKS = "study.yaml", "key.json", "links.json"
IMAGES, ANSWERS = "images.sqlite", "answers.sqlite"
_HEADER = (
    "# A reader study of restain. Questions, cut-offs, margin and washout may be edited\n"
    "# until the first answer is given.\n"
    "# Which image is virtual stands in key.json alone.\n"
)

PictureId: TypeAlias = Annotated[str, Field(pattern=r"^p[0-9]{4,5}$")]
CaseId: TypeAlias = Annotated[str, Field(pattern=r"^c[0-9]{4}$")]
Item: TypeAlias = Annotated[tuple[PictureId, ...], Field(min_length=1, max_length=2)]  # left, right; or one image
Loaded = TypeVar("Loaded", bound=BaseModel)


class Encoding(Section):
    """How every image was encoded, whatever it came from."""

    codec: Literal["JPEG 4:4:4"] = "JPEG 4:4:4"
    quality: int
    tile: int  # pixels
    mpp: Annotated[float, Field(gt=0)]  # microns per pixel of every image, or 1 where no file states a size
    scale_known: bool
    background: tuple[int, int, int]  # colour of glass around the tissue of slides, and beyond a smaller slide
    bytes: Annotated[int, Field(gt=0)]  # of every answer that holds a tile: shorter ones are padded


class CasePictures(Section):
    """The images of a case, in an order that does not say which is virtual, and its H&E where one is shown."""

    pictures: tuple[PictureId, PictureId]
    he: PictureId | None = None
    width: Annotated[int, Field(gt=0)]  # pixels, the same for all its images
    height: Annotated[int, Field(gt=0)]
    group: Annotated[int, Field(gt=0)]  # cases of one slide or patient have the same number


class ReaderOrder(Section):
    """What a reader sees, in order: sessions of items, with a washout before each but the first."""

    sessions: Annotated[tuple[tuple[Item, ...], ...], Field(min_length=1)]


class Study(Section):
    """Everything that is decided before the first answer: ``study.yaml``."""

    version: Literal[1] = 1
    title: Line
    design: Design
    marker: Marker
    seed: int
    margin: Annotated[float, Field(gt=0)]  # of non-inferiority, in the unit of the design
    washout_days: Annotated[float, Field(ge=0)]
    questions: Annotated[tuple[Question, ...], Field(min_length=1)]
    groups: str  # how the groups of cases were found
    encoding: Encoding
    cases: dict[CaseId, CasePictures]
    training: tuple[Item, ...]  # read first by everybody, not analysed
    readers: Annotated[dict[Annotated[str, Field(pattern=r"^[a-z0-9-]{1,40}$")], ReaderOrder], Field(min_length=1)]

    @model_validator(mode="after")
    def _closed(self) -> Study:
        """Every item belongs to one case, and every question has its own name."""
        home = self.case_of
        items = [*self.training, *(item for order in self.readers.values() for one in order.sessions for item in one)]
        for item in items:
            if len({home.get(picture) for picture in item}) != 1 or home.get(item[0]) is None:
                raise ValueError(f"the item {list(item)} is not of one case")
        if len({question.id for question in self.questions}) != len(self.questions):
            raise ValueError("two questions have the same id")
        return self

    @property
    def case_of(self) -> dict[str, str]:
        """The case of each image that is read."""
        return {picture: case for case, of in self.cases.items() for picture in of.pictures}

    @property
    def paired(self) -> bool:
        """Whether an item is two images side by side."""
        return self.design in ("2afc", "preference")


class PictureOrigin(Section):
    """What an image is: the secret of the study."""

    arm: Literal["first", "second", "he"]
    file: str
    pixels: str  # as stored, before it was brought to the common scale
    mpp: float | None
    glass: tuple[int, int, int] | None  # colour of its bare glass, for a slide
    light: float  # grey level of its lightest hundredth as it is served, 0 to 255


class Key(Section):
    """Which image is which: ``key.json``."""

    version: Literal[1] = 1
    arms: dict[Literal["first", "second"], Line]  # "real" and "virtual", or the names of two systems
    names: dict[CaseId, str]  # of the files, without suffix
    pictures: dict[PictureId, PictureOrigin]


class Links(Section):
    """Secrets of the readers' links: ``links.json``."""

    version: Literal[1] = 1
    secret: str  # from which the ids in addresses are made
    tokens: dict[str, str]  # of each reader


@dataclass(frozen=True)
class Step:
    """One item in a reader's order."""

    position: int
    session: int
    training: bool
    item: tuple[str, ...]


def steps_of(study: Study, reader: str) -> tuple[Step, ...]:
    """Everything that a reader sees: training cases, then the sessions."""

    def items() -> Iterator[tuple[int, bool, tuple[str, ...]]]:
        for item in study.training:
            yield 0, True, item
        for session, shown in enumerate(study.readers[reader].sessions):
            for item in shown:
                yield session, False, item

    return tuple(Step(position, *rest) for position, rest in enumerate(items()))


def write_study(folder: Path, study: Study) -> None:
    """Write ``study.yaml``: one line for each case and item."""
    text = yaml.safe_dump(study.model_dump(mode="json"), sort_keys=False, default_flow_style=None, width=120)
    if len(text) > LIMIT - len(_HEADER):
        raise RestainError(f"study: has {len(text) // 1024} KB of YAML; expected fewer cases, readers or repeats")
    write_text(folder / STUDY, _HEADER + text)


def read_study(folder: Path) -> Study:
    """Read ``study.yaml`` of a study.

    Raises:
        RestainError: the folder is no study, or a field is not what it must be.
    """
    path = folder / STUDY
    if not path.is_file():
        raise RestainError(f"{folder}: holds no {STUDY}; expected a folder that restain study make wrote")
    return _validated(Study, load_yaml(read_bytes(path), str(path)), path)


def study_fingerprint(folder: Path) -> str:
    """SHA-256 of what ``study.yaml`` says: it changes where anything that is decided does, whatever the layout."""
    said = load_yaml(read_bytes(folder / STUDY), str(folder / STUDY))
    return hashlib.sha256(json.dumps(said, sort_keys=True, default=str).encode()).hexdigest()


def read_key(folder: Path) -> Key:
    """Read ``key.json``; raises as ``read_study``."""
    return _read_json(Key, folder / KEY)


def read_links(folder: Path) -> Links:
    """Read ``links.json``; raises as ``read_study``."""
    return _read_json(Links, folder / LINKS)


def write_secret(path: Path, content: BaseModel) -> None:
    """Write JSON that only its owner may read."""
    write_text(path, content.model_dump_json(indent=1) + "\n")
    path.chmod(0o600)


def _read_json(kind: type[Loaded], path: Path) -> Loaded:
    try:
        return kind.model_validate_json(read_text(path))
    except ValidationError as error:
        raise _refusal(error, path) from None


def _validated(kind: type[Loaded], value: Any, path: Path) -> Loaded:
    try:
        return kind.model_validate(value)
    except ValidationError as error:
        raise _refusal(error, path) from None


def _refusal(error: ValidationError, path: Path) -> RestainError:
    first = error.errors()[0]
    where = ".".join(map(str, first["loc"])) or "the file"
    return RestainError(f"{path}: {where}: {first['msg'].removeprefix('Value error, ')}")
