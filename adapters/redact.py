"""Secrets out of what is kept and shown: as they are, and in the ways that programs write them."""

from __future__ import annotations

import re
from base64 import b64encode
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

MASK = "[redacted]"
SHORTEST = 6
"""Characters of a secret; what is shorter stands in too many innocent words."""
BEGINNING = 4
"""Characters at the end of a growing text that may be the beginning of a secret, and are held back."""
WINDOW = 1 << 20

_ANSI = r"\x1b\[[0-9;:?]*[ -/]*[@-~]|\x1b\][^\x07\x1b]*(?:\x07|\x1b\\)"
"""Control sequences and operating system commands of terminals; ECMA-48, 5.4 and 8.3.89."""
_COLOURS = re.compile(_ANSI)
_ESCAPE = re.compile(
    rf"{_ANSI}"
    r"|%(?:25)*([0-9A-Fa-f]{2})"  # URLs, and URLs within URLs; RFC 3986, 2.1
    r"|\\+u([0-9A-Fa-f]{4})|\\+x([0-9A-Fa-f]{2})"  # JSON (RFC 8259, 7), JSON within JSON, and program text
    r"|&#x([0-9A-Fa-f]{1,6});|&#([0-9]{1,7});"  # HTML
    r"|\\+(?=[/\"'+=$&%-])"  # characters that are escaped by a backslash
)
_CUT = re.compile(
    r"(?:%(?:25)*[0-9A-Fa-f]?|\\+(?:u[0-9A-Fa-f]{0,3}|x[0-9A-Fa-f]?)?|&(?:#x?[0-9A-Fa-f]*)?|\x1b(?:\[[0-9;:?]*)?)\Z"
)
_BREAKS = re.compile(r"[\r\n]+")
_MARKS = re.compile(r"[\x1b%\\]|&#")


class Redactor:
    """Masks known secrets, wherever they stand in a text or in JSON data.

    A secret is found as it is, within ANSI sequences, escaped for URLs, JSON and HTML, in hexadecimal digits, and in base64 at
    each of its three alignments, broken into lines or not.
    """

    def __init__(self, secrets: frozenset[str] = frozenset()) -> None:
        kept = sorted((secret for secret in secrets if len(secret) >= SHORTEST), key=len, reverse=True)
        self._plain = list(dict.fromkeys(form for secret in kept for form in _forms(secret)))
        self._encoded = list(dict.fromkeys(form for secret in kept for form in _base64(secret.encode())))
        self._reach = 8 * max(map(len, self._plain), default=0)

    def text(self, text: str) -> str:
        """`text` with every secret masked."""
        parts: list[str] = []
        at = 0
        for start, end in self._spans(text):
            parts += (text[at:start], MASK)
            at = end
        return "".join((*parts, text[at:]))

    def growing(self, text: str) -> str:
        """As `text`, for one that more is written to: without an end that may be the beginning of a secret."""
        return self.text(text[: self._safe(text)]) if self._plain else text

    def data(self, value: Any, *, growing: bool = False) -> Any:
        """JSON data with every secret masked, in keys too."""
        if not self._plain:
            return value
        return _mapped(value, self.growing if growing else self.text)

    def file(self, path: Path) -> int:
        """Mask the secrets of a file in place, by as many asterisks, so that offsets in it stay true; gives how many."""
        if not self._plain or not path.is_file():
            return 0
        found = 0
        with path.open("r+b") as file:
            begin = 0
            while data := _at(file, begin, WINDOW):
                spans = self._spans(data.decode("latin-1"))
                for start, end in spans:
                    file.seek(begin + start)
                    file.write(b"*" * (end - start))
                found += len(spans)
                if len(data) < WINDOW:
                    break
                begin += max(1, len(data) - self._reach)
        return found

    def bytes(self, data: bytes) -> bytes:
        """Bytes with every secret masked by as many asterisks."""
        out = bytearray(data)
        for start, end in self._spans(data.decode("latin-1")):
            out[start:end] = b"*" * (end - start)
        return bytes(out)

    @property
    def reach(self) -> int:
        """The characters that one secret may take, in the longest of its forms."""
        return self._reach

    def _spans(self, text: str) -> list[tuple[int, int]]:
        """Where secrets stand, in order; what overlaps is one."""
        spans: list[tuple[int, int]] = []
        for start, end in sorted(self._found(text)) if self._plain else ():
            if spans and start < spans[-1][1]:
                spans[-1] = (spans[-1][0], max(end, spans[-1][1]))
            else:
                spans.append((start, end))
        return spans

    def _found(self, text: str) -> Iterator[tuple[int, int]]:
        forms = self._plain + self._encoded
        for view, places in _views(text):
            yield from _found(forms, view, places)
            if "\n" in view or "\r" in view:
                yield from _found(self._encoded, *_without(_BREAKS, view, places))

    def _safe(self, text: str) -> int:
        """How much of a growing text can be shown."""
        cut = _CUT.search(text)
        whole = text[: cut.start()] if cut else text
        tail = max(0, len(whole) - self._reach)
        safe = [len(text)]
        for view, places in _views(whole[tail:]):
            if held := max(_begun(form, view) for form in (*self._plain, *self._encoded)):
                safe.append(tail + _place(places, len(view) - held))
        return min(safe)


