"""File systems: local paths by the standard library, URLs by fsspec, compression by extension."""

from __future__ import annotations

import bz2
import errno
import glob
import gzip
import importlib
import lzma
import os
import re
import zlib
from collections.abc import Callable
from typing import Any, Final, Literal, NamedTuple, Protocol

from rapidz.kernel.protocol.short_repr import short_repr

_URL: Final = re.compile(r"[A-Za-z][A-Za-z0-9+.-]+(::|://)")

Compression = Literal["infer", "gzip", "bz2", "xz", "zstd"] | None

#: Extensions of compressed files.
EXTENSIONS: Final = {".gz": "gzip", ".bz2": "bz2", ".xz": "xz", ".zst": "zstd"}


class FileStatus(NamedTuple):
    """What a file system says about one file."""

    size: int
    identity: tuple[int, int] | None
    """Device and inode; None where files have none."""


class FileSystem(Protocol):
    """Operations on files that sources and sinks need; they block."""

    is_local: bool

    def open(self, path: str, mode: str) -> Any:
        """Open a file in binary mode, unbuffered if it is local and read."""
        ...

    def status(self, path: str) -> FileStatus:
        """Return the status of a file; raises FileNotFoundError."""
        ...

    def glob(self, pattern: str) -> list[str]:
        """Return the files that match a pattern, sorted."""
        ...

    def names(self, pattern: str) -> list[str]:
        """Return the names that match a pattern, folders too: paths or URLs."""
        ...

    def is_directory(self, path: str) -> bool:
        """Return whether *path* is a folder."""
        ...

    def replace(self, source: str, target: str) -> None:
        """Rename a file, over another one if there is one."""
        ...

    def remove(self, path: str) -> None:
        """Delete a file."""
        ...

    def make_folder_of(self, path: str) -> None:
        """Create the folder that a file is to be in."""
        ...


class LocalFiles:
    """File system of the machine, by the standard library."""

    is_local = True

    def open(self, path: str, mode: str) -> Any:
        return open(path, mode, buffering=0 if mode == "rb" else -1)

    def status(self, path: str) -> FileStatus:
        return local_status(os.stat(path))

    def glob(self, pattern: str) -> list[str]:
        found = glob.glob(pattern, recursive=True)
        return sorted(path for path in found if not os.path.isdir(path))

    def names(self, pattern: str) -> list[str]:
        return glob.glob(pattern, recursive="**" in pattern)

    def is_directory(self, path: str) -> bool:
        return os.path.isdir(path)

    def replace(self, source: str, target: str) -> None:
        os.replace(source, target)

    def remove(self, path: str) -> None:
        os.remove(path)

    def make_folder_of(self, path: str) -> None:
        os.makedirs(os.path.dirname(path) or ".", exist_ok=True)


class RemoteFiles:
    """File system of fsspec."""

    is_local = False

    def __init__(self, filesystem: Any) -> None:
        self._files = filesystem

    def open(self, path: str, mode: str) -> Any:
        self._files.invalidate_cache()
        try:
            return self._files.open(path, mode)
        except FileNotFoundError:
            raise _missing(path) from None

    def status(self, path: str) -> FileStatus:
        self._files.invalidate_cache()
        try:
            return FileStatus(int(self._files.info(path)["size"] or 0), None)
        except FileNotFoundError:
            raise _missing(path) from None

    def glob(self, pattern: str) -> list[str]:
        self._files.invalidate_cache()
        found = self._files.glob(pattern, detail=True)
        return sorted(path for path, info in found.items() if info["type"] == "file")

    def names(self, pattern: str) -> list[str]:
        self._files.invalidate_cache()
        return [self._files.unstrip_protocol(path) for path in self._files.glob(pattern)]

    def is_directory(self, path: str) -> bool:
        return not is_pattern(path) and bool(self._files.isdir(path))

    def replace(self, source: str, target: str) -> None:
        self._files.mv(source, target)

    def remove(self, path: str) -> None:
        self._files.rm_file(path)

    def make_folder_of(self, path: str) -> None:
        self._files.makedirs(self._files._parent(path), exist_ok=True)


def local_status(status: os.stat_result) -> FileStatus:
    """Return the status of a local file."""
    return FileStatus(status.st_size, (status.st_dev, status.st_ino))


