"""Long lines of a diff: what is shown of them is where they differ, and what is left out is told."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

LONGEST_LINE = 2000
AROUND = 200
"""Characters of a long line's beginning, and of what stands before a difference, that are shown with it."""


Side = tuple[str, str]
"""A line: "add", "del" or another kind, and its text."""


def shortened(lines: Sequence[Side]) -> dict[int, str]:
    """The texts to show instead of those that are too long, by their indexes: what is alike on both sides is left out first.

    A change that stands far along a line is so seen where the lines are, and not behind two beginnings that are equal.
    """
    spots = dict(_differences(lines))
    return {at: _around(text, *spots.get(at, (0, 0))) for at, (_, text) in enumerate(lines) if len(text) > LONGEST_LINE}


def _differences(lines: Sequence[Side]) -> Iterator[tuple[int, tuple[int, int]]]:
    """Where the long lines that stand for each other begin and end to differ."""
    for removed, added in _pairs(lines):
        old, new = lines[removed][1], lines[added][1]
        alike = _common(old, new)
        behind = min(_common(old[::-1], new[::-1]), min(len(old), len(new)) - alike)
        yield removed, (alike, len(old) - behind)
        yield added, (alike, len(new) - behind)


def _pairs(lines: Sequence[Side]) -> Iterator[tuple[int, int]]:
    """The long lines of each change, removed and added, in their order."""
    found: dict[str, list[int]] = {"del": [], "add": []}
    for at, (kind, text) in enumerate(lines):
        if kind in ("same", "hunk") or (kind == "del" and found["add"]):
            yield from zip(found["del"], found["add"], strict=False)
            found = {"del": [], "add": []}
        if kind in found and len(text) > LONGEST_LINE // 2:
            found[kind].append(at)
    yield from zip(found["del"], found["add"], strict=False)


def _common(one: str, other: str) -> int:
    """How many characters both begin with."""
    low, high = 0, min(len(one), len(other))
    while low < high:
        middle = (low + high + 1) // 2
        if one[low:middle] == other[low:middle]:
            low = middle
        else:
            high = middle - 1
    return low


def _around(text: str, begin: int, end: int) -> str:
    start = begin - AROUND if begin > LONGEST_LINE // 2 else 0
    stop = min(len(text), start + LONGEST_LINE)
    if end and end + AROUND < stop:
        stop = end + AROUND  # by the end, so that both sides leave out the same
    head = f"{text[:AROUND]} … {start - AROUND:,} characters … " if start else ""
    rest = len(text) - stop
    more = f" … {rest:,} more characters{', which differ too' if end > stop else ''}" if rest else ""
    return head + text[start:stop] + more
