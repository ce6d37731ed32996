"""What the API of reviews takes and gives, as types."""

from __future__ import annotations

from typing import Literal

from pydantic import AwareDatetime, BaseModel, Field

from dispatcher.remarks import Side
from dispatcher.review import LineComment
from web.schemas import Input, Out

Kind = Literal["add", "del", "same", "note"]


class HunkOut(BaseModel):
    """A part of a file's diff. Each line: its kind, its number on the old side, on the new side, its text without sign."""

    header: str
    old: int
    new: int
    lines: list[tuple[Kind, int | None, int | None, str]]
    cut: list[int] = []
    """Which of `lines`, counted from 0, are long and not given whole: what is alike on both sides is left out of them first."""


class FileDiffOut(BaseModel):
    """One file's diff. `left` lines of it are not given, nor all of a line that has some thousand characters.

    `old_lines` and `new_lines` are the lengths of the two sides, for fetching what lies between the hunks.
    """

    id: str
    path: str
    base_sha: str
    head_sha: str
    hunks: list[HunkOut]
    notes: list[str] = []
    """What is to be said instead of lines: a mode, a binary file, that only space differs."""
    left: int = 0
    old_lines: int = 0
    new_lines: int = 0


class LinesOut(BaseModel):
    """Lines of one side of a file, from the line `start` on."""

    start: int
    lines: list[str]


class DraftOut(Out):
    """A comment on lines that was not sent yet; only its author sees it."""

    id: int
    path: str
    line: int | None
    start_line: int | None
    side: Side
    body: str
    head_sha: str
    snippet: str
    created_at: AwareDatetime
    updated_at: AwareDatetime


class EditDraft(Input):
    """What it shall say."""

    body: str


class ViewedIn(Input):
    """A file by its path or its id; `blob` is what was seen of it, where the branch may have moved since."""

    file: str = Field(max_length=4096)
    viewed: bool = True
    blob: str | None = Field(None, max_length=64)


class ViewedOut(BaseModel):
    """Whether one has viewed a file as it is now; `changed` where it was another when one did."""

    file: str
    path: str
    viewed: bool
    changed: bool


class Approve(Input):
    """How to merge: merge, squash or ff; the project's own way where it is left out."""

    method: Literal["merge", "squash", "ff"] | None = None
    message: str | None = None
    head: str | None = None
    """The head commit that was looked at; where the branch has moved since, nothing is merged."""


class Changes(Input):
    """What the agent is to change; comments are on lines of the branch, or on a whole file."""

    body: str = ""
    comments: list[LineComment] = Field(default_factory=list)
    drafts: bool = False
    """Send one's own drafts too; they are drafts no more then."""
    head: str | None = None
    """The head commit that was looked at; where the branch has moved since, nothing is sent."""


class Discard(Input):
    """The ticket's key again, since branch and worktree are gone afterwards."""

    confirm: str