def locate(
    operator: str, path: Any, storage_options: dict[str, Any] | None = None, argument: str = "path"
) -> tuple[FileSystem, str]:
    """Return the file system of a path or URL, and the path in it.

    Raises TypeError or ValueError for what is neither, ImportError for a URL where fsspec, or the
    client that it needs, is not installed.

    >>> locate("from_csv", "data/x.csv")[1]
    'data/x.csv'
    >>> locate("from_csv", "memory://data/x.csv")[1]
    '/data/x.csv'
    >>> locate("from_csv", 3)
    Traceback (most recent call last):
    ...
    TypeError: from_csv: path must be a path or a URL, got 3
    """
    name = os.fspath(path) if isinstance(path, (str, os.PathLike)) else None
    if not isinstance(name, str) or not name or "\0" in name:
        kind = ValueError if isinstance(name, str) else TypeError
        raise kind(f"{operator}: {argument} must be a path or a URL, got {short_repr(path)}")
    if not _URL.match(name):
        return LocalFiles(), name
    try:
        core: Any = importlib.import_module("fsspec.core")
    except ImportError:
        raise ImportError(f"{operator}: a URL needs fsspec: pip install 'rapidz[files]'") from None
    try:
        filesystem, inner = core.url_to_fs(name, **(storage_options or {}))
    except ValueError:
        protocol = name.partition(":")[0]
        raise ValueError(
            f"{operator}: {argument} must be a URL that fsspec knows, "
            f"got one of {short_repr(protocol)}"
        ) from None
    if "file" in filesystem.protocol:
        return LocalFiles(), inner
    return RemoteFiles(filesystem), inner


def hide_credentials(path: str) -> str:
    """Return a path or URL without the user and the password that it may have.

    >>> hide_credentials("https://user:secret@host/x")
    'https://***@host/x'
    >>> hide_credentials("ftp://user:se/cr@t@host/x")
    'ftp://***@host/x'
    """
    # Behind a colon in the server's part, to the last @: a password may have any character.
    return re.sub(r"(?<=://)[^/]*?:.*@|(?<=/)[^/@\s]*:[^/@\s]*@", "***@", path, flags=re.DOTALL)


def _missing(path: str) -> FileNotFoundError:
    return FileNotFoundError(errno.ENOENT, os.strerror(errno.ENOENT), hide_credentials(path))


def is_pattern(path: str) -> bool:
    """Return whether *path* has wildcards.

    >>> is_pattern("data/*.csv"), is_pattern("data/x.csv")
    (True, False)
    """
    return glob.has_magic(path)


def compression_of(operator: str, path: str, compression: Any) -> str | None:
    """Return the compression of a file, by its extension if it is to be inferred.

    >>> compression_of("to_csv", "x.csv.gz", "infer")
    'gzip'
    """
    if compression == "infer":
        return next((name for end, name in EXTENSIONS.items() if path.endswith(end)), None)
    if compression is None or compression in EXTENSIONS.values():
        return str(compression) if compression else None
    names = ", ".join(map(repr, EXTENSIONS.values()))
    raise ValueError(
        f"{operator}: compression must be 'infer', {names} or None, got {short_repr(compression)}"
    )


def decompressed(file: Any, compression: str | None) -> Any:
    """Return a file to read the content of a compressed one; closes only itself."""
    if compression is None:
        return file
    return _opener(compression)(file, "rb")


def is_damage(error: BaseException, compression: str | None) -> bool:
    """Return whether *error* says that a compressed file is damaged, or not complete.

    >>> is_damage(EOFError(), "gzip"), is_damage(OSError(5, "I/O error"), "gzip")
    (True, False)
    """
    if isinstance(error, OSError):  # bz2 raises one without a number
        return isinstance(error, gzip.BadGzipFile) or (compression == "bz2" and not error.errno)
    if compression == "zstd" and type(error).__name__ == "ZstdError":
        return True
    return isinstance(error, (EOFError, zlib.error, lzma.LZMAError))


def compressed(file: Any, compression: str | None) -> Any:
    """Return a file to write the content of a compressed one; closes only itself."""
    if compression is None:
        return file
    return _opener(compression)(file, "wb")


def _opener(compression: str) -> Callable[[Any, Any], Any]:
    if compression == "gzip":
        return lambda file, mode: gzip.GzipFile(fileobj=file, mode=mode, mtime=0)
    if compression == "bz2":
        return lambda file, mode: bz2.BZ2File(file, mode)
    if compression == "xz":
        return lambda file, mode: lzma.LZMAFile(file, mode)
    try:
        zstandard: Any = importlib.import_module("zstandard")
    except ImportError:
        raise ImportError("compression 'zstd' needs zstandard: pip install zstandard") from None
    return lambda file, mode: zstandard.open(file, mode, closefd=False)
