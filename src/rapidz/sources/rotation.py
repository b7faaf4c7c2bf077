"""Rotation of files: files in the folder of a path that may have had it before."""

from __future__ import annotations

import os
import re
from typing import NamedTuple

#: What rotation adds to the name of a file: a number, or a time.
_ROTATION = re.compile(r"[._-]\d[\d._:TZ-]*")
_NUMBER = re.compile(r"\.(\d{1,5})")


class Sibling(NamedTuple):
    """File whose name begins with the name of another one."""

    age: tuple[int, int]
    """Orders files from the oldest to the newest: by time, and then by falling numbers."""
    path: str
    identity: tuple[int, int]
    is_rotated: bool
    """Whether rotation gives such a name."""


def siblings_of(path: str) -> list[Sibling]:
    """Return files whose names are that of *path* and what rotation may add, the oldest first."""
    folder, name = os.path.split(path)
    found = []
    for entry in os.scandir(folder or "."):
        suffix = entry.name[len(name) :]
        if not entry.name.startswith(name) or suffix[:1] not in tuple("._-"):
            continue
        try:
            status = os.stat(sibling := os.path.join(folder, entry.name))
        except FileNotFoundError:
            continue  # it was renamed or deleted meanwhile
        if entry.is_file():
            number = _NUMBER.fullmatch(suffix)
            age = (status.st_mtime_ns, -int(number[1]) if number else 0)
            is_rotated = _ROTATION.fullmatch(suffix) is not None
            found.append(Sibling(age, sibling, (status.st_dev, status.st_ino), is_rotated))
    return sorted(found)
