"""What a tool call changes in files, as short diffs: from the shapes of input that harnesses have for it."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from difflib import SequenceMatcher
from typing import Any, NamedTuple

MOST_LINES = 160
"""Of one edit on a page."""
COMPARED = 600
"""Lines on either side that are compared; larger ones are shown as taken out and put in."""
CONTEXT = 3

# OpenCode 1.18, Goose 1.52 and its text_editor of before, Aider's blocks, and the names that other tools have for the same.
PAIRS = (
    ("oldString", "newString"),
    ("before", "after"),
    ("old_str", "new_str"),
    ("old_string", "new_string"),
    ("search", "replace"),
)
WHOLE = ("content", "file_text", "contents")
PATCHES = ("patchText", "patch", "diff", "input")
PATHS = ("filePath", "path", "file_path", "filename")


class Line(NamedTuple):
    """`sign` is "+", "-", " " for context, or "@" for what was left out between."""

    sign: str
    text: str


@dataclass(frozen=True)
class Edit:
    """One change of one file; `left` lines of it are not shown."""

    path: str | None
    lines: list[Line]
    additions: int
    deletions: int
    left: int = 0


def edits_of(item: dict[str, Any], most: int = MOST_LINES) -> list[Edit]:
    """The edits that a tool call asked for; none where its input has no known shape."""
    given = item.get("input")
    if item.get("tool_kind") != "edit" or not isinstance(given, dict):
        return []
    path = next((given[name] for name in PATHS if isinstance(given.get(name), str)), None)
    return [_edit(path, lines, most) for lines in _found(given, (item.get("extra") or {}).get("metadata"))]


def _found(given: dict[str, Any], metadata: Any) -> Iterator[list[Line]]:
    # What the harness itself found to be the difference has its place in the file.
    diff = metadata.get("diff") if isinstance(metadata, dict) else None
    if isinstance(diff, str) and "@@" in diff:
        yield _patch(diff)
        return
    for part in (given, *(given["edits"] if isinstance(given.get("edits"), list) else [])):
        if isinstance(part, dict) and (pair := _pair(part)) is not None:
            yield _compared(*pair)
    whole = next((given[name] for name in WHOLE if isinstance(given.get(name), str)), None)
    if whole is not None:
        yield [Line("+", text) for text in whole.splitlines()]
    patch = next((given[name] for name in PATCHES if isinstance(given.get(name), str)), None)
    if patch is not None:
        yield _patch(patch)


def _pair(part: dict[str, Any]) -> tuple[str, str] | None:
    for old, new in PAIRS:
        if isinstance(part.get(old), str) and isinstance(part.get(new), str):
            return part[old], part[new]
    return None


def _patch(text: str) -> list[Line]:
    """The lines of a diff, or of a patch as apply_patch takes it, without its headers."""
    lines = text.splitlines()
    begin = next((at for at, line in enumerate(lines) if line.startswith("@@")), 0)
    shown = []
    for line in lines[begin:]:
        if line.startswith(("@@", "***")):
            shown.append(Line("@", line))
        elif line.startswith(("+", "-", " ")):
            shown.append(Line(line[0], line[1:]))
        elif line and not line.startswith("\\"):
            shown.append(Line(" ", line))
    return shown


def _compared(old: str, new: str) -> list[Line]:
    before, after = old.splitlines(), new.splitlines()
    if max(len(before), len(after)) > COMPARED:
        return [*(Line("-", text) for text in before), *(Line("+", text) for text in after)]
    lines: list[Line] = []
    for group in SequenceMatcher(None, before, after, autojunk=False).get_grouped_opcodes(CONTEXT):
        if lines:
            lines.append(Line("@", "…"))
        for tag, a, b, c, d in group:
            if tag == "equal":
                lines += [Line(" ", text) for text in before[a:b]]
            else:
                lines += [*(Line("-", text) for text in before[a:b]), *(Line("+", text) for text in after[c:d])]
    return lines


def _edit(path: str | None, lines: list[Line], most: int) -> Edit:
    signs = [line.sign for line in lines]
    return Edit(path, lines[:most], signs.count("+"), signs.count("-"), max(0, len(lines) - most))
