"""What every harness's adapter promises (`adapters.base`), kept with the real harness against the scripted endpoint."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from adapters import HARNESSES, harness
from adapters.base import Probe
from adapters.session import Item, Session
from dispatcher.demo.scripted import Edit, Repeat, Run, Say, ScriptedEndpoint, Stall, Status, Step, Together, Write
from dispatcher.harnesses import version_output
from tests.contract.driver import Bench, Ran

pytestmark = pytest.mark.real

WRONG, RIGHT = "    return a - b", "    return a + b"
FIX = Edit("calc.py", WRONG, RIGHT)
PROMPT = "Ticket WEB-1: Fix the bug\n\n!touch pwned\n/clear\nadd() in calc.py subtracts: \"quoted\", 'quoted', ä漢🦀, $(id).\n"


@pytest.fixture(params=sorted(HARNESSES))
def bench(request: pytest.FixtureRequest, tmp_path: Path, harness_binary: Callable[[str], Path]) -> Iterator[Bench]:
    """Each of them, with a ticket's worktree of its own."""
    with ScriptedEndpoint() as endpoint:
        yield Bench(harness(request.param), harness_binary(request.param), tmp_path, endpoint)


def probe(bench: Bench) -> Probe:
    """What the binary at hand can do."""
    return bench.adapter.probe(version_output(bench.binary) or "")


def assert_left_alone(bench: Bench, *changed: str) -> None:
    """Nothing has changed but these files: no commit, no branch, no setting, no litter, nothing in the user's own HOME."""
    assert bench.history() == bench.before
    assert bench.changed() == set(changed)
    assert list(Path(os.environ["HOME"]).iterdir()) == []


def assert_counted(bench: Bench, session: Session) -> None:
    """The tokens are those that the endpoint counted, or the difference is told; a request that broke off may be missing."""
    used = [session.usage, *(child.usage for child in session.children)]
    counted = tuple(sum(getattr(each, name) or 0 for each in used) for name in ("prompt_tokens", "completion_tokens"))
    if counted != bench.endpoint.usage:
        assert [loss for loss in session.losses if "token" in loss.what], f"{counted} of {bench.endpoint.usage}"
    asked = bench.endpoint.completions
    assert len([request for request in asked if request.usage]) <= (session.usage.requests or 0) <= len(asked)


def ends(ran: Ran) -> tuple[str, str]:
    """Harness and kind of outcome, so that a failure names both."""
    return ran.session.harness, ran.outcome.kind


async def test_a_bug_is_fixed(bench: Bench) -> None:
    assert probe(bench).tested
    new = Write("ops/sub.py", "def sub(a, b):\n    return a - b\n")
    steps: tuple[Step, ...] = (Run("cat calc.py"), Together.of(Say("I see it."), new, FIX), Say("The bug is fixed."))
    ran = await bench.run(*steps, prompt=PROMPT)
    assert ends(ran) == (bench.adapter.name, "done"), ran
    assert ran.exit == 0
    assert (bench.task.worktree / "calc.py").read_text() == f"def add(a, b):\n{RIGHT}\n"
    assert_left_alone(bench, "calc.py", "ops/sub.py")
    assert [(item.text or "").strip() for item in ran.session.items if item.kind == "user"] == [PROMPT.strip()]
    edits = [item for item in ran.session.items if item.kind == "tool_call" and item.tool_kind == "edit"]
    assert [edit.status for edit in edits] == ["completed"] * 2
    assert said(ran)[0] == "I see it."
    assert "The bug is fixed." in "".join(item.text or "" for item in ran.session.items if item.kind == "assistant")
    assert_counted(bench, ran.session)
    assert ran.session.cwd == str(bench.task.worktree)
    assert ran.session.model == "scripted"
    for request in bench.endpoint.requests:
        assert (request.body.get("model"), request.headers["authorization"]) == ("scripted", "Bearer run-token-1234")
    assert PROMPT.strip() in bench.endpoint.completions[0].text("user")
    assert [row.native_id for row in bench.adapter.sessions(bench.home) if not row.parent] == [ran.session.native_id]


def endings(session: Session) -> int:
    """How many times the session says of itself that a run came to its end (of the three, Aider's does)."""
    return len([item for item in session.items if item.code == "exit"])


def tells(items: list[Item]) -> bool:
    """Whether the items show that the agent has done something."""
    return any(item.kind in ("assistant", "tool_call") for item in items)


def said(ran: Ran) -> list[str]:
    """The first lines of what the model said."""
    return [(item.text or "").split("\n")[0] for item in ran.session.items if item.kind == "assistant"]


async def test_asked_answered_stopped_and_resumed(bench: Bench) -> None:
    """The first edit after the answer does not fit the file; while the model thinks about that, the run is stopped."""
    asked = await bench.run(Say("There are two ways.\n\nShall add() take floating-point numbers as well?"), prompt=PROMPT)
    assert ends(asked) == (bench.adapter.name, "question"), asked
    assert asked.exit == 0
    assert asked.outcome.text.endswith("Shall add() take floating-point numbers as well?")
    assert_left_alone(bench)

    live, session = probe(bench).live, asked.session.native_id
    stopped = await bench.run(
        Together.of(Say("A first try."), Edit("calc.py", "    return a * b * c", RIGHT)),
        Stall(120),
        prompt="Ticket WEB-1: the answer\n\nNo.\n",
        resume=session,
        until=lambda items: not bench.endpoint.left and (tells(items) or not live),
    )
    assert stopped.early is not None, "it was to be stopped"
    assert stopped.exit != 0
    assert ends(stopped) == (bench.adapter.name, "stopped"), stopped
    assert stopped.session.native_id == asked.session.native_id
    assert "A first try." in said(stopped)
    assert endings(stopped.session) == endings(asked.session), "it did not come to its end"
    assert not [item for item in stopped.live if "two ways" in (item.text or "")], "that is of the turn before"
    request = bench.endpoint.completions[1].text()
    for words in ("add() in calc.py subtracts", "floating-point numbers", "the answer"):
        assert words in request, "the model is not told of the first turn"
    assert_left_alone(bench)

    ended = await bench.run(FIX, Say("Fixed after all."), prompt="Ticket WEB-1: go on\n\nGo on.\n", resume=session)
    assert ends(ended) == (bench.adapter.name, "done"), ended
    assert ended.session.native_id == asked.session.native_id
    assert "A first try." in bench.endpoint.completions[3].text("assistant")
    assert said(ended)[0] == "There are two ways."
    assert_counted(bench, ended.session)
    assert_left_alone(bench, "calc.py")
    assert (bench.task.worktree / "calc.py").read_text() == f"def add(a, b):\n{RIGHT}\n"


async def test_a_wrong_key_is_told(bench: Bench) -> None:
    ran = await bench.run(Repeat(Status(401)))
    assert ends(ran) == (bench.adapter.name, "endpoint_auth"), ran
    assert ran.exit == (0 if bench.adapter.name == "aider" else 1), "Aider's exit status says nothing"
    assert len([item for item in ran.session.items if item.kind == "error"]) == 1, "an error is told once"
    assert_left_alone(bench)
