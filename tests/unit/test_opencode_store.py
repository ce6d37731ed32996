"""OpenCode's stores: where they lie, and what is done with what is odd in them."""

from __future__ import annotations

import json
import sqlite3
from pathlib import Path
from typing import Any

import pytest

from adapters.base import StoreUnreadable
from adapters.opencode.live import Tail
from adapters.opencode.store import read, summaries

SCHEMA = """
CREATE TABLE session (id TEXT, parent_id TEXT, directory TEXT, title TEXT, version TEXT, hologram TEXT,
                      time_created INTEGER, time_updated INTEGER);
CREATE TABLE message (id TEXT, session_id TEXT, time_created INTEGER, data TEXT);
CREATE TABLE part (id TEXT, message_id TEXT, session_id TEXT, time_created INTEGER, data TEXT);
CREATE TABLE event (id TEXT, aggregate_id TEXT, seq INTEGER, type TEXT, data TEXT);
"""
TOKENS = {"input": 5, "output": 2, "reasoning": 0, "cache": {"read": 1, "write": 0}, "total": 8}


class Database:
    """A small opencode.db."""

    def __init__(self, path: Path) -> None:
        path.parent.mkdir(parents=True, exist_ok=True)
        self.connection = sqlite3.connect(path, isolation_level=None)
        self.connection.executescript(SCHEMA)

    def session(self, id: str, at: int, parent: str | None = None) -> None:
        self.connection.execute("INSERT INTO session VALUES (?, ?, '/w', ?, '1.9', 'x', ?, ?)", (id, parent, id, at, at))

    def message(self, id: str, session: str, at: int, data: Any) -> None:
        text = data if isinstance(data, str) else json.dumps(data)
        self.connection.execute("INSERT INTO message VALUES (?, ?, ?, ?)", (id, session, at, text))

    def part(self, id: str, message: str, session: str, data: Any) -> None:
        text = data if isinstance(data, str) else json.dumps(data)
        self.connection.execute("INSERT INTO part VALUES (?, ?, ?, 1000, ?)", (id, message, session, text))

    def event(self, session: str, seq: int, kind: str, data: dict[str, Any]) -> None:
        row = (f"evt_{session}_{seq}", session, seq, f"{kind}.1", json.dumps(data))
        self.connection.execute("INSERT INTO event VALUES (?, ?, ?, ?, ?)", row)

    def turn(self, session: str, at: int) -> None:
        self.session(session, at)
        self.message(f"u{session}", session, at, {"role": "user", "time": {"created": at}})
        self.part(f"p1{session}", f"u{session}", session, {"type": "text", "text": "go"})
        self.message(f"v{session}", session, at + 1, {"role": "assistant", "finish": "stop", "modelID": "m", "time": {}})
        self.part(f"p2{session}", f"v{session}", session, {"type": "text", "text": "done"})
        self.part(
            f"p3{session}", f"v{session}", session, {"type": "step-finish", "reason": "stop", "tokens": TOKENS, "cost": 0}
        )


@pytest.mark.parametrize(
    "place",
    ["opencode.db", "opencode/opencode.db", ".local/share/opencode/opencode.db", "runs/7/home/xdg/opencode/opencode.db"],
)
def test_a_database_is_found_around_it(tmp_path: Path, place: str) -> None:
    database = Database(tmp_path / place)
    database.turn("s1", 1000)
    database.turn("s2", 2000)
    database.session("s3", 3000, parent="s1")
    assert read(tmp_path, None).native_id == "s2", "the newest that is nobody's child"
    assert [row.native_id for row in summaries(tmp_path)] == ["s3", "s2", "s1"]
    assert [child.native_id for child in read(tmp_path, "s1").children] == ["s3"]
    database.connection.close()


def test_rows_that_cannot_be_read_are_losses(tmp_path: Path) -> None:
    database = Database(tmp_path / "opencode.db")
    database.turn("s1", 1000)
    database.message("broken", "s1", 1500, "{not json")
    database.part("p4", "vs1", "s1", "[]")
    database.part("p5", "gone", "s1", {"type": "text", "text": "an orphan"})
    database.part("p6", "vs1", "s1", {"type": "hologram"})
    session = read(tmp_path, None)
    assert [loss.where for loss in session.losses] == ["message broken", "message gone", "part p4", "part p6"]
    assert [item.text for item in session.items if item.kind == "assistant"] == ["done", "an orphan"]
    assert (session.usage.prompt_tokens, session.usage.completion_tokens, session.usage.requests) == (6, 2, 1)
    database.connection.close()


def test_a_database_that_is_none(tmp_path: Path) -> None:
    (tmp_path / "opencode.db").write_bytes(b"SQLite format 3\0" + b"\xff" * 5000)
    with pytest.raises(StoreUnreadable, match="cannot be read"):
        read(tmp_path, None)


def test_a_child_of_itself_ends(tmp_path: Path) -> None:
    database = Database(tmp_path / "opencode.db")
    database.session("a", 1, parent="b")
    database.session("b", 2, parent="a")
    assert read(tmp_path, "a").children[0].children == []
    database.connection.close()


