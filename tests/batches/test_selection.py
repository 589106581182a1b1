"""Patterns of names and paths."""

from __future__ import annotations

import pytest

from licodec.batches.selection import Selection
from licodec.errors import UsageError


@pytest.mark.parametrize(
    ("pattern", "path", "matches"),
    [
        ("*.jpg", "a.jpg", True),
        ("*.jpg", "2024/may/a.jpg", True),
        ("*.jpg", "a.JPG", False),
        ("may", "2024/may/a.jpg", True),
        ("may/", "2024/may/a.jpg", True),
        ("ma", "2024/may/a.jpg", False),
        ("2024/*.jpg", "2024/a.jpg", True),
        ("2024/*.jpg", "2024/may/a.jpg", False),
        ("2024/**/*.jpg", "2024/may/1/a.jpg", True),
        ("2024/**/*.jpg", "2024/a.jpg", True),
        ("**/may/*", "x/2024/may/a.jpg", True),
        ("/a.jpg", "a.jpg", True),
        ("./a.jpg", "2024/a.jpg", False),
        ("2024/may", "2024/may/a.jpg", True),
        ("[ab]?.png", "b1.png", True),
        ("a[.png", "a[.png", True),
    ],
)
def test_patterns(pattern: str, path: str, matches: bool) -> None:
    assert Selection(include=(pattern,)).takes(path) == matches
    folders = ["/".join(path.split("/")[:n]) for n in range(1, path.count("/") + 2)]
    assert any(map(Selection(exclude=(pattern,)).excludes, folders)) == matches


def test_all_without_patterns_and_less_with_more() -> None:
    assert Selection().takes("any/thing")
    both = Selection(("*.png", "*.jpg"), ("b*",))
    assert [name for name in ("a.png", "a.jpg", "a.gif", "b.png") if both.takes(name)] == [
        "a.png",
        "a.jpg",
    ]


@pytest.mark.parametrize("pattern", ["", "/", "./"])
def test_a_pattern_that_is_empty_is_a_variable_that_was_not_set(pattern: str) -> None:
    with pytest.raises(UsageError, match="--exclude: the pattern is empty"):
        Selection(exclude=(pattern,))
