"""Secrets are found in every way that programs write them, and nothing else is touched."""

from __future__ import annotations

import base64
import html
import json
import random
from collections.abc import Callable
from pathlib import Path
from urllib.parse import quote

import pytest

from adapters.redact import BEGINNING, MASK, WINDOW, Redactor

SECRET = "sk-Zq9/x+4T=aB%7d&e"
REDACTOR = Redactor(frozenset({SECRET, "pässwörd-1"}))


def percent(text: str) -> str:
    return "".join(f"%{byte:02X}" for byte in text.encode())


def each(form: str) -> Callable[[str], str]:
    return lambda text: "".join(form.format(ord(char)) for char in text)


BY_CHARACTER: dict[str, Callable[[str], str]] = {
    "as it is": str,
    "url": lambda text: quote(text, safe=""),
    "url, each character": percent,
    "url in a url": lambda text: quote(quote(text, safe=""), safe=""),
    "json": lambda text: json.dumps(text)[1:-1].replace("/", "\\/"),
    "json, each character": each("\\u{:04x}"),
    "json in json": each("\\\\u{:04X}"),
    "program text": each("\\x{:02x}"),
    "html": each("&#{};"),
    "html, hexadecimal": each("&#x{:x};"),
    "hexadecimal": lambda text: text.encode().hex(),
    "hexadecimal, capital": lambda text: text.encode().hex().upper(),
}
WAYS = {name: write(SECRET) for name, write in BY_CHARACTER.items()} | {
    "colours": SECRET[:5] + "\x1b[1;31m" + SECRET[5:9] + "\x1b[0m\x1b[K" + SECRET[9:],
    "colours in json": json.dumps(SECRET[:5] + "\x1b[1;31m" + SECRET[5:])[1:-1],
    "a link in a terminal": SECRET[:5] + "\x1b]8;;http://x\x1b\\" + SECRET[5:],
    "another alphabet": "pässwörd-1",
    "another alphabet in a url": percent("pässwörd-1"),
}


@pytest.mark.parametrize("way", WAYS)
def test_every_way_of_writing_it(way: str) -> None:
    told = REDACTOR.text(f"before {WAYS[way]} after")
    assert told == f"before {MASK} after"
    assert REDACTOR.data({"key": [WAYS[way], 1, None]}) == {"key": [MASK, 1, None]}
    raw = f"before {WAYS[way]} after".encode()
    masked = REDACTOR.bytes(raw)
    assert len(masked) == len(raw) and masked.startswith(b"before *") and masked.endswith(b"* after")


@pytest.mark.parametrize("shift", range(3))
@pytest.mark.parametrize("encode", [base64.b64encode, base64.urlsafe_b64encode, base64.encodebytes])
def test_base64_at_each_alignment(shift: int, encode: object) -> None:
    assert callable(encode)
    text = encode(b"x" * (60 + shift) + SECRET.encode() + b" and what follows it").decode()
    told = REDACTOR.text(text)
    assert MASK in told and len(told) < len(text)
    left = base64.b64decode(told.replace(MASK, "").replace("\n", "").replace("-", "+").replace("_", "/") + "===")
    assert all(SECRET.encode()[at : at + 6] not in left for at in range(len(SECRET) - 6))


def test_where_nothing_is_secret_nothing_changes() -> None:
    harmless = html.escape('{"a": "\\u0041%20\x1b[1mb\x1b[0m &#65; \\\\"}')
    assert REDACTOR.text(harmless) == harmless
    assert Redactor().text(SECRET) == SECRET
    assert Redactor(frozenset({"short"})).text("a short word") == "a short word"
    assert Redactor().growing(SECRET) == SECRET and Redactor().data([SECRET]) == [SECRET]


def test_two_that_overlap_are_masked_together() -> None:
    assert Redactor(frozenset({"abcdefgh", "efghijkl"})).text("<abcdefghijkl>") == f"<{MASK}>"
    assert Redactor(frozenset({"abcdef", "abcdefgh"})).text("<abcdefgh>") == f"<{MASK}>"


@pytest.mark.parametrize("way", BY_CHARACTER)
def test_a_text_that_grows_never_shows_its_beginning(way: str) -> None:
    write = BY_CHARACTER[way]
    whole = f"The key is {write(SECRET)}, and that is all."
    for end in range(len(whole) + 1):
        assert write(SECRET[:BEGINNING]) not in REDACTOR.growing(whole[:end])
    assert REDACTOR.growing(whole) == f"The key is {MASK}, and that is all."
    assert REDACTOR.growing("ends in sk-") == "ends in sk-" and REDACTOR.growing("ends in sk-Z") == "ends in "


def test_a_log_is_masked_in_place_over_the_borders_of_what_is_read_at_once(tmp_path: Path) -> None:
    path = tmp_path / "log"
    filler = random.Random(7).randbytes(WINDOW - 9)
    path.write_bytes(filler + SECRET.encode() + b"\n" + percent(SECRET).encode() + b" end")
    size = path.stat().st_size
    assert REDACTOR.file(path) == 2
    masked = path.read_bytes()
    assert len(masked) == size and masked.startswith(filler) and masked.endswith(b"* end")
    assert set(masked[len(filler) : len(filler) + len(SECRET)]) == {ord("*")}
    assert REDACTOR.file(path) == 0 and REDACTOR.file(tmp_path / "none") == 0
