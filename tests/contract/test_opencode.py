"""OpenCode's own contract: the real binary against the scripted endpoint."""

from __future__ import annotations

import json
import socket
import subprocess
import threading
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from adapters.session import Item, Outcome
from dispatcher.demo.scripted import (
    Call,
    Edit,
    Empty,
    Length,
    Plan,
    Read,
    Run,
    Say,
    ScriptedEndpoint,
    Status,
    Step,
    Think,
    Together,
)
from tests.contract.opencode import Bench, Ran, described, task


@pytest.fixture
def bench(tmp_path: Path, harness_binary: Callable[[str], Path]) -> Iterator[Bench]:
    worktree = tmp_path / "worktree"
    worktree.mkdir()
    (worktree / "calc.py").write_text("def add(a, b):\n    return a - b\n")
    (worktree / "check.py").write_text("from calc import add\n\nassert add(2, 3) == 5\nprint('passed')\n")
    (worktree / ".gitignore").write_text("__pycache__/\n")
    for command in (["init", "-q", "-b", "main"], ["add", "."], ["commit", "-q", "-m", "Begin"]):
        subprocess.run(["git", *command], cwd=worktree, check=True)
    with ScriptedEndpoint() as endpoint:
        yield Bench(tmp_path, harness_binary("opencode"), endpoint)


def final(items: list[Item]) -> dict[str | None, Item]:
    """The last word on each item."""
    return {item.id: item for item in items}


@pytest.mark.real
def test_fixes_a_failing_test_and_leaves_nothing_else(bench: Bench) -> None:
    agents = bench.folder / "worktree" / "AGENTS.md"
    agents.write_text("Speak like a sailor.\n")
    ran = bench.run(
        Plan((("Run the check", "in_progress"), ("Fix add()", "pending"))),
        Together.of(Think("First the failure."), Say("I look at it."), Run("python3 check.py")),
        Call("grep", {"pattern": "def add"}),
        Edit("calc.py", "a - b", "a + b"),
        Run("python3 check.py"),
        Say("add() adds now; the check passes."),
        instructions=(agents,),
    )
    assert ran.exit == 0, ran.stderr
    assert ran.outcome == Outcome(kind="done", text="add() adds now; the check passes.", evidence=ran.outcome.evidence)
    calls = {call.id: call for call in ran.session.items if call.kind == "tool_call"}
    assert [call.tool for call in calls.values()] == ["todowrite", "bash", "grep", "edit", "bash"]
    assert [call.exit_code for call in calls.values() if call.tool == "bash"] == [1, 0]
    assert {call.status for call in calls.values()} == {"completed"}, "rg is found"
    assert (ran.session.usage.prompt_tokens, ran.session.usage.completion_tokens) == bench.endpoint.usage
    assert ran.session.usage.requests == len(bench.endpoint.requests) == 6, "no request for a title"
    assert ran.session.title == 'WEB-1 Fix "add"'
    assert [item.text for item in ran.session.items if item.kind == "user"] == [task(bench.folder, Path(), "").prompt]
    assert "Speak like a sailor." in bench.endpoint.requests[0].text("system")
    left = subprocess.run(
        ["git", "status", "--short"], cwd=bench.folder / "worktree", capture_output=True, text=True, check=True
    )
    assert left.stdout.split("\n") == [" M calc.py", "?? AGENTS.md", ""]
    assert_live_tells_the_same(ran)
    running = {item.id for item in ran.live if item.status == "in_progress" and item.title == "python3 check.py"}
    assert running == {call.id for call in calls.values() if call.tool == "bash"}, "the board can say what runs now"


def assert_live_tells_the_same(ran: Ran) -> None:
    """What was decoded live and what was read afterwards are the same items by the same ids."""
    live = final(ran.live)
    stored = {item.id: item for item in ran.session.items}
    assert live.keys() == stored.keys()
    assert {id: described(item) for id, item in live.items()} == {id: described(item) for id, item in stored.items()}


@pytest.mark.real
def test_killed_and_resumed(bench: Bench) -> None:
    stopped = bench.run(
        Edit("calc.py", "a - b", "a + b"),
        Run("sleep 4"),
        stop=lambda items: any(item.tool == "bash" and item.status == "in_progress" for item in items),
    )
    assert (stopped.exit, stopped.outcome.kind) == (-9, "stopped")
    assert stopped.outcome.evidence is not None
    assert stopped.session.items[stopped.outcome.evidence].title == "sleep 4"
    assert stopped.session.usage.requests == 2
    ran = bench.run(Say("It was done already."), resume=stopped.session.native_id, prompt="Ticket WEB-1: go on")
    assert (ran.exit, ran.outcome.kind) == (0, "done")
    assert [item.tool for item in ran.session.items if item.tool] == ["edit", "bash"]
    assert "[Tool execution was interrupted]" in bench.endpoint.requests[-1].text("tool")
    assert ran.session.native_id == stopped.session.native_id
    before = {item.id for item in stopped.session.items}
    new = [item for item in ran.session.items if item.id not in before]
    assert [item.kind for item in new] == ["user", "assistant", "usage"]
    assert final(ran.live).keys() == {item.id for item in new}, "only what is new is told"


