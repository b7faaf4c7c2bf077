"""Word list: phrases that the documentation and the comments do not use, with the standard terms.

``python tools/check_words.py`` reads README.md, docs/ and the docstrings and comments of src/,
prints each phrase that it finds as ``path:line: phrase -> term``, and exits with 1 if it finds any.
Paths as arguments narrow what it reads.  Code is not read: fenced blocks, examples behind
a prompt, and what stands in backquotes.
"""

from __future__ import annotations

import io
import re
import sys
import tokenize
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Final, NamedTuple

ROOT: Final = Path(__file__).resolve().parents[1]
FILES: Final = ("*.md", "docs/**/*.md", "src/**/*.py")
MASK: Final = "\0"
WHITE_SPACE: Final = r"\s+(?:#:?\s+)?"

#: Phrases (regular expressions, matched without regard to case) and what to write instead.
WORDS: Final = {
    r"(?:give|gives|gave|given|giving) up": "emit, flush; stop, no longer retry",
    r"(?:hold|holds|held|holding) back": "apply back pressure, delay, buffer",
    r"(?:hold|holds|held|holding)": "buffer, keep, contain, own",
    r"under way": "in flight",
    r"let (?:wait|go)|lets go|letting go|queue up": "buffer; release",
    r"kept failures?": "pending failure",
    r"streams? of failures": "dead-letter stream",
    r"(?:whose|nobody's|anybody's) fault|to blame": "raised by; infrastructure error",
    r"culprits?": "cause",
    r"ways? to run": "execution mode",
    r"no word about|without a word": "if x is not given; without notice",
    r"stands? at (?:its|their) place": "is inserted as a constant",
    r"for the sake of": "for compatibility with, because of",
    r"historic doors?": "compatibility modules",
    r"plain calls?": "synchronous",
    r"(?:see|sees|saw|seen|seeing) to": "handle, ensure",
    r"(?:come|comes|came|coming) of": "result from",
    r"(?:come|comes|came|coming) in": "arrive, enter",
    r"in bad company|of no account|no matter": "(say what is meant)",
    r"elsewhere": "in another process, in another module",
    r"(?:nobody|anybody|everybody|somebody)": "no thread, no task, any consumer: say who",
    r"kin": "related",
    r"rooms?": "capacity",
    r"doors?": "entry point, compatibility module",
    r"floors?": "layer; lower bound",
    r"houses?": "library, package",
    r"crews?": "dispatcher, workers",
    r"beside": "relative to, next to",
    r"(?:is|are|was|were|be|been) told": "is reported, receives, is notified",
    r"accounts?": "count, statistics",
    r"(?:is|are|was|were|be) over": "has ended, is done",
    r"(?:is|are|was|were) (?:not )?there(?: yet)?": "exists, is supported, is installed",
    r"tuned|retuned": "reconfigured at run time",
    r"(?:node|nodes|stream|streams|stage|stages|from|what is|everything|all) (?:above|below)": (
        "upstream, downstream"
    ),
    r"its partner with it": "is dropped with its partner",
    r"strangers?": "unrelated, independent",
    r"bookkeeping": "state, accounting",
}

#: Words that are standard terms in one place: (path prefix, what the line contains).
EXEMPT: Final = (
    ("docs/operators/", "Elsewhere"),
    ("docs/sources/", "Elsewhere"),
    ("", "floor division"),
    ("", "watermark hold"),
    ("src/rapidz/eventtime/", "    hold : "),  # a parameter
    ("", "the lock"),  # a thread holds it
    ("src/", "Error: "),  # the output of an example
)

#: One group for each entry of `WORDS`; white space of a phrase may be a line break.
_PATTERN: Final = re.compile(
    r"(?<![\w'-])(?:"
    + "|".join(f"({words.replace(' ', WHITE_SPACE)})" for words in WORDS)
    + r")(?![\w'-])",
    re.IGNORECASE,
)
_TERMS: Final = tuple(WORDS.values())
_CODE: Final = re.compile(
    r"^( *)(?:```|~~~).*?^\1(?:```|~~~)[^\n]*$"  # a fenced block
    r"|``.*?``|`[^`]*`"
    r"|^ *(?:>>>|\.\.\. )[^\n]*$"  # an example without a fence
    r"|\*\w+\*"  # a parameter
    r"|\]\([^)]*\)"  # the target of a link
    r"|<[^>\s]+>"
    r"|# (?:noqa|type:|pyright:|pragma:)[^#\n]*",
    re.MULTILINE | re.DOTALL,
)
_STATEMENT_STARTS: Final = (
    *(tokenize.NEWLINE, tokenize.NL, tokenize.INDENT, tokenize.DEDENT, tokenize.ENCODING),
    tokenize.COMMENT,
)


class Finding(NamedTuple):
    """A phrase of the list, where it stands, and the term to use."""

    path: str
    line: int
    phrase: str
    term: str

    def __str__(self) -> str:
        return f"{self.path}:{self.line}: {self.phrase!r} -> {self.term}"


def find(path: str, source: str) -> Iterator[Finding]:
    """Yield the phrases of the list in the file *path* of the repository, which holds *source*."""
    prose = _blank(_CODE, _prose_of_module(source) if path.endswith(".py") else source)
    lines = source.splitlines()
    for match in _PATTERN.finditer(prose):
        number = prose.count("\n", 0, match.start())
        if not any(path.startswith(start) and word in lines[number] for start, word in EXEMPT):
            assert match.lastindex is not None
            phrase = " ".join(match.group().replace("#", " ").split())
            yield Finding(path, number + 1, phrase, _TERMS[match.lastindex - 1])


def _prose_of_module(source: str) -> str:
    """Return *source* with nothing but its comments and docstrings, those of attributes too."""
    prose = [re.sub(r"\S", MASK, line) for line in source.splitlines(keepends=True)]
    before, depth = tokenize.ENCODING, 0
    for token in tokenize.generate_tokens(io.StringIO(source).readline):
        depth += (
            (token.string in "([{") - (token.string in ")]}") if token.type == tokenize.OP else 0
        )
        starts = not depth and before in _STATEMENT_STARTS
        docstring = token.type == tokenize.STRING and starts
        if docstring or token.type == tokenize.COMMENT:
            (first, begin), last = token.start, token.end[0]
            for number in range(first, last + 1):
                line = token.string.splitlines()[number - first]
                start = begin if number == first else 0
                old = prose[number - 1]
                prose[number - 1] = old[:start] + line + old[start + len(line) :]
        before = token.type
    return "".join(prose)


def _blank(pattern: re.Pattern[str], text: str) -> str:
    """Mask what *pattern* matches, and keep white space, so that all places stay the same."""
    return pattern.sub(lambda match: re.sub(r"\S", MASK, match.group()), text)


def files() -> Iterator[Path]:
    """Yield the files that are checked."""
    for pattern in FILES:
        yield from sorted(ROOT.glob(pattern))


def main(arguments: Sequence[str] = ()) -> int:
    """Print the findings in the files under *arguments*, in all without any; return 0 or 1."""
    wanted = [Path(argument).resolve() for argument in arguments]
    found = 0
    for path in files():
        if not wanted or any(path == want or want in path.parents for want in wanted):
            for finding in find(path.relative_to(ROOT).as_posix(), path.read_text("utf-8")):
                print(finding)
                found = 1
    return found


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
