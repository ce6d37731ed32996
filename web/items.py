"""Items of a session as a page shows them: what happened in words, long texts cut in their middle, edits as diffs."""

from __future__ import annotations

import re
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from functools import partial
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


class Gap(NamedTuple):
    """So many lines, or characters where it is one long line, that are left out."""

    left: int
    unit: str


class Excerpt(NamedTuple):
    """A text in pieces, or its beginning and its end, with what is left out between them."""

    parts: list[list[Piece] | Gap]
    lines: int
    characters: int
    whole: bool = False
    """Whether more of it is shown than this by nobody but the API."""

    @property
    def left(self) -> int:
        """Lines or characters that are left out."""
        return sum(part.left for part in self.parts if isinstance(part, Gap))


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
    """What the items of one session are shown in; `whole` leaves nothing out but of the very largest texts.

    Of those it shows where they have the `words`.
    """

    run_id: int
    branch: Branch
    branches: Sequence[Branch]
    began: datetime | None = None
    whole: bool = False
    words: str = ""

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


def excerpt(text: str, *, whole: bool = False, words: str = "") -> Excerpt:
    """A text with its middle left out where it is long.

    Also `whole` it is not longer than a browser takes: its beginning, its end, and where it has the `words`.
    """
    lines = text.count("\n") + (not text.endswith("\n"))
    if len(text) <= WHOLE_CHARACTERS if whole else _short(text, lines):
        return Excerpt([pieces(text)], lines, len(text))
    if whole:
        spans = _largest(text, words)
    else:
        head = "\n".join(text[:HEAD_CHARACTERS].split("\n")[:HEAD_LINES])
        tail = "\n".join(text[len(head) :][-TAIL_CHARACTERS:].split("\n")[-TAIL_LINES:])
        spans = [(0, len(head)), (len(text) - len(tail), len(text))]
    parts: list[list[Piece] | Gap] = []
    for number, (begin, end) in enumerate(spans):
        if number:
            parts.append(_gap(text[spans[number - 1][1] : begin]))
        parts.append(pieces(text[begin:end]))
    return Excerpt(parts, lines, len(text), whole)


def _short(text: str, lines: int) -> bool:
    return lines <= HEAD_LINES + TAIL_LINES and len(text) <= HEAD_CHARACTERS + TAIL_CHARACTERS


def _gap(middle: str) -> Gap:
    between = middle.count("\n") - 1
    return Gap(between, "lines") if between > 1 else Gap(len(middle), "characters")


def _largest(text: str, words: str) -> list[tuple[int, int]]:
    """The spans of a text of which not all can be shown: thirds, at its beginning, around the first hit, at its end."""
    third = WHOLE_CHARACTERS // 3
    pattern = r"\s+".join(map(re.escape, words.split()))
    hit = re.search(pattern, text, re.IGNORECASE) if pattern else None
    begin = max(0, hit.start() - third // 2) if hit else 0
    return _merged([(0, third), (begin, begin + third), (len(text) - third, len(text))])


def _merged(spans: list[tuple[int, int]]) -> list[tuple[int, int]]:
    """Spans in order, each of which begins behind the one before; those that touch are one."""
    found = spans[:1]
    for begin, end in sorted(spans[1:]):
        if begin <= found[-1][1]:
            found[-1] = (found[-1][0], max(end, found[-1][1]))
        else:
            found.append((begin, end))
    return found


def _entry(scene: Scene, stored: dict[str, Any], children: list[Branch]) -> Entry:
    # Items leave out what they do not use; templates may name it all the same.
    item: dict[str, Any] = {**dict.fromkeys(Item.model_fields), **stored}
    call, whole = item["kind"] == "tool_call", scene.whole
    cut = partial(excerpt, whole=whole, words=scene.words)
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
        text=cut(item["text"]) if item["text"] else None,
        command=command,
        given=cut(pretty(item["input"])) if _needs_input(item, command, edits) else None,
        edits=edits,
        output=cut(item["output"]) if item["output"] else None,
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
