"""Reading a transcript: the sessions of a run, which of their items are wanted, and windows of them.

Every query goes by (session_id, seq), so that a window costs the same at the end of a long session as at its beginning.
"""

from __future__ import annotations

import json
import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from itertools import islice
from typing import Any, Literal, get_args

from sqlalchemy import Text, and_, cast, func, or_
from sqlmodel import Session as Db
from sqlmodel import col, select

from adapters.decode import plain
from dispatcher.errors import NotFound
from dispatcher.models import ItemRow, Run, SessionRow

Show = Literal["all", "messages", "tools", "edits", "errors"]
SHOWS: tuple[Show, ...] = get_args(Show)
EDITS = ("edit", "delete", "move")
"""Kinds of tool calls that change files."""
LONGEST_QUERY = 200
MOST_DEEP = 20
"""Children of children that are followed; a record that names a session as its own ancestor ends there."""

MOST_FOUND = 5_000
"""Hits of one search in one session."""

_NAME = re.compile(r"[A-Za-z0-9_.:-]{1,100}", re.ASCII)
_WORD = re.compile(r"[a-z0-9]+")
_COLOUR = re.compile(r"\\u001b\[[0-9;:]*[mK]")
"""As it stands in JSON."""


@dataclass(frozen=True)
class Branch:
    """One session of a run: the run's own, whose name is empty, or one that an agent of it started.

    `call` is the `seq` of the parent's item that started it; the items run from `begin` to before `end`, and are `count`.
    """

    id: int
    name: str
    parent: str | None
    call: int | None
    native_id: str | None
    header: dict[str, Any]
    provisional: bool
    begin: int = 0
    end: int = 0
    count: int = 0


def tree(db: Db, run: Run) -> list[Branch]:
    """The sessions of a run: its own first, each before its children, these in the order in which they were made."""
    rows = list(db.exec(select(SessionRow).where(SessionRow.run_id == run.id).order_by(col(SessionRow.id))))
    sizes = _sizes(db, [row.id for row in rows if row.id is not None])
    below: dict[int | None, list[SessionRow]] = {}
    for row in rows:
        below.setdefault(row.parent_id, []).append(row)
    found: list[Branch] = []

    def walk(parent: Branch | None, depth: int) -> None:
        for row in below.get(parent.id if parent else None, []):
            found.append(_branch(row, parent, sizes.get(row.id or 0, (0, 0, 0)), {branch.name for branch in found}))
            if depth < MOST_DEEP:
                walk(found[-1], depth + 1)

    walk(None, 0)
    return found


def pick(branches: Sequence[Branch], name: str) -> Branch:
    """The session of that name; raises `NotFound`."""
    for branch in branches:
        if branch.name == name:
            return branch
    raise NotFound("the run has no such session", "open the run's own transcript", "session")


def wanted(db: Db, branch: Branch, show: Show = "all") -> Sequence[int]:
    """The `seq` of each item that a filter lets through, in order."""
    if show == "all" and branch.count == branch.end - branch.begin:
        return range(branch.begin, branch.end)
    query = select(ItemRow.seq).where(ItemRow.session_id == branch.id).order_by(col(ItemRow.seq))
    condition = _condition(show)
    return list(db.exec(query if condition is None else query.where(condition)))


def counts(db: Db, branch: Branch) -> dict[Show, int]:
    """How many items each filter lets through."""
    columns = [func.count().filter(_condition(show)) for show in SHOWS[1:]]
    row = db.execute(select(*columns).select_from(ItemRow).where(ItemRow.session_id == branch.id)).one()
    found: dict[Show, int] = {"all": branch.count}
    return found | dict(zip(SHOWS[1:], row, strict=True))


def window(db: Db, branch: Branch, seqs: Sequence[int]) -> list[dict[str, Any]]:
    """Those items as JSON data, in order; what is not there is left out."""
    if not seqs:
        return []
    query = select(ItemRow).where(ItemRow.session_id == branch.id).order_by(col(ItemRow.seq))
    if isinstance(seqs, range) and seqs.step == 1:
        query = query.where(col(ItemRow.seq) >= seqs.start, col(ItemRow.seq) < seqs.stop)
    else:
        query = query.where(col(ItemRow.seq).in_(seqs))
    return [row.data for row in db.exec(query)]


def window_after(db: Db, branch: Branch, after: int, limit: int) -> list[dict[str, Any]]:
    """The items whose `seq` is above `after`, at most `limit` of them, as JSON data."""
    query = select(ItemRow).where(ItemRow.session_id == branch.id, ItemRow.seq > after)
    return [row.data for row in db.exec(query.order_by(col(ItemRow.seq)).limit(limit))]