def _forms(secret: str) -> tuple[str, ...]:
    """As it is, as its bytes are when each is taken for a character, in hexadecimal digits, and as what it may be read for."""
    data = secret.encode()
    return secret, data.decode("latin-1"), data.hex(), data.hex().upper(), _without(_ESCAPE, secret, None)[0]


def _begun(form: str, view: str) -> int:
    """How many characters at the end of `view` are the beginning of `form`; 0 for fewer than count."""
    at = max(0, len(view) - len(form) + 1)
    while (at := view.find(form[:BEGINNING], at)) >= 0:
        if form.startswith(view[at:]):
            return len(view) - at
        at += 1
    return 0


def _base64(secret: bytes) -> Iterator[str]:
    """The characters that the secret alone makes up, by how many bytes stand before it; RFC 4648, 4 and 5."""
    for shift in range(3):
        whole = b64encode(bytes(shift) + secret).decode()
        core = whole[(0, 2, 3)[shift] : (shift + len(secret)) * 8 // 6]
        yield core
        yield core.translate(str.maketrans("+/", "-_"))


Places = list[int] | None
"""For each character of a view, and its end, where it stands in the text; None where the view is the text."""


def _views(text: str) -> Iterator[tuple[str, Places]]:
    """The text as it is, as a terminal shows it, and as a reader of its escapes has it; those that differ."""
    yield text, None
    if "\x1b" in text:
        yield _without(_COLOURS, text, None)
    if _MARKS.search(text):
        view, places = _without(_ESCAPE, text, None)
        yield view, places
        if "\x1b" in view:
            yield _without(_COLOURS, view, places)


def _without(pattern: re.Pattern[str], text: str, places: Places) -> tuple[str, Places]:
    """`text` with what the pattern finds replaced by the character that it stands for, or by nothing."""
    parts: list[str] = []
    kept: list[int] = []
    at = 0
    for match in pattern.finditer(text):
        parts.append(text[at : match.start()])
        kept.extend(range(at, match.start()))
        if (char := _char(match)) is not None:
            parts.append(char)
            kept.append(match.start())
        at = match.end()
    parts.append(text[at:])
    kept.extend(range(at, len(text) + 1))
    return "".join(parts), kept if places is None else [places[place] for place in kept]


def _char(match: re.Match[str]) -> str | None:
    if match.lastindex is None:
        return None
    code = int(match[match.lastindex], 10 if match.lastindex == 5 else 16)
    return chr(code) if code < 0x110000 else None


def _place(places: Places, at: int) -> int:
    return at if places is None else places[at]


def _found(forms: list[str], view: str, places: Places) -> Iterator[tuple[int, int]]:
    for form in forms:
        at = view.find(form)
        while at >= 0:
            end = at + len(form)
            yield _place(places, at), _place(places, end)
            at = view.find(form, end)


def _mapped(value: Any, change: Callable[[str], str]) -> Any:
    if isinstance(value, str):
        return change(value)
    if isinstance(value, list):
        return [_mapped(part, change) for part in value]
    if isinstance(value, dict):
        return {change(key): _mapped(part, change) for key, part in value.items()}
    return value


def _at(file: Any, begin: int, size: int) -> bytes:
    file.seek(begin)
    data: bytes = file.read(size)
    return data
