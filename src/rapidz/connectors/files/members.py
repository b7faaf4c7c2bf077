"""Members of compressed files: what a killed process has left of one is cut off."""

from __future__ import annotations

import bz2
import importlib
import logging
import lzma
import os
import zlib
from collections.abc import Callable
from typing import Any, BinaryIO

from rapidz.kernel.protocol.short_repr import short_repr

_log = logging.getLogger("rapidz.sinks")

_CHUNK = 1 << 16


def cut_torn_member(path: str, compression: str) -> None:
    """Cut off the last member of a compressed file if it is incomplete, and warn.

    Reads the whole file.  Raises ValueError for a file of another format, which stays as it is.
    """
    if not os.path.isfile(path) or not (size := os.path.getsize(path)):
        return
    with open(path, "r+b") as file:
        try:
            end = _end_of_members(file, _decompressor(compression))
        except (OSError, EOFError, ValueError, zlib.error, lzma.LZMAError) as error:
            raise ValueError(
                f"path must be a {compression} file to append to, got {short_repr(path)}: {error}"
            ) from None
        if end < size:
            file.truncate(end)
            _log.warning(
                "%s: the last %d bytes of %d were cut off: they are an incomplete %s member, "
                "left by a process that was killed",
                path,
                size - end,
                size,
                compression,
            )


def _end_of_members(file: BinaryIO, new: Callable[[], Any]) -> int:
    """Return where the last complete member ends, with the zeros that may follow it."""
    end = 0
    data = file.read(_CHUNK)
    while data:
        member = new()
        while data and not member.eof:
            member.decompress(data)
            data = member.unused_data if member.eof else file.read(_CHUNK)
        if not member.eof:
            return end
        data = data or file.read(_CHUNK)
        while data and not data.strip(b"\0"):
            data = file.read(_CHUNK)
        data = data.lstrip(b"\0")
        end = file.tell() - len(data)
    return end


def _decompressor(compression: str) -> Callable[[], Any]:
    if compression == "gzip":
        return lambda: zlib.decompressobj(31)
    if compression == "bz2":
        return bz2.BZ2Decompressor
    if compression == "xz":
        return lzma.LZMADecompressor
    zstandard: Any = importlib.import_module("zstandard")
    return lambda: zstandard.ZstdDecompressor().decompressobj()
