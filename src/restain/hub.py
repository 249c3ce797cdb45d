"""Stainers on the Hugging Face Hub: what ``hf://owner/name@revision`` means, and files to and from there. No torch."""

from __future__ import annotations

import re
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from restain.errors import RestainError, in_short

_NAME = r"[A-Za-z0-9](?:[A-Za-z0-9._-]{0,94}[A-Za-z0-9])?"
_REPOSITORY = re.compile(rf"({_NAME})/({_NAME})")
_REFERENCE = re.compile(r"hf:/{1,2}(?P<repository>[^@]*)(?:@(?P<revision>.*))?")  # a Path has one slash less
_REVISION = re.compile(r"[\w./-]{1,200}")


@dataclass(frozen=True)
class HubReference:
    """A repository of models, and which state of it."""

    repository: str  # owner/name
    revision: str | None = None  # branch, tag or commit; None is the newest

    def __str__(self) -> str:
        return f"hf://{self.repository}" + (f"@{self.revision}" if self.revision else "")


def hub_reference(path: str | Path) -> HubReference | None:
    """The reference that a path stands for; None where it is a path in the file system.

    Raises:
        RestainError: it begins as one and is none.
    """
    match = _REFERENCE.fullmatch(str(path))
    if match is None:
        return None
    repository, revision = match["repository"], match["revision"]
    check_repository(repository)
    if revision is not None and not _REVISION.fullmatch(revision):
        raise RestainError(f"{path}: has the revision {revision!r}; expected a branch, a tag or a commit")
    return HubReference(repository, revision)


def check_repository(name: str) -> None:
    """Refuse what cannot be the name of a repository."""
    if not _REPOSITORY.fullmatch(name):
        raise RestainError(f"{name!r} is no repository of the Hugging Face Hub; expected owner/name")


def download_first(reference: HubReference, name: str) -> tuple[Path, HubReference]:
    """Download one file to the cache of the library, or find it there.

    Returns:
        the file, and the reference to the very commit that it is of, for the files that follow.
    """
    path = download(reference, name)
    return path, HubReference(reference.repository, path.parent.name)


def download(reference: HubReference, name: str) -> Path:
    """Download a file to the cache of the library, or find it there.

    Raises:
        RestainError: the library is not installed, or the Hub has no such file or cannot be reached.
    """
    hub = _library()
    with _explained(f"{reference}: {name} cannot be downloaded"):
        return Path(
            hub.hf_hub_download(reference.repository, name, revision=reference.revision, library_name="restain")
        )


def upload(folder: Path, repository: str, *, private: bool, message: str) -> str:
    """Upload the files of a folder to a repository, made where it does not exist; returns the commit's address.

    Raises:
        RestainError: the library is not installed, or the Hub refuses or cannot be reached.
    """
    api = _library().HfApi(library_name="restain")
    with _explained(f"hf://{repository}: cannot be uploaded"):
        api.create_repo(repository, private=private, exist_ok=True)
        return str(api.upload_folder(repo_id=repository, folder_path=folder, commit_message=message).commit_url)


def _library() -> Any:
    try:
        import huggingface_hub
    except ImportError:
        raise RestainError(
            "huggingface-hub is not installed, and stainers on the Hugging Face Hub need it; pip install 'restain[hub]'"
        ) from None
    return huggingface_hub


@contextmanager
def _explained(what: str) -> Iterator[None]:
    try:
        yield
    except Exception as error:  # the library has dozens, and those of its HTTP client
        raise RestainError(f"{what} ({in_short(error).rstrip('.')})") from error
