"""What programs print in colour, as pieces of text with names of styles: nothing of it steers anything.

The escape sequences are those of ECMA-48, section 8.3.117 (SGR): colours, bold, faint, italic, underlined, crossed out. A
ground colour is left out, so that the page's own contrast holds; so is every other sequence. What a carriage return would
have overwritten is kept, on a line of its own: a log shall hide nothing.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from typing import NamedTuple

MOST = 2000
"""Pieces of one text; what comes after is given as it is, without colours."""

# https://ecma-international.org/publications-and-standards/standards/ecma-48/; an OSC may end with BEL, as xterm takes it.
_SEQUENCE = re.compile(
    r"\x1b\[(?P<sgr>[0-9;:]*)m|\x1b(?:\[[0-?]*[ -/]*[@-~]|[\]PX^_][^\x07\x1b\n]{0,2000}(?:\x07|\x1b\\)|[ -/]+[0-~]|[0-Z\\-_])"
)
_RETURN = re.compile(r"\r+(?!\n)")
_BITS = ("", "red", "green", "yellow", "blue", "magenta", "cyan", "")
"""By the bits of red (1), green (2) and blue (4); black and white are the page's own ink."""
_ON = {1: "bold", 2: "faint", 3: "italic", 4: "underlined", 9: "crossed"}
_OFF = {22: ("bold", "faint"), 23: ("italic",), 24: ("underlined",), 29: ("crossed",)}


class Piece(NamedTuple):
    """A piece of text; `style` is names of classes, empty for plain text."""

    style: str
    text: str


def pieces(text: str) -> list[Piece]:
    """The text in pieces of one style each."""
    found: list[Piece] = []
    for style, part in _cut(_RETURN.sub("\n", text.replace("\r\n", "\n"))):
        if found and (found[-1].style == style or len(found) >= MOST):
            found[-1] = Piece(found[-1].style, found[-1].text + part)
        elif part:
            found.append(Piece(style if len(found) < MOST - 1 else "", part))
    return found


def _cut(text: str) -> Iterator[tuple[str, str]]:
    at, colour, marks, style = 0, "", set[str](), ""
    for sequence in _SEQUENCE.finditer(text):
        yield style, text[at : sequence.start()]
        at = sequence.end()
        if sequence["sgr"] is not None:
            colour = _apply(sequence["sgr"], colour, marks)
            style = " ".join(f"ansi-{name}" for name in (colour, *sorted(marks)) if name)
    yield style, text[at:]


def _apply(sequence: str, colour: str, marks: set[str]) -> str:
    """Change the marks by the numbers of a sequence; gives the colour."""
    numbers = [int(part[:4]) if part else 0 for part in re.split("[;:]", sequence)[:32]]
    while numbers:
        code = numbers.pop(0)
        if code == 0:
            colour = ""
            marks.clear()
        elif code in _ON:
            marks.add(_ON[code])
        elif code in _OFF:
            marks.difference_update(_OFF[code])
        elif 30 <= code <= 37:
            colour = _BITS[code - 30]
        elif 90 <= code <= 97:
            colour = _BITS[code - 90] if code != 90 else "grey"
        elif code in (38, 48, 58):
            chosen = _extended(numbers)
            colour = chosen if code == 38 else colour
        elif code == 39:
            colour = ""
    return colour


def _extended(numbers: list[int]) -> str:
    """The colour that the numbers behind 38 name; takes them off the list."""
    kind = numbers.pop(0) if numbers else 0
    if kind == 2:
        rgb, numbers[:] = numbers[:3], numbers[3:]
        return _nearest(*rgb) if len(rgb) == 3 else ""
    number = numbers.pop(0) if kind == 5 and numbers else 0
    if number < 16:
        return "grey" if number == 8 else _BITS[number % 8]
    if number < 232:
        cube = number - 16
        return _nearest(cube // 36 * 51, cube // 6 % 6 * 51, cube % 6 * 51)
    return "grey" if number < 250 else ""


def _nearest(red: int, green: int, blue: int) -> str:
    """The nearest of the six colours; none for what is nearly grey."""
    low, high = min(red, green, blue), max(red, green, blue)
    if high - low < 40:
        return ""
    middle = (low + high) / 2
    return _BITS[(red > middle) + 2 * (green > middle) + 4 * (blue > middle)]
