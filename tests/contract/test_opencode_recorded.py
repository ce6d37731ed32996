"""What was recorded of OpenCode, read back."""

from __future__ import annotations

import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from adapters.base import Record, StoreUnreadable
from adapters.session import Outcome, Session
from tests.contract.opencode import HARNESS, described, task

RECORDED = Path(__file__).parent / "recorded" / "opencode"


def recorded(name: str, exit: int | None = None, stdout: bool = True) -> Session:
    """A recorded session with its outcome, read from its folder or export."""
    folder = RECORDED / name
    export = folder / "export.json"
    store = export if export.exists() else folder
    printed = Record(store, stdout=folder / "stdout.jsonl", stderr=folder / "stderr.txt", exit=exit)
    session = HARNESS.read(printed if stdout else Record(store, exit=exit))
    session.outcome = HARNESS.outcome(session, exit)
    return session


def outline(session: Session) -> list[str]:
    """The items in short."""
    return [f"{item.kind}:{item.tool}:{item.status}" if item.tool else item.code or item.kind for item in session.items]


def test_a_recorded_fix() -> None:
    session = recorded("run_failing_test_then_fix", 0)
    assert session.native_id == "ses_e05585733ffeVv869XEx8Om84a"
    assert (session.model, session.title, session.harness_version) == ("local-coder", "T-2 add sub", "1.18.33")
    assert session.cwd == "/srv/lab/opencode/runs/multi/wt"
    calls = [item for item in session.items if item.kind == "tool_call"]
    tools = ["todowrite", "bash", "grep", "glob", "read", "edit", "write", "edit", "edit", "bash", "todowrite"]
    assert [call.tool for call in calls] == tools
    assert [call.status for call in calls] == ["completed"] * 7 + ["failed"] + ["completed"] * 3
    assert [call.exit_code for call in calls if call.tool == "bash"] == [1, 0]
    assert [call.tool_kind for call in calls[:6]] == ["think", "execute", "search", "search", "read", "edit"]
    plans = [[entry.status for entry in item.entries or []] for item in session.items if item.kind == "plan"]
    assert plans == [["in_progress", "pending", "pending"], ["completed"] * 3]
    assert [item.text for item in session.items if item.kind == "reasoning"] == [
        "The user wants the test to pass. First I need to see the failure."
    ]
    assert session.losses == []
    assert session.outcome == Outcome(
        kind="done", text="All done: `add()` fixed, `sub()` added with a test. Tests pass.", evidence=27
    )
    assert session.items[27].text == session.outcome.text


def test_tokens_count_as_the_endpoint_counts_them() -> None:
    """The endpoint's own counts of that run: the last of 8 requests had 7100 prompt tokens, 6000 cached, 40 completion."""
    session = recorded("run_failing_test_then_fix")
    last = [item.usage for item in session.items if item.usage][-1]
    assert (last.prompt_tokens, last.cached_tokens, last.completion_tokens, last.reasoning_tokens) == (7100, 6000, 40, 12)
    usage = session.usage
    assert (usage.prompt_tokens, usage.completion_tokens, usage.cached_tokens, usage.requests) == (48900, 580, 6000, 8)


@pytest.mark.parametrize("name", ["old_sqlite_1.2.1_subagent", "old_json_1.1.65_subagent"])
def test_old_stores_with_a_child(name: str) -> None:
    session = recorded(name, 0, stdout=False)
    assert session.harness_version in ("1.2.1", "1.1.65")
    assert outline(session) == [
        "user",
        "assistant",
        "tool_call:task:completed",
        "usage",
        "assistant",
        "tool_call:edit:failed",
        "usage",
        "assistant",
        "usage",
    ]
    (child,) = session.children
    assert child.parent == session.native_id
    assert [item.tool for item in child.items if item.tool] == ["grep", "read"]
    assert (session.usage.prompt_tokens, session.usage.completion_tokens, session.usage.requests) == (16000, 125, 3)
    assert (child.usage.prompt_tokens, child.usage.completion_tokens, child.usage.requests) == (9400, 70, 3)
    assert session.items[2].extra is not None
    assert session.items[2].extra["session"] == child.native_id
    assert session.outcome is not None
    assert session.outcome.kind == "done"


@pytest.mark.parametrize("name", ["old_sqlite_1.2.1_subagent", "old_json_1.1.65_subagent"])
def test_listing_shows_parents_and_children(name: str) -> None:
    rows = list(HARNESS.sessions(RECORDED / name))
    assert len(rows) == 2
    assert {row.model for row in rows} == {"local-coder"}
    root = next(row for row in rows if row.parent is None)
    assert [row.parent for row in rows if row is not root] == [root.native_id]


@pytest.mark.parametrize(
    ("name", "exit", "kind", "text"),
    [
        ("run_compaction", 0, "done", "Done after compaction."),
        ("run_permission_autoreject", 0, "permission", "OpenCode needs permission: bash (python3 tests/test_calc.py)"),
        ("run_error_refused", 1, "endpoint_down", "Cannot connect to API: Unable to connect."),
        ("run_killed_then_resumed", 0, "done", "Resumed: the edit was there; nothing more to do."),
    ],
)
def test_recorded_outcomes(name: str, exit: int, kind: str, text: str) -> None:
    for known, stdout in ((exit, True), (exit, False), (None, True), (None, False)):
        session = recorded(name, known, stdout)
        assert session.outcome is not None
        assert (session.outcome.kind, session.losses) == (kind, [])
        assert session.outcome.text.startswith(text)
        assert session.outcome.evidence is not None
        assert session.items[session.outcome.evidence].kind in ("assistant", "tool_call", "error")


