"""The one place where files are named after ids, and where an id is checked that came from outside.

An id is the path of a field below its folder without suffix, with forward slashes, or what a CSV manifest calls it.
"""

from __future__ import annotations

import hashlib
import re
import unicodedata
from collections import Counter
from collections.abc import Iterable, Mapping, Sequence

LONGEST_ID = 200  # characters
_LONGEST_NAME = 120  # bytes of a file's name, which leaves room for what is put behind it
_RESERVED = re.compile(r"(con|prn|aux|nul|com[0-9¹²³]|lpt[0-9¹²³])(\..*)?", re.IGNORECASE)  # devices of Windows
_UNSAFE = re.compile(r'[<>:"/\\|?*]')


def fault_of(name: str) -> str:
    """Why an id from outside cannot be used, as the end of a sentence; empty where it can."""
    if not name.strip():
        return "is empty"
    if len(name) > LONGEST_ID:
        return f"has {len(name)} characters; expected at most {LONGEST_ID}"
    if any(unicodedata.category(char) in ("Cc", "Cs") for char in name):
        return "holds a control character or a byte that is not text"
    if "\\" in name:
        return "holds a backslash; expected forward slashes"
    if any(part.startswith(".") or not part for part in name.split("/")):
        return "leaves its folder or is hidden; expected parts that are not empty and do not begin with a dot"
    return ""


def case_twins(names: Iterable[str]) -> list[tuple[str, str]]:
    """Pairs of names that differ but are one file where case or the composition of letters makes no difference."""
    first: dict[str, str] = {}
    twins = []
    for name in sorted(set(names)):
        other = first.setdefault(folded(name), name)
        if other != name:
            twins.append((other, name))
    return twins


def folded(name: str) -> str:
    """The name as a file system compares it that does not tell case or composition apart."""
    return unicodedata.normalize("NFC", name).casefold()


def file_names(ids: Sequence[str]) -> Mapping[str, str]:
    """A file name for each id, without suffix: valid on every system, in no other folder, distinct whatever the case.

    A plain id is its own name, ``a/b`` becomes ``a_b``. Where two would share a name, or one is too long, a part of
    the id's SHA-256 is appended.
    """
    plain = {name: _portable(name) for name in ids}
    shared = Counter(folded(portable) for portable in plain.values())
    return {
        name: portable
        if shared[folded(portable)] == 1 and len(portable.encode()) <= _LONGEST_NAME
        else f"{_cut(portable)}-{hashlib.sha256(name.encode('utf-8', 'surrogateescape')).hexdigest()[:8]}"
        for name, portable in plain.items()
    }


def _portable(name: str) -> str:
    text = "".join(char if unicodedata.category(char) not in ("Cc", "Cs", "Cn") else "_" for char in name)
    text = _UNSAFE.sub("_", text)
    text = re.sub(r"^\.+|[. ]+$", lambda match: "_" * len(match[0]), text)
    return f"{text}_" if not text or _RESERVED.fullmatch(text) else text


def _cut(text: str) -> str:
    return text.encode()[: _LONGEST_NAME - 9].decode(errors="ignore")
