"""Comments on lines as an agent is told of them; a patch as data; regions in conflict; files as a tree."""

from __future__ import annotations

from types import SimpleNamespace

import pytest
from pydantic import ValidationError

from dispatcher.forecast import regions
from dispatcher.remarks import LineComment, Remark, segments, spot, told
from web.diffs import sections, without_returns
from web.pages.review.tree import tree


@pytest.mark.parametrize(
    ("values", "words"),
    [
        ({}, ""),
        ({"line": 3}, "line 3"),
        ({"line": 3, "start_line": 3}, "line 3"),
        ({"line": 5, "start_line": 3}, "lines 3 to 5"),
        ({"line": 3, "side": "old"}, "line 3 that was removed"),
        ({"line": 5, "start_line": 3, "side": "old"}, "lines 3 to 5 that were removed"),
    ],
)
def test_where_a_comment_is_in_words(values: dict[str, object], words: str) -> None:
    assert spot(LineComment.model_validate({"path": "a.py", "body": "x"} | values)) == words


@pytest.mark.parametrize(
    "values",
    [
        {"start_line": 2},
        {"line": 2, "start_line": 3},
        {"line": 0},
        {"path": ""},
        {"path": "a\x00b"},
        {"side": "left"},
        {"body": ""},
    ],
)
def test_comments_that_there_are_not(values: dict[str, object]) -> None:
    with pytest.raises(ValidationError):
        LineComment.model_validate({"path": "a.py", "body": "x"} | values)


@pytest.mark.parametrize(
    ("body", "parts"),
    [
        ("Just words.", [("text", "Just words.")]),
        ("```suggestion\na\nb\n```", [("suggestion", "a\nb")]),
        ("Why?\n```suggestion\na\n```\nSo.", [("text", "Why?\n"), ("suggestion", "a"), ("text", "\nSo.")]),
        ("```suggestion\n```", [("suggestion", "")]),
        ("````suggestion\n```\n````", [("suggestion", "```")]),
        ("~~~ suggestion\na\n~~~", [("suggestion", "a")]),
        ("```python\na\n```", [("text", "```python\na\n```")]),
        ("```suggestion\nnever closed", [("text", "```suggestion\nnever closed")]),
        ("", []),
    ],
)
def test_a_comment_is_cut_into_words_and_suggestions(body: str, parts: list[tuple[str, str]]) -> None:
    assert segments(body) == parts


def test_an_agent_is_told_what_to_put_where() -> None:
    remarks = [
        Remark(path="a.py", line=4, body="```suggestion\n```", snippet="gone"),
        Remark(path="b.py", body="The whole of it."),
        Remark(path="c.py", start_line=1, line=2, body="Look:\n```suggestion\n```x```\n```", snippet="one\ntwo"),
    ]
    first, second, third = told(remarks).split("\n\n", 2)
    assert first == "1. a.py:4:\n```\n4: gone\n```\nDelete line 4 of a.py."
    assert second == "2. b.py (the whole file):\nThe whole of it."
    assert third.endswith("Replace lines 1 to 2 of c.py by exactly this:\n````\n```x```\n````")


def test_regions_in_conflict() -> None:
    text = b"a\n<<<<<<< one\nb\n=======\nc\n>>>>>>> two\nd\n<<<<<<< one\n" + b"x\n" * 100 + b">>>>>>> two\n"
    first, second = regions(text)
    assert (first.line, first.text) == (2, "<<<<<<< one\nb\n=======\nc\n>>>>>>> two")
    assert second.line == 8 and second.text.endswith("[22 more lines]")
    assert regions(b"<<<<<<< never closed\n") == [] and len(regions(text * 30)) == 20


def test_a_hunk_knows_where_it_begins_and_returns_are_taken_where_all_have_one() -> None:
    (section,) = sections("diff --git a/a b/a\n@@ -0,0 +1,2 @@\n+a\r\n+b\r\n")
    assert section.lines[0].at == (1, 1)
    without_returns(section)
    assert [line.text for line in section.lines[1:]] == ["a", "b"]
    (mixed,) = sections("diff --git a/a b/a\n@@ -3,1 +3,1 @@\n-a\r\n+a\n")
    without_returns(mixed)
    assert mixed.lines[0].at == (3, 3) and [line.text for line in mixed.lines[1:]] == ["a\r", "a"]


def test_content_that_looks_like_a_header_is_content() -> None:
    text = "diff --git a/a b/a\n--- a/a\n+++ b/a\n@@ -1,2 +1,2 @@\n--- a/x\n+++ b/x\n+diff --git a/evil b/evil\n"
    (section,) = sections(text)
    assert [(line.kind, line.text) for line in section.lines[1:]] == [
        ("del", "-- a/x"),
        ("add", "++ b/x"),
        ("add", "diff --git a/evil b/evil"),
    ]


def test_files_as_a_tree_whose_lone_folders_are_one_row() -> None:
    paths = ["README.md", "src/app/a.py", "src/app/b.py", "src/app/deep/er/c.py", "tests/d.py"]
    top = tree([SimpleNamespace(path=path) for path in paths])
    assert [name for name, _ in top.files] == ["README.md"]
    assert [folder.name for folder in top.folders] == ["src/app", "tests"]
    inner = top.folders[0]
    assert [name for name, _ in inner.files] == ["a.py", "b.py"] and [one.name for one in inner.folders] == ["deep/er"]