def test_the_layout_before_0_6(tmp_path: Path) -> None:
    storage = tmp_path / "project" / "w" / "storage" / "session"
    message = {
        "id": "msg_2",
        "role": "assistant",
        "modelID": "m",
        "path": {"cwd": "/w"},
        "time": {"created": 2, "completed": 3},
    }
    files: dict[str, dict[str, Any]] = {
        "info/ses_1.json": {"id": "ses_1", "title": "old", "version": "0.5.29", "time": {"created": 1, "updated": 3}},
        "message/ses_1/msg_1.json": {"id": "msg_1", "role": "user", "time": {"created": 1}},
        "message/ses_1/msg_2.json": message,
        "message/ses_1/msg_3.json": {"id": "msg_3", "role": "user", "time": {"created": 9}},
        "part/ses_1/msg_1/prt_1.json": {"id": "prt_1", "type": "text", "text": "go"},
        "part/ses_1/msg_2/prt_2.json": {"id": "prt_2", "type": "text", "text": "done"},
        "part/ses_1/msg_2/prt_3.json": {"id": "prt_3", "type": "step-finish", "tokens": TOKENS, "cost": 0},
    }
    for name, data in files.items():
        (storage / name).parent.mkdir(parents=True, exist_ok=True)
        (storage / name).write_text(json.dumps(data))
    (storage / "part/ses_1/msg_2/prt_4.json").write_text("{")
    for place in (tmp_path, storage.parent):
        session = read(place, None)
        assert (session.cwd, session.model, [item.kind for item in session.items]) == (
            "/w",
            "m",
            ["user", "assistant", "usage"],
        )
        assert [loss.what for loss in session.losses] == ["it is not a JSON object", "its parts are missing"]


def test_polling_tells_what_is_new_once(tmp_path: Path) -> None:
    path = tmp_path / "opencode.db"
    early = Tail(path, Path("/w"), None)
    assert early.poll() == []
    database = Database(path)
    database.session("old", 1)
    tail = Tail(path, Path("/w"), None)
    assert (tail.poll(), tail.native_id) == ([], None), "what was there before is not this run's"
    database.session("new", 2)
    database.session("child", 3, parent="new")
    running = {
        "id": "p",
        "messageID": "m",
        "type": "tool",
        "tool": "bash",
        "state": {"status": "running", "input": {"command": "ls"}},
    }
    database.event("new", 0, "message.updated", {"info": {"id": "u", "role": "user", "time": {"created": 5}}})
    database.event(
        "new", 1, "message.part.updated", {"part": {"id": "t", "messageID": "u", "type": "text", "text": "go"}, "time": 6}
    )
    database.event("new", 2, "message.part.updated", {"part": running, "time": 7})
    first = tail.poll()
    assert tail.native_id == "new"
    assert [(item.kind, item.status, item.title) for item in first] == [
        ("user", None, None),
        ("tool_call", "in_progress", "ls"),
    ]
    assert tail.poll() == []
    done = running | {"state": {"status": "completed", "input": {"command": "ls"}, "output": "a\n", "title": "ls"}}
    line = json.dumps({"type": "tool_use", "timestamp": 8, "sessionID": "new", "part": done}) + "\n"
    assert [item.status for item in tail.feed("stdout", line.encode())] == ["completed"]
    database.event("new", 3, "message.part.updated", {"part": running, "time": 7})
    database.event("new", 4, "message.part.updated", {"part": done, "time": 8})
    assert tail.poll() == [], "stdout was quicker"
    resumed = Tail(path, Path("/w"), "new")
    assert resumed.poll() == []
    database.connection.close()


def test_child_sessions_are_told_apart_while_they_run(tmp_path: Path) -> None:
    path = tmp_path / "opencode.db"
    database = Database(path)
    database.session("old", 1)
    database.session("old child", 1, parent="old")
    tail = Tail(path, Path("/w"), None)
    for at, (id, parent) in enumerate((("root", None), ("child", "root"), ("grandchild", "child"), ("stranger", "old")), 2):
        database.session(id, at, parent)

    def say(session: str, seq: int, text: str) -> None:
        part = {"id": f"{session}-{seq}", "messageID": "m", "type": "text", "text": text}
        database.event(session, seq, "message.part.updated", {"part": part, "time": 6})

    for session in ("old child", "root", "child", "grandchild", "stranger"):
        say(session, 0, f"I am {session}")
    assert [item.text for item in tail.poll()] == ["I am root"]
    told = [(one.native_id, one.parent, one.title, [item.text for item in one.items]) for one in tail.children()]
    assert told == [
        ("child", "root", "child", ["I am child"]),
        ("grandchild", "child", "grandchild", ["I am grandchild"]),
    ]
    assert (tail.poll(), tail.children()) == ([], [])
    say("child", 1, "And more.")
    tail.poll()
    assert [[item.text for item in one.items] for one in tail.children()] == [["And more."]]
    database.connection.close()


def test_an_error_told_twice_is_one(tmp_path: Path) -> None:
    database = Database(tmp_path / "opencode.db")
    tail = Tail(tmp_path / "opencode.db", Path("/w"), None)
    database.session("s", 1)
    error = {"name": "APIError", "data": {"message": "no", "statusCode": 401}}
    info = {"id": "m", "role": "assistant", "error": error, "time": {"created": 1, "completed": 2000}}
    database.event("s", 0, "message.updated", {"info": info})
    assert [item.code for item in tail.poll()] == ["endpoint_auth"]
    line = json.dumps({"type": "error", "timestamp": 1990, "sessionID": "s", "error": error}) + "\n"
    assert tail.feed("stdout", line.encode()) == []
    database.connection.close()
