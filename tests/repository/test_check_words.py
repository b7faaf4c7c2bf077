"""The word list reads prose and no code, and names file, line, phrase and term."""

from __future__ import annotations

import pytest
from tools.check_words import find, main


def found(source: str, path: str = "src/rapidz/x.py") -> list[tuple[int, str]]:
    return [(finding.line, finding.phrase) for finding in find(path, source)]


def test_docstrings_and_comments_are_read() -> None:
    source = '''"""Nothing to blame."""
x = 1  # under way
y = 2
"""Whose fault it was."""
'''
    assert found(source) == [(1, "to blame"), (2, "under way"), (4, "Whose fault")]


def test_code_is_not_read() -> None:
    source = '''def elsewhere(room: str = "room") -> None:
    """Call `room`, ``crew`` or:

    >>> elsewhere("crew")
    """
    raise ValueError("room")
'''
    assert found(source) == []


def test_a_phrase_may_go_on_in_the_next_line() -> None:
    assert found("# What is under\n# way.\n") == [(1, "under way")]
    assert found('"""What is under\nway."""\n') == [(1, "under way")]


def test_phrases_do_not_join_two_comments_with_code_between_them() -> None:
    assert found("x = 1  # under\ny = 2  # way\n") == []


def test_fences_and_targets_of_links_in_pages_are_not_read() -> None:
    page = "The [page](elsewhere.md).\n\n```python\nroom = 1\n```\n\nNobody.\n"
    assert found(page, "docs/page.md") == [(7, "Nobody")]


def test_the_line_on_other_libraries_is_exempt_on_pages_of_operators() -> None:
    assert found("**Elsewhere:** RxPY.\n", "docs/operators/map.md") == []
    assert found("**Elsewhere:** RxPY.\n", "docs/guide.md") == [(1, "Elsewhere")]


def test_a_finding_names_the_place_and_the_term() -> None:
    (finding,) = find("docs/page.md", "what is under way")
    assert str(finding) == "docs/page.md:1: 'under way' -> in flight"


def test_no_page_and_no_module_uses_a_phrase_of_the_list(
    capsys: pytest.CaptureFixture[str],
) -> None:
    code = main()
    assert (code, capsys.readouterr().out) == (0, "")
