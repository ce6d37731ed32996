"""Goose's output as it grows."""

from __future__ import annotations

import json
from collections.abc import Iterable
from pathlib import Path

import pytest

from adapters.goose.live import Tail
from adapters.session import Item
from tests.contract.goose_recorded import RECORDED, outline, session, store

NAMES = sorted(folder.name for folder in RECORDED.iterdir())


def decoder(database: Path = Path("missing.db")) -> Tail:
    return Tail(database, "ticket-x", None)


def kept(pieces: Iterable[list[Item]]) -> list[Item]:
    """The items as a follower keeps them: a later one replaces an earlier one of the same id."""
    items: dict[str | None, Item] = {}
    for piece in pieces:
        for item in piece:
            assert item.id is not None
            items[item.id] = item
    return list(items.values())


def message(name: str, role: str, *content: dict[str, object]) -> bytes:
    """One line of output, as 1.52.0 writes it."""
    body = {"id": name, "role": role, "created": 1, "content": content, "metadata": {"userVisible": True}}
    return json.dumps({"type": "message", "message": body}, separators=(",", ":")).encode() + b"\n"


@pytest.mark.guarantee("logs are whole and in order")
@pytest.mark.parametrize("name", NAMES)
def test_cut_at_every_byte(name: str) -> None:
    data = (RECORDED / name / "stdout.jsonl").read_bytes()
    whole = kept([decoder().feed("stdout", data)])
    for place in range(0, len(data) + 1, 1 if len(data) < 4000 else 97):
        tail = decoder()
        assert kept([tail.feed("stdout", data[:place]), tail.feed("stdout", data[place:])]) == whole
    tail = decoder()
    assert kept(tail.feed("stdout", bytes([byte])) for byte in data) == whole


def test_a_text_grows_under_one_id() -> None:
    lines = (RECORDED / "sigkill_text" / "stdout.jsonl").read_bytes().splitlines(keepends=True)
    tail = decoder()
    texts = [item.text for line in lines for item in tail.feed("stdout", line) if item.kind == "assistant"]
    assert texts[:3] == ["w0 ", "w0 w1 ", "w0 w1 w2 "]


def test_a_call_runs_and_then_has_ended() -> None:
    lines = (RECORDED / "happy" / "stdout.jsonl").read_bytes().splitlines(keepends=True)
    tail = decoder()
    states = [(item.id, item.status) for line in lines for item in tail.feed("stdout", line) if item.tool]
    assert states[:2] == [("call_0_0", "in_progress"), ("call_0_0", "completed")]


@pytest.mark.parametrize("name", ["happy", "tools", "length", "unauthorized", "max_turns", "empty", "cut", "overflow"])
def test_live_and_afterwards_are_the_same_items(name: str, tmp_path: Path) -> None:
    live = kept([decoder().feed("stdout", (RECORDED / name / "stdout.jsonl").read_bytes())])
    after = [item for item in session(name, tmp_path).items if item.kind not in ("user", "usage")]
    assert [(item.id, item.kind, item.code, item.text, item.status, item.output) for item in live] == [
        (item.id, item.kind, item.code, item.text, item.status, item.output) for item in after
    ]


def test_garbage_is_kept_and_never_raises() -> None:
    tail = decoder()
    broken = (
        b'\xff\xfe{"type":"message"\n{"type":"message","message":7}\n[1]\n{"type":"odd","a":1}\n\n'
        + b'{"type":"message","message":{}}\n'
    )
    items = tail.feed("stdout", broken) + tail.feed("stderr", b"warning: \x1b[31modd\x1b[0m\n") + tail.feed("elsewhere", b"x\n")
    assert [item.code for item in items] == ["stdout", "message", "stdout", "odd", "stderr"]
    assert items[-1].text == "warning: odd"


def test_the_same_call_id_in_every_answer() -> None:
    """Some servers count calls from zero in each answer."""
    lines = []
    for number in (1, 2):
        call = {"status": "success", "value": {"name": "shell", "arguments": {"command": f"echo {number}"}}}
        result = {"status": "success", "value": {"content": [{"type": "text", "text": str(number)}]}}
        lines.append(message(f"m{number}", "assistant", {"type": "toolRequest", "id": "call_0", "toolCall": call}))
        lines.append(message(f"r{number}", "user", {"type": "toolResponse", "id": "call_0", "toolResult": result}))
    data = b"".join(lines)
    items = kept([decoder().feed("stdout", data)])
    assert [(item.id, item.title, item.output) for item in items] == [("call_0", "echo 1", "1"), ("call_0#2", "echo 2", "2")]


def test_an_error_is_told_once(tmp_path: Path) -> None:
    tail = decoder()
    folder = RECORDED / "unauthorized"
    items = tail.feed("stdout", (folder / "stdout.jsonl").read_bytes()) + tail.feed(
        "stderr", (folder / "stderr.txt").read_bytes()
    )
    assert [item.code for item in items if item.kind == "error"] == ["endpoint_auth"]
    assert outline(session("unauthorized", tmp_path)) == ["user", "endpoint_auth"]


def test_polling_finds_the_session_and_its_tokens_once(tmp_path: Path) -> None:
    path = store("happy", tmp_path)
    tail = decoder(path)
    assert tail.poll() == []
    assert tail.native_id is None, "a database without -wal is not one that Goose is writing to"
    Path(f"{path}-wal").touch()
    assert [item.usage.prompt_tokens for item in tail.poll() if item.usage] == [100, 200, 300]
    assert tail.native_id == "20261121_1"
    assert tail.poll() == []


def test_polling_a_resumed_session_tells_only_the_news(tmp_path: Path) -> None:
    path = store("happy", tmp_path)
    Path(f"{path}-wal").touch()
    tail = Tail(path, "another name", "20261121_1")
    assert tail.poll() == []
    assert tail.native_id == "20261121_1"


def test_polling_a_broken_database_gives_nothing(tmp_path: Path) -> None:
    path = tmp_path / "sessions.db"
    path.write_bytes(b"SQLite format 3\0 and then nothing of the kind")
    Path(f"{path}-wal").touch()
    assert decoder(path).poll() == []
