"""Names of output files: templates with a date, a number and a key that is quoted."""

from __future__ import annotations

import datetime
import hashlib
import posixpath
import string
import urllib.parse
from typing import Any, Final

from rapidz.kernel.protocol.short_repr import short_repr

#: Characters of a key that stay as they are in the name of a file.
SAFE: Final = "-_=+,@ "
#: Bytes of a key in a name at most; a longer one is cut, and a hash added.
LONGEST: Final = 150

#: What each field of a template is, and how it is written.
FIELDS: Final = {
    "date": "%Y-%m-%d",
    "year": "%Y",
    "month": "%m",
    "day": "%d",
    "hour": "%H",
    "minute": "%M",
    "time": "%Y-%m-%dT%H-%M-%S",
}


class FileTemplate:
    """Template of the name of a file, such as ``"out/{date}/{key}-{number}.csv"``.

    Parameters
    ----------
    operator : str
        For messages.
    text : str
        Path with fields in braces: ``key``, ``number`` and those of `FIELDS`, in UTC.

    >>> template = FileTemplate("to_csv", "out/{date}/{key}.csv")
    >>> when = datetime.datetime(2026, 1, 2, tzinfo=datetime.UTC)
    >>> template.path(when, "../../etc/x", 0)
    'out/2026-01-02/%2E%2E%2F%2E%2E%2Fetc%2Fx.csv'
    """

    def __init__(self, operator: str, text: str) -> None:
        try:
            parts = list(string.Formatter().parse(text))
        except ValueError as error:
            raise ValueError(
                f"{operator}: path must be a template, got {short_repr(text)}: {error}"
            ) from None
        self.fields = {name for _, name, _, _ in parts if name is not None}
        known = {*FIELDS, "key", "number"}
        if not self.fields <= known or any(spec or change for _, _, spec, change in parts):
            listed = ", ".join(f"{{{name}}}" for name in sorted(known))
            raise ValueError(
                f"{operator}: path must have no fields but {listed}, got {short_repr(text)}"
            )
        self.text = text
        self._literal = text.replace("{{", "{").replace("}}", "}")

    @property
    def is_fixed(self) -> bool:
        """Whether all elements go to one file."""
        return not self.fields

    @property
    def has_key(self) -> bool:
        """Whether the name has a key."""
        return "key" in self.fields

    @property
    def has_time(self) -> bool:
        """Whether the name has a time."""
        return not self.fields.isdisjoint(FIELDS)

    def path(self, when: datetime.datetime | None, key: Any, number: int) -> str:
        """Return the name of one file."""
        if not self.fields:
            return self._literal
        values: dict[str, str] = {"number": f"{number:06}"}
        if when is not None:
            values |= {name: when.strftime(code) for name, code in FIELDS.items()}
        if self.has_key:
            values["key"] = quote_key(key)
        return self.text.format(**values)


def quote_key(key: Any) -> str:
    """Return *key* as a part of one name: no separator, no leading dot, of bounded length.

    Letters, digits, ``-_=+,@`` and spaces stay; every other character is percent-encoded.
    Different strings have different names, except on file systems that ignore case; any
    other key has the name of its `str`.  A tilde is followed by 16 digits of a hash.

    >>> quote_key("sensor-1"), quote_key("a/b"), quote_key(".."), quote_key("")
    ('sensor-1', 'a%2Fb', '%2E%2E', '%')
    """
    text = key if isinstance(key, str) else str(key)
    data = text.encode("utf-8", "surrogatepass")
    name = urllib.parse.quote_from_bytes(data, SAFE).replace("~", "%7E")
    if name.strip(".") == "" or name.startswith("."):
        name = name.replace(".", "%2E")
    if len(name) > LONGEST:
        digest = hashlib.blake2b(data, digest_size=8).hexdigest()
        name = f"{name[:LONGEST]}~{digest}"
    return name or "%"


def numbered(path: str, number: int) -> str:
    """Return *path* with a number before its extensions.

    >>> numbered("out/a.csv.gz", 2)
    'out/a-2.csv.gz'
    """
    folder, name = posixpath.split(path)
    stem, dot, extensions = name.partition(".")
    return posixpath.join(folder, f"{stem}-{number}{dot}{extensions}")