def find(db: Db, branch: Branch, words: str, most: int = MOST_FOUND) -> list[int]:
    """The `seq` of each item that has these words in what it says, asks or gives, in order; case and spaces do not count.

    The database looks for the longest plain word in the JSON as it is stored; only what it finds is read, up to `most` hits.
    """
    needle = " ".join(words[:LONGEST_QUERY].split()).lower()
    if not needle:
        return []
    longest = max(_WORD.findall(needle), key=len, default="")
    stored = cast(col(ItemRow.data), Text)
    query = select(ItemRow.seq, stored).where(ItemRow.session_id == branch.id).order_by(col(ItemRow.seq))
    if longest:
        # Colours may stand within a word.
        query = query.where(or_(stored.ilike(f"%{longest}%"), stored.like(r"%\u001b%", escape="!")))
    hits = (seq for seq, text in db.exec(query).yield_per(500) if _says(text, needle, longest))
    return list(islice(hits, most))


def _says(stored: str, needle: str, longest: str) -> bool:
    if longest not in stored.lower() and longest not in _COLOUR.sub("", stored).lower():
        return False
    spaced = " " in needle
    return any(needle in (" ".join(text.split()) if spaced else text).lower() for text in texts(json.loads(stored)))


def texts(data: Mapping[Any, Any]) -> Iterator[str]:
    """What of an item a person reads."""
    for name in ("text", "title", "tool", "code"):
        if isinstance(data.get(name), str):
            yield data[name]
    if isinstance(data.get("output"), str):
        yield plain(data["output"]) if "\x1b" in data["output"] else data["output"]
    if data.get("input") is not None:
        yield from _strings(data["input"])
    for entry in data.get("entries") or []:
        yield entry["content"]


def seq_of(db: Db, branch: Branch, item_id: str) -> int | None:
    """Where the item with the harness's own name stands; a record that is read back may number its items anew."""
    stored = cast(col(ItemRow.data), Text)
    escaped = json.dumps(item_id).replace("!", "!!").replace("%", "!%").replace("_", "!_")
    query = select(ItemRow.seq, ItemRow.data).where(ItemRow.session_id == branch.id, stored.like(f"%{escaped}%", escape="!"))
    return next((seq for seq, data in db.exec(query) if data.get("id") == item_id), None)


def in_order(branches: Sequence[Branch], found: dict[str, Sequence[int]]) -> list[tuple[str, int]]:
    """Items of several sessions as (session, seq), in reading order: a child's stand behind the call that started it."""
    below: dict[str | None, list[Branch]] = {}
    for branch in branches:
        below.setdefault(branch.parent, []).append(branch)

    def walk(branch: Branch) -> list[tuple[str, int]]:
        placed: list[tuple[float, int, list[tuple[str, int]]]] = [
            (seq, 0, [(branch.name, seq)]) for seq in found.get(branch.name, ())
        ]
        for number, child in enumerate(below.get(branch.name, []), start=1):
            placed.append((float("inf") if child.call is None else child.call, number, walk(child)))
        return [entry for _, _, entries in sorted(placed, key=lambda one: one[:2]) for entry in entries]

    return [entry for root in below.get(None, []) for entry in walk(root)]


def _condition(show: Show) -> Any:
    kind, data = col(ItemRow.kind), col(ItemRow.data)
    if show == "messages":
        return kind.in_(("user", "assistant"))
    if show == "tools":
        return kind == "tool_call"
    if show == "edits":
        return and_(kind == "tool_call", data["tool_kind"].as_string().in_(EDITS))
    if show == "errors":
        wrong = or_(data["status"].as_string() == "failed", data["exit_code"].as_integer() != 0)
        return or_(kind == "error", and_(kind == "tool_call", wrong))
    return None


def _sizes(db: Db, ids: list[int]) -> dict[int, tuple[int, int, int]]:
    seq = col(ItemRow.seq)
    query = select(ItemRow.session_id, func.min(seq), func.max(seq), func.count())
    rows = db.exec(query.where(col(ItemRow.session_id).in_(ids)).group_by(col(ItemRow.session_id)))
    return {number: (first, last + 1, count) for number, first, last, count in rows}


def _branch(row: SessionRow, parent: Branch | None, size: tuple[int, int, int], taken: set[str]) -> Branch:
    assert row.id is not None
    name = row.native_id if parent and row.native_id and _NAME.fullmatch(row.native_id) else f"s{row.id}"
    if parent is None:
        name = ""
    elif name in taken:
        name = f"s{row.id}"
    return Branch(
        row.id, name, parent.name if parent else None, row.header.get("call"), row.native_id, row.header, row.provisional, *size
    )


def _strings(value: Any) -> Iterator[str]:
    """The texts, numbers and names in JSON data."""
    if isinstance(value, dict):
        for name, part in value.items():
            yield name
            yield from _strings(part)
    elif isinstance(value, list):
        for part in value:
            yield from _strings(part)
    elif value is not None:
        yield str(value)
