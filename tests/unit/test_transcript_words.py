"""Colours of programs, edits as diffs, and long texts, as a transcript shows them."""

from __future__ import annotations

from typing import Any

import pytest

from dispatcher.reading import Branch
from web.ansi import MOST, pieces
from web.edits import edits_of
from web.items import HEAD_LINES, TAIL_LINES, WHOLE_CHARACTERS, Entry, Excerpt, Scene, excerpt

ROOT = Branch(1, "", None, None, "ses", {"started_at": "2026-11-21T12:00:00+00:00"}, provisional=False)


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("plain", [("", "plain")]),
        ("\x1b[31mred\x1b[0m not", [("ansi-red", "red"), ("", " not")]),
        ("\x1b[1;92mgo\x1b[22mon", [("ansi-green ansi-bold", "go"), ("ansi-green", "on")]),
        (
            "\x1b[38;5;196ma\x1b[38;2;0;0;255mb\x1b[38;5;8mc\x1b[39md",
            [("ansi-red", "a"), ("ansi-blue", "b"), ("ansi-grey", "c"), ("", "d")],
        ),
        ("\x1b[48;5;196;1ma", [("ansi-bold", "a")]),
        ("\x1b[41mground", [("", "ground")]),
        ("\x1b]8;;http://evil.example\x07link\x1b]8;;\x07", [("", "link")]),
        ("\x1b[2J\x1b[H\x1b[?25lcleared\x1b(B", [("", "cleared")]),
        ("10%\r20%\r\nend\r", [("", "10%\n20%\nend\n")]),
        ("\x1b]0;never ended", [("", "0;never ended")]),
        ("\x1b[999999999999999999999mx", [("", "x")]),
        ("\x1b[38mx\x1b[38;2;1my", [("", "xy")]),
        ("", []),
    ],
)
def test_colours_become_names_and_nothing_else_acts(text: str, expected: list[tuple[str, str]]) -> None:
    assert [tuple(piece) for piece in pieces(text)] == expected


def test_a_text_of_nothing_but_colours_is_bounded() -> None:
    text = "".join(f"\x1b[{31 + at % 6}m{at} " for at in range(9000))
    found = pieces(text)
    assert len(found) == MOST and "".join(piece.text for piece in found) == "".join(f"{at} " for at in range(9000))


def call(given: Any, **more: Any) -> dict[str, Any]:
    return {"kind": "tool_call", "tool_kind": "edit", "tool": "edit", "input": given, "seq": 0} | more


@pytest.mark.parametrize(
    ("given", "path", "lines"),
    [
        ({"filePath": "a", "oldString": "x\ny", "newString": "x\nz"}, "a", [" x", "-y", "+z"]),
        ({"path": "a", "before": "x", "after": ""}, "a", ["-x"]),
        ({"command": "str_replace", "path": "a", "old_str": "x", "new_str": "y"}, "a", ["-x", "+y"]),
        ({"path": "a", "edits": [{"search": "x", "replace": "y"}]}, "a", ["-x", "+y"]),
        ({"filePath": "a", "content": "x\ny\n"}, "a", ["+x", "+y"]),
        ({"patchText": "*** Begin Patch\n*** Update File: a\n@@\n x\n-y\n+z\n"}, None, ["@@@", " x", "-y", "+z"]),
    ],
)
def test_edits_of_every_harness_are_diffs(given: dict[str, Any], path: str | None, lines: list[str]) -> None:
    (edit,) = edits_of(call(given))
    assert (edit.path, [line.sign + line.text for line in edit.lines]) == (path, lines)
    assert (edit.additions, edit.deletions) == (sum(one[0] == "+" for one in lines), sum(one[0] == "-" for one in lines))


def test_the_harness_s_own_diff_wins_and_a_long_one_is_cut() -> None:
    diff = "Index: a\n--- a\n+++ a\n@@ -1,2 +1,2 @@\n same\n-old\n+new\n\\ No newline at end of file"
    (edit,) = edits_of(call({"filePath": "a", "oldString": "old", "newString": "new"}, extra={"metadata": {"diff": diff}}))
    assert [line.sign + line.text for line in edit.lines] == ["@@@ -1,2 +1,2 @@", " same", "-old", "+new"]
    (edit,) = edits_of(call({"content": "x\n" * 1000}), most=10)
    assert (len(edit.lines), edit.left, edit.additions) == (10, 990, 1000)
    (edit,) = edits_of(call({"oldString": "a\n" * 700, "newString": "a\n" * 701}), most=9000)
    assert (edit.deletions, edit.additions) == (700, 701)


