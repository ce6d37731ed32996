"""The main job by the command line, with a real harness and the scripted model."""

from __future__ import annotations

import signal
import subprocess
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path

import pytest

from dispatcher.demo.sample import CHECK, demo_script, make_sample
from dispatcher.demo.scripted import ScriptedEndpoint
from tests.conftest import HARNESSES
from tests.integration.cli import Cli

pytestmark = [pytest.mark.real, pytest.mark.slow, pytest.mark.timeout(600)]

HARNESS = "goose"


@dataclass
class Place:
    """A running board with the sample project and an agent."""

    cli: Cli
    sample: Path


@pytest.fixture
def place(home: Path, harness_binary: Callable[[str], Path]) -> Iterator[Place]:
    harness_binary(HARNESS)
    cli = Cli(home / "data", {"DISPATCHER_HARNESS_HOME": str(HARNESSES)})
    sample = make_sample(home / "sample")
    with ScriptedEndpoint(demo_script) as endpoint:
        cli.ok("project", "add", sample, "--key", "DEMO", "--check", CHECK)
        cli.ok("endpoint", "add", "scripted", "--url", endpoint.base_url, "--model", endpoint.model)
        cli.ok("agent", "add", "coder", "--harness", HARNESS, "--endpoint", "scripted")
        up = cli.start("up", "--port", "0")
        assert up.stdout is not None
        try:
            assert up.stdout.readline().startswith("The board is at")
            yield Place(cli, sample)
        finally:
            up.send_signal(signal.SIGTERM)
            up.communicate(timeout=60)


def test_from_ticket_to_merge(place: Place) -> None:
    cli = place.cli
    ended = cli.run("ticket", "new", "Fix the sum", "--project", "DEMO", "--assign", "coder", "--wait", seconds=150)
    assert ended.status == 0, ended.out + ended.err
    assert ended.out.splitlines()[-1].startswith("DEMO-1 is in review (1 file, +1 -1")
    assert "\x1b" not in ended.out + ended.err
    assert "+        total += int(amount) * UNITS[unit]" in cli.ok("diff", "DEMO-1").out
    assert cli.ok("diff", "DEMO-1", "--stat").out.endswith("\ttimesheet/duration.py\n")
    (run,) = cli.json("run", "list", "--ticket", "DEMO-1")
    assert cli.json("session", "show", str(run["id"]))["outcome"]["kind"] == "done"
    assert cli.ok("run", "log", str(run["id"]), "--follow").out
    assert "OK" in cli.ok("run", "log", str(run["id"]), "--stream", "check").out
    back = cli.run(
        "changes", "DEMO-1", "-m", "Add a docstring", "-c", "timesheet/duration.py:6:what is it for?", "--wait", seconds=150
    )
    assert back.status == 0, back.out + back.err
    assert '"""The minutes' in cli.ok("diff", "DEMO-1").out
    cli.ok("approve", "DEMO-1")
    assert cli.json("ticket", "show", "DEMO-1")["state"] == "done"
    merged = subprocess.run(
        ["git", "show", "main:timesheet/duration.py"], cwd=place.sample, capture_output=True, text=True, check=True
    )
    assert "total += int(amount)" in merged.stdout


def test_a_question_ends_with_3_and_its_answer_goes_on(place: Place) -> None:
    cli = place.cli
    body = "Ask me one question before you start."
    ended = cli.run("ticket", "new", "QUESTION first", "-p", "DEMO", "--body", body, "--assign", "coder", "--wait", seconds=150)
    assert ended.status == 3, ended.out + ended.err
    assert ended.out.splitlines()[-1].startswith("DEMO-1 is blocked: question: ")
    seen = cli.json("ticket", "show", "DEMO-1")["blocker"]["id"]
    late = cli.run("ticket", "answer", "DEMO-1", "-", "--blocker", str(seen + 1), stdin="Yes, minutes.\n")
    assert late.status == 1 and "DEMO-1 waits for another answer by now" in late.err and "Yes, minutes." in late.err
    assert f"--blocker {seen}" in cli.ok("ticket", "show", "DEMO-1").err
    answered = cli.run("ticket", "answer", "DEMO-1", "Yes, minutes.", "--blocker", str(seen), "--wait", seconds=150)
    assert answered.status == 0, answered.out + answered.err
    refused = cli.run("discard", "DEMO-1")
    assert refused.status == 2
    cli.ok("discard", "DEMO-1", "--yes")
