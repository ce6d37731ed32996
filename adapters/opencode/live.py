"""OpenCode as it runs: what `opencode run --format json` prints, and what its database gains meanwhile.

stdout tells what has ended (1.18.33 prints step_start, step_finish, text, reasoning, tool_use and error, a part in each). What
runs now stands in the database alone, in the log of its table `event`. Both name a part by the same id.
"""

from __future__ import annotations

import re
import sqlite3
from dataclasses import dataclass, field
from datetime import timedelta
from pathlib import Path

from adapters.base import ChildItems
from adapters.decode import Lines, from_ms, json_object, plain, string
from adapters.opencode.parts import Data, completed, error_item, part_items, table
from adapters.opencode.sqlite import connect
from adapters.session import Item

EVENTS = frozenset({"step_start", "step_finish", "text", "reasoning", "tool_use"})
BATCH = 500
"""Rows of an event log that one poll reads at the most."""
MOST_CHILDREN = 200
"""Child sessions of one run that are followed."""

ASKED = re.compile(r"permission requested: (?P<what>.*?); auto-rejecting")
REFUSED = re.compile(
    r"^(?:Error: )?(?:Session not found|Configuration is invalid|Config file at .* is not valid|Model not found"
    r"|Provider not found|You must provide a message|ProviderModelNotFoundError|ConfigInvalidError|ConfigJsonError"
    r"|ProviderInitError|Failed to change directory|Unrecognized key|Invalid option)",
    re.I,
)
"""How 1.18.33 says on stderr that it cannot begin."""


class Printed:
    """stdout and stderr to items, one run long; bytes may be cut anywhere. Titles name files relative to `cwd`."""

    def __init__(self, cwd: Path | None = None) -> None:
        self._message = {"role": "assistant", "path": {"cwd": str(cwd) if cwd else None}}
        self.native_id: str | None = None
        self._lines = {"stdout": Lines(), "stderr": Lines()}
        self._number = 0

    def feed(self, stream: str, data: bytes) -> list[Item]:
        """The items that these bytes complete."""
        if stream not in self._lines:
            return []
        return [item for line in self._lines[stream].feed(data) for item in self._line(stream, line)]

    def rest(self) -> list[Item]:
        """The items of last lines without a line end."""
        return [item for stream, lines in self._lines.items() for item in self._line(stream, lines.rest())]

    def _line(self, stream: str, line: str) -> list[Item]:
        if not (text := plain(line).strip()):
            return []
        event = json_object(line) if stream == "stdout" else None
        if event is not None and isinstance(event.get("type"), str) and "timestamp" in event:
            return self._event(event)
        self._number += 1
        return [_said(stream, text, f"{stream}:{self._number}")]

    def _event(self, event: Data) -> list[Item]:
        if isinstance(event.get("sessionID"), str):
            self.native_id = event["sessionID"]
        part, at = event.get("part"), from_ms(event.get("timestamp"))
        if event["type"] == "error":
            return [error_item(event.get("error"), f"error:{event.get('timestamp')}", at)]
        if event["type"] in EVENTS and isinstance(part, dict):
            return part_items(part, self._message, at)
        return [
            Item(
                kind="notice", at=at, code=str(event["type"]), text=f"an event that is not known: {event['type']}", extra=event
            )
        ]


def same_error(one: Item, other: Item) -> bool:
    """Whether two errors are one: stdout tells it when it happens, the message when it is stored, within some 0.1 s."""
    names = [table((item.extra or {}).get("error")).get("name") for item in (one, other)]
    near = one.at is None or other.at is None or abs(one.at - other.at) < timedelta(seconds=5)
    return one.kind == other.kind == "error" and names[0] == names[1] and one.text == other.text and near


def _said(stream: str, text: str, id: str) -> Item:
    """A line that is no event."""
    if found := ASKED.search(text):
        return Item(kind="notice", id=id, code="permission", text=f"Permission was asked for and refused: {found['what']}")
    if stream == "stderr" and REFUSED.search(text):
        return Item(kind="error", id=id, code="misconfigured", text=text.removeprefix("Error: "))
    return Item(kind="notice", id=id, code=stream, text=text)


class Told:
    """What one session's items were told as, so that nothing is told twice in the same words."""

    def __init__(self) -> None:
        self._shown: dict[str, tuple[str | None, int]] = {}
        """Status of each item that was told, and a mark of its words, which themselves are not kept."""
        self._errors: list[Item] = []

    def fresh(self, items: list[Item]) -> list[Item]:
        """Without what was given before in the same words; an ended tool call is not replaced by word of its running."""
        fresh = []
        for item in items:
            if item.kind == "error":
                if any(same_error(item, told) for told in self._errors):
                    continue
                self._errors.append(item)
            mark = (item.status, hash(f"{item.title} {item.text} {item.entries} {len(item.output or '')}"))
            if item.id is None or (self._shown.get(item.id) != mark and not self._ended(item)):
                fresh.append(item)
            if item.id is not None and not self._ended(item):
                self._shown[item.id] = mark
        return fresh

    def _ended(self, item: Item) -> bool:
        """Whether this is word of a call's running that comes after word of its end."""
        before, _ = self._shown.get(item.id or "", (None, 0))
        return item.status in ("pending", "in_progress") and before in ("completed", "failed")