@pytest.mark.parametrize("given", [None, "text", [], {"path": 3}, {"edits": ["x"]}, {"oldString": 1, "newString": "x"}])
def test_what_is_no_edit_gives_none(given: Any) -> None:
    assert edits_of(call(given)) == []


def shown(cut: Excerpt) -> list[str]:
    """The texts of an excerpt, with what is left out between them."""
    return ["".join(one.text for one in part) if isinstance(part, list) else f"{part.left} {part.unit}" for part in cut.parts]


def test_long_texts_keep_their_beginning_and_their_end() -> None:
    lines = [f"line {number}" for number in range(1000)]
    cut = excerpt("\n".join(lines))
    head, left, tail = shown(cut)
    assert (head.split("\n"), tail.split("\n")) == (lines[:HEAD_LINES], lines[-TAIL_LINES:])
    assert (left, cut.lines) == (f"{1000 - HEAD_LINES - TAIL_LINES} lines", 1000)
    one = excerpt("x" * 100_000)
    head, left, tail = shown(one)
    assert left == f"{100_000 - len(head) - len(tail)} characters"
    assert excerpt("\n".join(lines), whole=True).left == 0
    assert (excerpt("a\nb\n").lines, excerpt("a\nb").lines) == (2, 2)


def test_the_largest_texts_keep_their_end_too_and_what_is_looked_for() -> None:
    text = "begin " + "x" * WHOLE_CHARACTERS + " the  Needle stands here " + "y" * WHOLE_CHARACTERS + " end"
    head, left, tail = shown(excerpt(text, whole=True))
    assert head.startswith("begin") and tail.endswith(" end") and left.endswith(" characters")
    parts = shown(excerpt(text, whole=True, words="the needle"))
    assert "the  Needle stands here" in parts[2] and sum(map(len, parts)) <= WHOLE_CHARACTERS + 100
    for words in ("begin", "y end", "not there", "(", "x y"):
        parts = shown(excerpt(text, whole=True, words=words))
        assert parts[0].startswith("begin") and parts[-1].endswith(" end"), words
    third = "a" * (WHOLE_CHARACTERS // 3)
    for near in (third + "needle" + third * 3, third * 3 + "needle" + third):
        parts = shown(excerpt(near, whole=True, words="needle"))
        assert any("needle" in part for part in parts) and not any(part.startswith("0 ") for part in parts)


def entry(**item: Any) -> Entry:
    return Scene(7, ROOT, [ROOT]).entries([{"seq": 4, "at": None} | item])[0]


def test_an_entry_is_told_in_words() -> None:
    ran = entry(
        kind="tool_call",
        tool="bash",
        tool_kind="execute",
        title="make test",
        input={"command": "make test", "description": "Run"},
        status="completed",
        exit_code=1,
        output="1 failed",
        started_at="2026-11-21T13:01:05Z",
        ended_at="2026-11-21T13:01:07.5Z",
    )
    assert (ran.word, ran.title, ran.command, ran.given, ran.seconds, ran.since_start) == (
        "Run",
        "make test",
        "make test",
        None,
        2.5,
        "1:01:05",
    )
    assert ran.failed and ran.anchor == "item-7-4"
    assert entry(kind="tool_call", tool="odd", input={"a": 1}).given is not None
    assert entry(kind="tool_call", tool="odd", input={}).given is None
    assert entry(kind="tool_call", tool="odd", status="in_progress", started_at="2026-11-21T13:01:05Z").running_since
    assert entry(kind="tool_call", tool="odd").title == "odd" and entry(kind="tool_call").title == "tool"
    assert entry(kind="notice", at="no time").since_start == "" == entry(kind="notice", at="2026-11-21T11:00:00Z").since_start
