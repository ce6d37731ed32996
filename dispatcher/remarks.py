"""Comments on lines of a diff: what they quote, where they stand when the branch has moved, how an agent is told of them."""

from __future__ import annotations

import re
from collections.abc import Sequence
from typing import Literal, NamedTuple, Protocol

from pydantic import BaseModel, Field, model_validator

from dispatcher.changes import FileChange, lines_of
from dispatcher.git import Repository
from dispatcher.text import storable

QUOTED_LINES = 60
"""Lines of a range that are kept with a comment."""
MOST_LINE = 2**31 - 1
Side = Literal["new", "old"]
Where = Literal["here", "moved", "outdated", "file", "elsewhere"]

_FENCE = re.compile(r"^(?P<fence>`{3,}|~{3,})[ \t]*suggestion[ \t]*\n(?P<body>.*?)^(?P=fence)[ \t]*$", re.MULTILINE | re.DOTALL)


class LineComment(BaseModel):
    """What a reviewer says about a line of a file, about the lines `start_line` to `line`, or about the whole file.

    `side` is old for lines that were removed. A block fenced as ```suggestion in `body` is what to put in their place.
    """

    path: str = Field(min_length=1, max_length=4096, pattern=r"^[^\x00]+$")
    line: int | None = Field(None, ge=1, le=MOST_LINE)
    start_line: int | None = Field(None, ge=1, le=MOST_LINE)
    side: Side = "new"
    body: str = Field(min_length=1)

    @model_validator(mode="after")
    def _in_order(self) -> LineComment:
        if self.start_line is not None and (self.line is None or self.start_line > self.line):
            raise ValueError("start_line is the first of the lines: it needs a line that is not before it")
        return self


class Remark(LineComment):
    """A line comment with the lines that it is about, as they are in the commit `head_sha`."""

    snippet: str = ""
    head_sha: str | None = None


class Lines(Protocol):
    """What comments and drafts have in common."""

    @property
    def path(self) -> str | None: ...  # noqa: D102
    @property
    def line(self) -> int | None: ...  # noqa: D102
    @property
    def start_line(self) -> int | None: ...  # noqa: D102
    @property
    def side(self) -> str: ...  # noqa: D102
    @property
    def snippet(self) -> str: ...  # noqa: D102


class Place(NamedTuple):
    """Where a comment stands in a diff: here as it was said, moved with its lines, outdated, on the file, or elsewhere."""

    where: Where
    line: int | None = None
    start_line: int | None = None


def quote(repository: Repository, files: Sequence[FileChange], head: str, comment: LineComment) -> Remark:
    """The comment with the lines that it is about; none where it is about a whole file, or one that the diff has not."""
    lines = _side(repository, files, comment.path, comment.side)
    last = comment.line or 0
    first = comment.start_line or last
    chosen = lines[first - 1 : last] if first else ()
    snippet = storable("\n".join(chosen[:QUOTED_LINES]))
    return Remark(**comment.model_dump(), snippet=snippet, head_sha=head)


def locate(repository: Repository, files: Sequence[FileChange], comment: Lines) -> Place:
    """Where a comment's lines are in a diff of `files`, which may be of a later head than it was said at."""
    if not any(file.path == comment.path for file in files):
        return Place("elsewhere")
    if comment.line is None:
        return Place("file")
    lines = _side(repository, files, comment.path or "", comment.side)
    first, last = comment.start_line or comment.line, comment.line
    if not comment.snippet:
        return Place("here", last, comment.start_line) if last <= len(lines) else Place("outdated")
    wanted = tuple(comment.snippet.split("\n"))
    if lines[first - 1 : first - 1 + len(wanted)] == wanted:
        return Place("here", last, comment.start_line)
    found = [
        at for at in range(len(lines) - len(wanted) + 1) if lines[at] == wanted[0] and lines[at : at + len(wanted)] == wanted
    ]
    if len(found) != 1 or not comment.snippet.strip():
        return Place("outdated")
    moved = found[0] + 1 - first
    return Place("moved", last + moved, comment.start_line + moved if comment.start_line else None)


def segments(body: str) -> list[tuple[str, str]]:
    """A comment cut into what is `text` and what is a `suggestion`, in their order."""
    found: list[tuple[str, str]] = []
    at = 0
    for match in _FENCE.finditer(body):
        found += [("text", body[at : match.start()]), ("suggestion", match["body"].removesuffix("\n"))]
        at = match.end()
    found.append(("text", body[at:]))
    return [(kind, text) for kind, text in found if kind == "suggestion" or text.strip()]


def spot(comment: LineComment | Lines) -> str:
    """Which lines a comment is about, in words: "lines 3 to 5"; empty for a whole file."""
    if comment.line is None:
        return ""
    old = comment.side == "old"
    if comment.start_line is None or comment.start_line == comment.line:
        return f"line {comment.line}{' that was removed' if old else ''}"
    return f"lines {comment.start_line} to {comment.line}{' that were removed' if old else ''}"


def told(remarks: Sequence[Remark]) -> str:
    """The comments as an agent is told of them: where, the code that is there, what was said, what to put in its place."""
    return "\n\n".join(f"{number}. {_told(remark)}" for number, remark in enumerate(remarks, 1))


def _told(remark: Remark) -> str:
    place = f"{remark.path}:{remark.start_line}-{remark.line}" if remark.start_line else f"{remark.path}:{remark.line}"
    head = f"{remark.path} (the whole file)" if remark.line is None else place
    if remark.side == "old":
        head += " (of the version before your changes)"
    parts = [f"{head}:"]
    if remark.snippet:
        first = remark.start_line or remark.line or 1
        parts.append(_fenced("\n".join(f"{first + at}: {line}" for at, line in enumerate(remark.snippet.split("\n")))))
    parts.append(_FENCE.sub(lambda match: _replace(remark, match["body"].removesuffix("\n")), remark.body).strip())
    return "\n".join(parts)


def _replace(remark: Remark, text: str) -> str:
    first, last = remark.start_line or remark.line, remark.line
    which = f"line {last}" if first == last else f"lines {first} to {last}"
    if not text:
        return f"Delete {which} of {remark.path}."
    return f"Replace {which} of {remark.path} by exactly this:\n{_fenced(text)}"


def _fenced(text: str) -> str:
    longest = max((len(run) for run in re.findall(r"`+", text)), default=0)
    fence = "`" * max(3, longest + 1)
    return f"{fence}\n{text}\n{fence}"


def side_lines(repository: Repository, file: FileChange, side: str) -> tuple[str, ...]:
    """A file's lines on one side of the diff; none for what has no lines."""
    if file.binary or "160000" in (file.old_mode, file.new_mode):
        return ()
    return tuple(storable(line) for line in lines_of(repository, file.old_blob if side == "old" else file.new_blob))


def _side(repository: Repository, files: Sequence[FileChange], path: str, side: str) -> tuple[str, ...]:
    file = next((file for file in files if file.path == path), None)
    return side_lines(repository, file, side) if file is not None else ()