class Log:
    """The event log of one session, read from after `seq`."""

    def __init__(self, seq: int = -1) -> None:
        self.seq = seq
        self._messages: dict[str, Data] = {}

    def gained(self, connection: sqlite3.Connection, id: str) -> list[Item]:
        """The items of the next rows."""
        query = "SELECT seq, type, data FROM event WHERE aggregate_id = ? AND seq > ? ORDER BY seq LIMIT ?"
        rows = connection.execute(query, (id, self.seq, BATCH)).fetchall()
        self.seq = rows[-1]["seq"] if rows else self.seq
        return [item for row in rows for item in self._row(row)]

    def _row(self, row: sqlite3.Row) -> list[Item]:
        data = json_object(row["data"]) or {}
        kind = str(row["type"]).rpartition(".")[0]
        if kind == "message.updated" and isinstance(info := data.get("info"), dict):
            self._messages[str(info.get("id"))] = info
            error = info.get("error")
            return [error_item(error, f"{info.get('id')}:error", completed(info))] if error else []
        if kind == "message.part.updated" and isinstance(part := data.get("part"), dict):
            return part_items(part, self._messages.get(str(part.get("messageID"))), from_ms(data.get("time")))
        return []


@dataclass
class Child:
    """A session that the run's own has started, or a child of it."""

    id: str
    parent: str
    title: str | None
    log: Log = field(default_factory=Log)
    told: Told = field(default_factory=Told)


class Tail:
    """The decoder of one run: bytes of stdout and stderr, and the event log of the database at `database`.

    A session that is resumed is followed from where its log stands when this is made; a new one is the first that is nobody's
    child and was not there then. Its children are those that were not there then either.
    """

    def __init__(self, database: Path, cwd: Path, resume: str | None) -> None:
        self._printed = Printed(cwd)
        self._printed.native_id = resume
        self._database = database
        self._resume = resume
        self._known: set[str] = set()
        self._log = Log()
        self._told = Told()
        self._children: dict[str, Child] = {}
        self._gained: list[ChildItems] = []
        self._baseline()

    @property
    def native_id(self) -> str | None:
        """The session's id, as soon as it is known."""
        return self._printed.native_id

    def feed(self, stream: str, data: bytes) -> list[Item]:
        """Take the next bytes of `stream`, cut anywhere."""
        return self._told.fresh(self._printed.feed(stream, data))

    def poll(self) -> list[Item]:
        """What the event log gained; nothing while there is no database or its writer is busy with it."""
        if not self._database.is_file():
            return []
        items: list[Item] = []
        try:
            with connect(self._database) as connection:
                if id := self.native_id or self._find(connection):
                    items = self._log.gained(connection, id)
                    self._read_children(connection, id)
        except (sqlite3.Error, OSError):  # not made yet, locked, or being migrated: the next call reads the same rows
            pass
        return self._told.fresh(items)

    def children(self) -> list[ChildItems]:
        """What child sessions gained by the last poll, parents before their children."""
        gained, self._gained = self._gained, []
        return gained

    def _baseline(self) -> None:
        if not self._database.is_file():
            return
        try:
            with connect(self._database) as connection:
                self._known = {row["id"] for row in connection.execute("SELECT id FROM session")}
                if self._resume:
                    query = "SELECT max(seq) AS seq FROM event WHERE aggregate_id = ?"
                    last = connection.execute(query, (self._resume,)).fetchone()["seq"]
                    self._log.seq = last if isinstance(last, int) else -1
        except (sqlite3.Error, OSError):  # a database that cannot be read yet has nothing that was there before
            return

    def _find(self, connection: sqlite3.Connection) -> str | None:
        query = "SELECT id FROM session WHERE parent_id IS NULL ORDER BY time_created, id"
        found = [str(row["id"]) for row in connection.execute(query) if row["id"] not in self._known]
        if found:
            self._printed.native_id = found[0]
        return self.native_id

    def _read_children(self, connection: sqlite3.Connection, root: str) -> None:
        query = "SELECT * FROM session WHERE parent_id IS NOT NULL ORDER BY time_created, id"
        for row in connection.execute(query):
            ours = row["parent_id"] == root or row["parent_id"] in self._children
            if ours and row["id"] not in self._known and len(self._children) < MOST_CHILDREN:
                title = row["title"] if "title" in row.keys() else None  # noqa: SIM118  # a row is no mapping
                self._children.setdefault(row["id"], Child(row["id"], row["parent_id"], string(title)))
        for child in self._children.values():
            if items := child.told.fresh(child.log.gained(connection, child.id)):
                self._gained.append(ChildItems(child.id, child.parent, child.title, items))
