"""Items of a session as a page shows them: what happened in words, long texts cut in their middle, edits as diffs."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any, NamedTuple

from adapters.decode import brief
from adapters.session import Item
from dispatcher.reading import Branch
from web.ansi import Piece, pieces
from web.edits import Edit, edits_of
from web.render import pretty

HEAD_LINES, TAIL_LINES = 24, 48
HEAD_CHARACTERS, TAIL_CHARACTERS = 2_500, 5_000
"""Of a long text: how it begins, and how it ends, where programs say what is wrong."""
WHOLE_CHARACTERS = 500_000
"""Of a text that is asked for whole; beyond that the API has it."""
WHOLE_LINES = 10_000
TITLE = 240

TOOL_WORDS = {
    "read": "Read",
    "edit": "Edit",
    "delete": "Delete",
    "move": "Move",
    "search": "Search",
    "execute": "Run",
    "think": "Think",
    "fetch": "Fetch",
    "other": "Tool",
}
STATUS_WORDS = {"pending": "pending", "in_progress": "running", "completed": "done", "failed": "failed"}
KIND_WORDS = {
    "user": "Prompt",
    "assistant": "Agent",
    "reasoning": "Reasoning",
    "plan": "Plan",
    "usage": "Tokens",
    "error": "Error",
    "notice": "Notice",
}
WORDS = {"tools": TOOL_WORDS, "status": STATUS_WORDS, "kinds": KIND_WORDS}


class Excerpt(NamedTuple):
    """A text, or its beginning and its end with `left` lines (`characters` where it is one long line) between them."""

    head: list[Piece]
    tail: list[Piece]
    left: int
    unit: str
    lines: int
    characters: int


@dataclass(frozen=True)
class Entry:
    """One item, ready for the template."""

    item: dict[str, Any]
    anchor: str
    word: str
    icon: str
    title: str
    status: str
    since_start: str
    seconds: float | None
    running_since: str | None
    text: Excerpt | None
    command: str | None
    given: Excerpt | None
    edits: list[Edit]
    output: Excerpt | None
    children: list[Branch] = field(default_factory=list)

    @property
    def failed(self) -> bool:
        """Whether it is one of the errors."""
        return self.status == "failed" or self.item["kind"] == "error" or bool(self.item["exit_code"])


def anchor(run_id: int, session: str, seq: int) -> str:
    """The id of an item's element, which links name."""
    return f"item-{run_id}-{session}-{seq}" if session else f"item-{run_id}-{seq}"


@dataclass(frozen=True)
class Scene:
    """What the items of one session are shown in; `whole` cuts no text."""

    run_id: int
    branch: Branch
    branches: Sequence[Branch]
    began: datetime | None = None
    whole: bool = False

    def entries(self, items: Iterable[dict[str, Any]]) -> list[Entry]:
        """The items for the template, with the sessions that they started."""
        below: dict[int | None, list[Branch]] = {}
        for child in self.branches:
            if child.parent == self.branch.name:
                below.setdefault(child.call, []).append(child)
        return [_entry(self, item, below.get(item["seq"], [])) for item in items]


def loose(branch: Branch, branches: Sequence[Branch]) -> list[Branch]:
    """The children of a session of which no item is known to have started them."""
    return [child for child in branches if child.parent == branch.name and child.call is None]


def excerpt(text: str, *, whole: bool = False) -> Excerpt:
    """A text with its middle left out where it is long."""
    lines = text.count("\n") + (not text.endswith("\n"))
    if whole or (lines <= HEAD_LINES + TAIL_LINES and len(text) <= HEAD_CHARACTERS + TAIL_CHARACTERS):
        left = max(0, len(text) - WHOLE_CHARACTERS)
        return Excerpt(pieces(text[:WHOLE_CHARACTERS]), [], left, "characters", lines, len(text))
    head = "\n".join(text[:HEAD_CHARACTERS].split("\n")[:HEAD_LINES])
    tail = "\n".join(text[len(head) :][-TAIL_CHARACTERS:].split("\n")[-TAIL_LINES:])
    middle = text[len(head) : len(text) - len(tail)]
    between = middle.count("\n") - 1
    left, unit = (between, "lines") if between > 1 else (len(middle), "characters")
    return Excerpt(pieces(head), pieces(tail), left, unit, lines, len(text))


def _entry(scene: Scene, stored: dict[str, Any], children: list[Branch]) -> Entry:
    # Items leave out what they do not use; templates may name it all the same.
    item: dict[str, Any] = {**dict.fromkeys(Item.model_fields), **stored}
    call, whole = item["kind"] == "tool_call", scene.whole
    edits = edits_of(item, most=WHOLE_LINES) if whole else edits_of(item)
    command = _command(item) if call else None
    started, ended = _moment(item["started_at"]), _moment(item["ended_at"])
    running = call and item["status"] == "in_progress"
    began = _moment(scene.branch.header.get("started_at")) or scene.began
    return Entry(
        item=item,
        anchor=anchor(scene.run_id, scene.branch.name, item["seq"]),
        word=TOOL_WORDS.get(item["tool_kind"] or "other", "Tool") if call else KIND_WORDS[item["kind"]],
        icon=(item["tool_kind"] or "other") if call else item["kind"],
        title=_title(item, edits),
        status=(item["status"] or "pending") if call else "",
        since_start=_since(began, _moment(item["at"]) or started),
        seconds=(ended - started).total_seconds() if started and ended else None,
        running_since=started.isoformat() if running and started else None,
        text=excerpt(item["text"], whole=whole) if item["text"] else None,
        command=command,
        given=excerpt(pretty(item["input"]), whole=whole) if _needs_input(item, command, edits) else None,
        edits=edits,
        output=excerpt(item["output"], whole=whole) if item["output"] else None,
        children=children,
    )


def _title(item: dict[str, Any], edits: list[Edit]) -> str:
    if item["kind"] != "tool_call":
        return brief(item["text"] or "", TITLE)
    title = brief(item["title"] or "", TITLE)
    path = next((edit.path for edit in edits if edit.path), None)
    return title or brief(path or item["tool"] or "tool", TITLE)


def _command(item: dict[str, Any]) -> str | None:
    given = item["input"]
    if item["tool_kind"] != "execute" or not isinstance(given, dict) or not isinstance(given.get("command"), str):
        return None
    command: str = given["command"]
    return command


def _needs_input(item: dict[str, Any], command: str | None, edits: list[Edit]) -> bool:
    """Whether the input tells more than the command or the edits do."""
    given = item["input"]
    if given is None or given in ({}, ""):
        return False
    if command is not None:
        return bool(given.keys() - {"command", "description"})
    return not edits


def _since(began: datetime | None, at: datetime | None) -> str:
    """How long after the session's start, as a clock: 0:42, 1:02:10."""
    if began is None or at is None:
        return ""
    seconds = int((at - began).total_seconds())
    if seconds < 0:
        return ""
    hours, rest = divmod(seconds, 3600)
    minutes, seconds = divmod(rest, 60)
    return f"{hours}:{minutes:02}:{seconds:02}" if hours else f"{minutes}:{seconds:02}"


def _moment(text: Any) -> datetime | None:
    if not isinstance(text, str):
        return None
    try:
        at = datetime.fromisoformat(text)
    except ValueError:
        return None
    return at if at.tzinfo else None
