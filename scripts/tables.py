"""Tables in Markdown, which read well in a terminal, too."""

from __future__ import annotations

from collections.abc import Iterable, Sequence


def table(headings: Sequence[object], rows: Iterable[Sequence[object]]) -> str:
    """Lines without an end; columns are as wide as what they hold."""
    cells = [[str(cell) for cell in row] for row in (headings, *rows)]
    widths = [max(map(len, column)) for column in zip(*cells, strict=True)]
    cells.insert(1, ["-" * width for width in widths])
    return "\n".join(f"| {' | '.join(map(str.ljust, row, widths))} |" for row in cells)
