"""What the given paths are: one case of the files that are named, and the cases of every folder."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import replace
from itertools import chain, repeat
from pathlib import Path

import tifffile

from restain.errors import RestainError
from restain.files import require_file
from restain.images import is_tiff
from restain.viewer.folders import pair_folders, read_folder
from restain.viewer.pictures import ROLE_LABELS, ROLES, Case, Picture, Role, record_of, says_virtual
from restain.viewer.registered import read_transform
from restain.wsi.reader import MPP_RANGE

_BY_PLACE: tuple[Role, ...] = ("he", "virtual", "real")


def find_cases(
    inputs: Sequence[str | Path], *, roles: Sequence[str] | None = None, mpp: float | None = None
) -> tuple[Case, ...]:
    """Cases among files and folders.

    Files are one case: the H&E first, then the virtual stain, then the real IHC, unless ``roles`` or a file itself
    say otherwise. A ``.json`` file is the transform of ``restain register`` for the real IHC (or for the last
    picture, where none is real). A folder is recognised by what it holds (``folders``); two or more folders of
    images are matched by file name, in the same order of roles.

    Args:
        inputs: slides, images, folders, transforms.
        roles: he, virtual, real or other for each file or plain folder, in their order.
        mpp: microns per pixel of every picture's finest level, instead of what the files state.

    Raises:
        RestainError: a path does not exist, a role is unknown, the roles do not match the files, or there is nothing.
    """
    paths = [Path(path) for path in inputs]
    for path in paths:
        if not path.is_dir():
            require_file(path)
    if mpp is not None and not MPP_RANGE[0] <= mpp <= MPP_RANGE[1]:
        raise RestainError(f"mpp is {mpp:g} µm per pixel; expected {MPP_RANGE[0]:g} to {MPP_RANGE[1]:g}")
    transforms = [path for path in paths if path.suffix.lower() == ".json" and path.is_file()]
    files = [path for path in paths if path.is_file() and path not in transforms]
    folders = [path for path in paths if path.is_dir()]
    if len(transforms) > 1:
        raise RestainError(f"{transforms[1]}: is a second transform; expected one at most")
    chosen = _check_roles(roles, len(files) or len(folders))
    cases: list[Case] = []
    if files:
        for path in transforms:
            read_transform(path)  # a damaged one is refused here, not in the page
        cases.append(_case_of_files(files, chosen, transforms[0] if transforms else None))
    elif transforms:
        raise RestainError(f"{transforms[0]}: a transform needs the slides that it belongs to, named before it")
    if len(folders) > 1 and not files:
        cases += pair_folders(folders, chosen or _default_roles(len(folders)))
    else:
        for folder in folders:
            cases += read_folder(folder)
    if not cases:
        raise RestainError(f"{', '.join(map(str, inputs)) or 'no input'}: nothing to look at")
    if mpp is None:
        return tuple(cases)
    return tuple(
        replace(case, pictures=tuple(replace(picture, mpp=picture.mpp or mpp) for picture in case.pictures))
        for case in cases
    )


def _check_roles(roles: Sequence[str] | None, count: int) -> tuple[Role, ...] | None:
    if roles is None:
        return None
    known = [role for given in roles for role in ROLES if role == given]
    if len(known) != len(roles):
        wrong = next(role for role in roles if role not in ROLES)
        raise RestainError(f"role is {wrong!r}; expected one of {', '.join(ROLES)}")
    if len(known) != count:
        raise RestainError(f"{len(known)} roles are given for {count} pictures; expected one for each")
    return tuple(known)


def _default_roles(count: int) -> tuple[Role, ...]:
    return tuple(_BY_PLACE[place] if place < len(_BY_PLACE) else "other" for place in range(count))


def _case_of_files(files: Sequence[Path], roles: tuple[Role, ...] | None, transform: Path | None) -> Case:
    roles = roles or _roles_of(files)
    carrier = _carrier(roles) if transform else None
    pictures = tuple(
        Picture(path, role, ROLE_LABELS[role] or path.name, transform=transform if place == carrier else None)
        for place, (path, role) in enumerate(zip(files, roles, strict=True))
    )
    return Case(files[0].name, pictures)


def _roles_of(files: Sequence[Path]) -> tuple[Role, ...]:
    """By place, unless a file says that it is virtual: the others then keep their order, H&E before IHC."""
    virtual = [_is_virtual(path) for path in files]
    if not any(virtual):
        return _default_roles(len(files))
    others: Iterator[Role] = chain(("he", "real"), repeat("other"))
    return tuple("virtual" if known else next(others) for known in virtual)


def _carrier(roles: Sequence[Role]) -> int:
    """Which picture a transform belongs to: the real IHC, or else the last."""
    return roles.index("real") if "real" in roles else len(roles) - 1


def _is_virtual(path: Path) -> bool:
    """By the record beside it, or by the text in the file."""
    if record_of(path) is not None:
        return True
    if not is_tiff(path):
        return False
    try:
        with tifffile.TiffFile(path) as tiff:
            return says_virtual(tiff.pages.first.description)
    except Exception:  # every kind of damage has its exception; the pane will say what is wrong
        return False
