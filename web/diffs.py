"""A unified diff as lines, each with its numbers and its kind: for the page without scripts, and for the API."""

from __future__ import annotations

import re
from dataclasses import dataclass, field
from typing import Literal

from web.long_lines import shortened

MOST_LINES = 6000
"""Lines of one page's diff without scripts; a browser takes seconds over more."""

Kind = Literal["add", "del", "same", "hunk", "note"]
_HUNK = re.compile(r"@@ -(\d+)(?:,(\d+))? \+(\d+)(?:,(\d+))? @@")


@dataclass
class Line:
    """One line; `old` and `new` are its numbers on either side, where it is there."""

    kind: Kind
    text: str
    old: int | None = None
    new: int | None = None
    at: tuple[int, int] = (0, 0)
    """Of a hunk: its first line on either side."""
    cut: bool = False
    """Whether some of a long line's text is left out."""


@dataclass
class Section:
    """One file's part of a diff; `left` lines of it are not in `lines`."""

    lines: list[Line] = field(default_factory=list)
    left: int = 0


def sections(text: str, most: int = MOST_LINES) -> list[Section]:
    """The diff cut at its files, in their order."""
    found: list[Section] = []
    shown = old = new = 0
    in_hunk = False
    # Not splitlines(): a form feed within a line would cut it in two.
    for raw in text.removesuffix("\n").split("\n"):
        # No line of a file's content begins like that: each has its sign before it.
        if raw.startswith("diff --git "):
            found.append(Section())
            in_hunk = False
            continue
        if not found:
            continue
        if match := _HUNK.match(raw):
            old, new, in_hunk = _first(match[1], match[2]), _first(match[3], match[4]), True
            line = Line("hunk", raw, at=(old, new))
        elif not in_hunk:
            if raw.startswith(("--- ", "+++ ", "index ")):
                continue
            line = Line("note", raw)
        else:
            line, old, new = _line(raw, old, new)
        shown += 1
        if shown > most:
            found[-1].left += 1
        else:
            found[-1].lines.append(line)
    for section in found:
        for at, short in shortened([(line.kind, line.text) for line in section.lines]).items():
            section.lines[at].text, section.lines[at].cut = short, True
    return found


def without_returns(section: Section) -> None:
    """Take the carriage return from the end of every line where all have one; where only some do, it is a difference."""
    code = [line for line in section.lines if line.kind in ("add", "del", "same")]
    if all(line.text.endswith("\r") or line.cut for line in code):
        for line in code:
            line.text = line.text.removesuffix("\r")


def _first(number: str, count: str | None) -> int:
    """A side without lines is given by the line before it: https://www.gnu.org/software/diffutils/manual/ (unified format)."""
    return int(number) + 1 if count == "0" else int(number)


def _line(raw: str, old: int, new: int) -> tuple[Line, int, int]:
    sign, text = raw[:1], raw[1:]
    if sign == "+":
        return Line("add", text, None, new), old, new + 1
    if sign == "-":
        return Line("del", text, old, None), old + 1, new
    if sign in ("", " "):
        return Line("same", text, old, new), old + 1, new + 1
    # "\ No newline at end of file", or what was written in the place of the rest.
    return Line("note", raw.removeprefix("\\ ")), old, new