def test_a_compaction_is_no_end_and_no_word_of_a_person() -> None:
    session = recorded("run_compaction", 0)
    assert [item.code for item in session.items if item.kind == "notice"] == ["compaction", "synthetic", "patch"]
    assert [item.text for item in session.items if item.kind == "user"] == ["go"]
    assert (session.usage.requests, session.usage.prompt_tokens) == (5, 52700)


def test_printed_errors_are_not_doubled() -> None:
    session = recorded("run_error_refused", 1)
    assert outline(session) == ["user", "endpoint_down"]


def test_what_was_killed_shows_as_broken_off() -> None:
    session = recorded("run_killed_then_resumed", 0)
    assert [item.status for item in session.items if item.tool == "bash"] == ["in_progress"]
    assert [item.code for item in session.items if item.kind == "notice"] == ["patch", "interrupted"]
    session.items = session.items[:8]
    assert HARNESS.outcome(session, -9).kind == "stopped"
    assert HARNESS.outcome(session, 137).kind == "stopped"
    assert HARNESS.outcome(session, None).kind == "stopped"
    assert HARNESS.outcome(session, -11).kind == "crashed"


@pytest.mark.guarantee("logs are whole and in order")
@pytest.mark.parametrize("size", [1, 7, 4096])
def test_stdout_may_be_cut_anywhere(size: int, tmp_path: Path) -> None:
    """Whatever the cuts, the items are those of the store, by the same ids."""
    data = (RECORDED / "run_failing_test_then_fix" / "stdout.jsonl").read_bytes()
    there = Path("/srv/lab/opencode/runs/multi/wt")
    decoder = HARNESS.tail(task(tmp_path, Path("opencode"), "http://127.0.0.1:1/v1", worktree=there), tmp_path)
    items = [item for at in range(0, len(data), size) for item in decoder.feed("stdout", data[at : at + size])]
    stored = [item for item in recorded("run_failing_test_then_fix").items if item.kind not in ("user", "notice")]
    assert decoder.native_id == "ses_e05585733ffeVv869XEx8Om84a"
    assert sorted(described(item) for item in items) == sorted(described(item) for item in stored)


def test_garbage_is_kept_and_does_not_raise(tmp_path: Path) -> None:
    decoder = HARNESS.tail(task(tmp_path, Path("opencode"), "http://127.0.0.1:1/v1"), tmp_path)
    items = decoder.feed("stdout", b'\xff\xfe\n{"type":\n[1]\n{"type":"new","timestamp":1,"sessionID":"ses_x"}\n{"type":"text"')
    assert [item.kind for item in items] == ["notice"] * 4
    assert decoder.native_id == "ses_x"


DYING_WRITER = """
import os, sqlite3, sys
writer = sqlite3.connect(sys.argv[1])
writer.execute("PRAGMA journal_mode = wal")
writer.execute("UPDATE session SET title = 'only in the wal'")
writer.commit()
os._exit(0)
"""


def test_reading_changes_nothing(tmp_path: Path) -> None:
    """Also not where the folder holds a -wal alone, as a copy does."""
    database = tmp_path / "opencode.db"
    shutil.copy(RECORDED / "run_failing_test_then_fix" / "opencode.db", database)
    subprocess.run([sys.executable, "-c", DYING_WRITER, str(database)], check=True)
    copy = tmp_path / "copy"
    copy.mkdir()
    for name in ("opencode.db", "opencode.db-wal"):
        shutil.copy(tmp_path / name, copy / name)
    for folder, held in ((tmp_path, 3), (copy, 2)):
        before = {path.name: path.read_bytes() for path in folder.glob("opencode*")}
        assert len(before) == held
        assert HARNESS.read(Record(folder)).title == "only in the wal"
        assert before == {path.name: path.read_bytes() for path in folder.glob("opencode*")}


def test_no_store_is_said_in_one_line(tmp_path: Path) -> None:
    with pytest.raises(StoreUnreadable, match="there is no OpenCode session in"):
        HARNESS.read(Record(tmp_path))
    with pytest.raises(StoreUnreadable, match="there is nothing at"):
        HARNESS.read(Record(tmp_path / "missing.db"))
    (tmp_path / "cut.json").write_bytes((RECORDED / "run_compaction" / "export.json").read_bytes()[:5000])
    with pytest.raises(StoreUnreadable, match="nor a whole export"):
        HARNESS.read(Record(tmp_path / "cut.json"))
    with pytest.raises(StoreUnreadable, match="no OpenCode session ses_other") as caught:
        HARNESS.read(Record(RECORDED / "old_json_1.1.65_subagent", "ses_other"))
    assert "ses_e053f2c97ffeWYdus2YRwg1kjz" in caught.value.hint
    assert list(HARNESS.sessions(tmp_path / "nowhere")) == []