@pytest.mark.real
@pytest.mark.parametrize(
    ("script", "exit", "kind"),
    [
        ([Status(404)], 1, "endpoint_error"),
        ([Length()], 0, "truncated"),
        ([Empty()], 0, "empty"),
        ([Together.of(*[Run("true")] * 4)], 1, "loop"),
    ],
    ids=["404", "length", "empty", "loop"],
)
def test_ways_to_fail(bench: Bench, script: list[Step], exit: int, kind: str) -> None:
    ran = bench.run(*script)
    assert (ran.exit, ran.outcome.kind) == (exit, kind), ran.outcome
    assert ran.outcome.evidence is not None
    assert len([item for item in ran.session.items if item.kind == "error"]) == exit, "an error is told once"
    assert final(ran.live).keys() >= {item.id for item in ran.session.items if item.kind not in ("error", "notice")}


@pytest.mark.real
def test_nothing_asks_for_a_permission(bench: Bench) -> None:
    """What 1.18.33 asks about by default is denied, and the agent goes on; a question nobody answers would end the turn."""
    (bench.folder / "worktree" / ".env").write_text("A=1\n")
    ran = bench.run(Read(".env"), Run("cat /etc/hostname"), Read("/etc/passwd"), Say("I leave that alone."))
    assert [item.status for item in ran.session.items if item.kind == "tool_call"] == ["failed"] * 3
    assert "permission requested" not in ran.stderr
    assert ran.outcome.kind == "done"


@pytest.mark.real
def test_a_child_session_is_nested(bench: Bench) -> None:
    ask = {"description": "Find the bug", "prompt": "Where is add()?", "subagent_type": "explore"}
    ran = bench.run(Call("task", ask), Call("grep", {"pattern": "def add"}), Say("calc.py, line 1"), Say("Found it."))
    (child,) = ran.session.children
    assert child.parent == ran.session.native_id
    assert [item.tool for item in child.items if item.tool] == ["grep"]
    assert (ran.session.usage.requests, child.usage.requests) == (2, 2)
    total = (ran.session.usage.prompt_tokens or 0) + (child.usage.prompt_tokens or 0)
    assert total == bench.endpoint.usage[0]
    assert ran.outcome.text == "Found it."


@pytest.mark.real
def test_a_session_that_is_gone_is_a_fault_of_configuration(bench: Bench) -> None:
    ran = bench.run(Say("Never said."), resume="ses_gone")
    assert (ran.exit, ran.outcome.kind, ran.outcome.text) == (1, "misconfigured", "Session not found")
    assert bench.endpoint.requests == []


@pytest.mark.real
def test_asks_the_network_for_nothing(bench: Bench) -> None:
    """Every client in it obeys the proxy variables: models list, npm, ripgrep and update would come to this door."""
    knocks: list[bytes] = []
    with socket.create_server(("127.0.0.1", 0)) as door:
        door.settimeout(60)
        thread = threading.Thread(target=_answer, args=(door, knocks), daemon=True)
        thread.start()
        proxy = f"http://127.0.0.1:{door.getsockname()[1]}"
        bench.environment = {name: proxy for name in ("http_proxy", "https_proxy", "HTTP_PROXY", "HTTPS_PROXY")}
        bench.environment |= {"no_proxy": "127.0.0.1", "NO_PROXY": "127.0.0.1"}
        (bench.folder / "worktree" / ".opencode" / "plugin").mkdir(parents=True)
        (bench.folder / "worktree" / ".opencode" / "plugin" / "own.js").write_text("import 'fs'; throw new Error('ran')\n")
        (bench.folder / "worktree" / "opencode.json").write_text(json.dumps({"model": "other/other"}))
        ran = bench.run(Call("grep", {"pattern": "add"}), Call("glob", {"pattern": "*.py"}), Say("Done."))
    assert (ran.exit, ran.outcome.kind) == (0, "done")
    assert knocks == []
    assert (bench.folder / "worktree" / "opencode.json").read_text() == '{"model": "other/other"}'
    assert sorted(path.name for path in (bench.folder / "worktree" / ".opencode").iterdir()) == ["plugin"]


def _answer(door: socket.socket, knocks: list[bytes]) -> None:
    """Note who knocks, and refuse."""
    while True:
        try:
            caller, _ = door.accept()
        except OSError:
            return
        with caller:
            caller.settimeout(2)
            knocks.append(caller.recv(200))
            caller.sendall(b"HTTP/1.1 403 Forbidden\r\ncontent-length: 0\r\n\r\n")
