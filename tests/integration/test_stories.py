"""The used-by stories, by command line, with the three real harnesses: `dispatcher up`, a scripted model, and all between.

Each story is told once for every harness; the steps of the scripted model are rendered into the harness's own dialect.
"""

from __future__ import annotations

import json
import os
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import httpx
import pytest

from dispatcher.demo.scripted import Edit, Repeat, Run, Say, ScriptedEndpoint, Stall, Step
from tests.conftest import GIT, HARNESSES

pytestmark = [pytest.mark.real, pytest.mark.slow]
NAMES = ("opencode", "aider", "goose")
CODE = "def add(a, b):\n    return a - b\n"
TEST = """import unittest

from calc import add


class Add(unittest.TestCase):
    def test_add(self):
        self.assertEqual(add(2, 3), 5)
"""
FIX = Edit("calc.py", "return a - b", "return a + b")
DOCSTRING = Edit("calc.py", "def add(a, b):\n", 'def add(a, b):\n    """The sum."""\n')
CHECK = "python3 -m unittest -q"


@dataclass
class Site:
    """A running dispatcher with its scripted model, and the command line to it."""

    home: Path
    repository: Path
    endpoint: ScriptedEndpoint
    env: dict[str, str]

    def cli(self, *args: str, code: int = 0) -> str:
        done = subprocess.run([*COMMAND, *args], env=self.env, capture_output=True, text=True, timeout=150, cwd=self.home)
        assert done.returncode == code, f"{args}: exit {done.returncode}\n{done.stdout}\n{done.stderr}\n{self.log()}"
        return done.stdout

    def json(self, *args: str) -> Any:
        return json.loads(self.cli(*args, "--json"))

    def new(self, agent: str, title: str = "Fix add in calc.py", code: int = 0) -> str:
        """File a ticket, wait until it is settled, and give its key."""
        self.cli(
            "ticket", "new", title, "--project", "CALC", "--body", "The test fails.", "--assign", agent, "--wait", code=code
        )
        return self.newest()

    def newest(self) -> str:
        return str(max(self.json("ticket", "list"), key=lambda ticket: int(ticket["key"].partition("-")[2]))["key"])

    def ticket(self, key: str) -> Any:
        server = json.loads((self.home / "server.json").read_text())
        headers = {"Authorization": f"Bearer {server['token']}"}
        return httpx.get(f"{server['url']}/api/v1/tickets/{key}", headers=headers, timeout=10).raise_for_status().json()

    def until(self, condition: Callable[[], bool], seconds: float = 60) -> None:
        deadline = time.monotonic() + seconds
        while not condition():
            assert time.monotonic() < deadline, f"it did not come to be\n{self.log()}"
            time.sleep(0.1)

    def log(self) -> str:
        return "\n".join(path.read_text()[-3000:] for path in (self.home / "logs").glob("*") if path.is_file())

    def git(self, *args: str) -> str:
        return subprocess.run(["git", *args], cwd=self.repository, check=True, capture_output=True, text=True).stdout

    def reset(self) -> None:
        """Bring the sample's bug back."""
        if (self.repository / "calc.py").read_text() != CODE:
            (self.repository / "calc.py").write_text(CODE)
            self.git("commit", "-q", "-a", "-m", "The bug again")


COMMAND = [sys.executable, "-m", "dispatcher.cli"]


@pytest.fixture(scope="module")
def site(tmp_path_factory: pytest.TempPathFactory, harness_binary: Callable[[str], Path]) -> Iterator[Site]:
    for name in NAMES:
        harness_binary(name)
    home, repository = tmp_path_factory.mktemp("home"), tmp_path_factory.mktemp("repo") / "Größe und Maß"
    repository.mkdir()
    (repository / "calc.py").write_text(CODE)
    (repository / "test_calc.py").write_text(TEST)
    (repository / ".gitignore").write_text("__pycache__/\n")
    env = os.environ | GIT
    for command in (["init", "-q", "-b", "main"], ["add", "."], ["commit", "-q", "-m", "Begin"]):
        subprocess.run(["git", *command], cwd=repository, check=True, env=env)
    env |= {
        "HOME": str(home),
        "DISPATCHER_HOME": str(home),
        "DISPATCHER_HARNESS_HOME": str(HARNESSES),
        "DISPATCHER_ENDPOINT_PATIENCE": "30",
        "DISPATCHER_GRACE_SECONDS": "2",
        "PYTHONPATH": str(Path(__file__).resolve().parents[2]),
    }
    with ScriptedEndpoint() as endpoint:
        made = Site(home, repository, endpoint, env)
        up = subprocess.Popen([*COMMAND, "up", "--port", "0"], env=env, stdout=subprocess.PIPE, text=True)
        assert up.stdout is not None and "http://127.0.0.1" in up.stdout.readline()
        try:
            made.cli("project", "add", str(repository), "--key", "CALC", "--check", CHECK)
            made.cli("endpoint", "add", "local", "--url", endpoint.base_url, "--model", endpoint.model, "--slots", "3")
            for name in NAMES:
                made.cli("agent", "add", name, "--harness", name, "--endpoint", "local")
            yield made
        finally:
            up.terminate()
            up.communicate(timeout=60)
        assert up.returncode == 0


def play(site: Site, *steps: Step) -> None:
    site.reset()
    site.endpoint.play(list(steps))


@pytest.mark.parametrize("harness", NAMES)
def test_fix_a_failing_test_approve_and_merge(site: Site, harness: str) -> None:
    play(site, Run(CHECK), FIX, Run(CHECK), Say("I fixed `add`: it subtracted."))
    used = site.endpoint.usage
    key = site.new(harness)
    ticket = site.ticket(key)
    assert ticket["state"] == "review" and "+    return a + b" in site.cli("diff", key)
    run = ticket["runs"][0]
    prompt_tokens, completion_tokens = (now - before for now, before in zip(site.endpoint.usage, used, strict=True))
    assert (run["state"], run["harness"], run["exit_code"]) == ("succeeded", harness, 0)
    assert (run["prompt_tokens"], run["completion_tokens"]) == (prompt_tokens, completion_tokens) and run["requests"] >= 1
    session = site.json("session", "show", str(run["id"]))
    kinds = {item["kind"] for item in session["items"]}
    assert {"user", "assistant", "tool_call"} <= kinds and session["outcome"]["kind"] == "done"
    site.cli("approve", key)
    assert site.ticket(key)["state"] == "done"
    assert "return a + b" in site.git("show", "main:calc.py") and (site.repository / "calc.py").read_text() != CODE


@pytest.mark.parametrize("harness", NAMES)
def test_a_question_is_asked_and_answered(site: Site, harness: str) -> None:
    play(site, Say("Before I change anything: should `add` take floats too?"))
    key = site.new(harness, code=3)
    blocker = site.ticket(key)["blocker"]
    assert blocker["kind"] == "question" and "floats" in blocker["text"]
    play(site, FIX, Say("Done, with floats."))
    site.cli("ticket", "answer", key, "Yes, floats as well.", "--wait")
    told = site.endpoint.completions[-1].text()
    assert site.ticket(key)["state"] == "review" and "Yes, floats as well." in told
    assert "should `add` take floats too?" in told
    site.cli("discard", key, "--yes")


@pytest.mark.parametrize("harness", NAMES)
def test_an_endpoint_that_goes_down_and_comes_back_fails_nothing(site: Site, harness: str) -> None:
    play(site, FIX, Say("Done after all."))
    site.endpoint.stop()
    try:
        site.cli("ticket", "new", "Fix add in calc.py", "--project", "CALC", "--assign", harness)
        key = site.newest()
        site.until(lambda: "does not answer" in site.ticket(key)["runs"][0]["doing"])
    finally:
        site.endpoint.start()
    site.until(lambda: site.ticket(key)["state"] in ("review", "blocked"))
    assert site.ticket(key)["state"] == "review", site.ticket(key)["blocker"]
    site.cli("discard", key, "--yes")


@pytest.mark.parametrize("harness", NAMES)
def test_a_run_stopped_midway_goes_on_where_it_was(site: Site, harness: str) -> None:
    play(site, Stall(20, then=Say("too late")) if harness == "aider" else Run("echo begun; sleep 20"), Say("too late"))
    site.cli("ticket", "new", "Fix add in calc.py", "--project", "CALC", "--assign", harness)
    key = site.newest()
    site.until(lambda: site.ticket(key)["state"] == "running" and len(site.endpoint.completions) >= 1)
    time.sleep(1)
    began = time.monotonic()
    site.cli("run", "stop", str(site.ticket(key)["runs"][0]["id"]))
    site.until(lambda: site.ticket(key)["state"] == "blocked")
    assert time.monotonic() - began < 10 and site.ticket(key)["blocker"]["kind"] == "stopped"
    play(site, FIX, Say("Done in the second go."))
    site.cli("ticket", "answer", key, "Go on.", "--wait")
    runs = site.ticket(key)["runs"]
    assert site.ticket(key)["state"] == "review" and [run["state"] for run in runs] == ["succeeded", "cancelled"]
    assert "Go on." in site.endpoint.completions[-1].text()
    site.cli("discard", key, "--yes")


@pytest.mark.parametrize("harness", NAMES)
def test_changes_are_requested_and_made(site: Site, harness: str) -> None:
    play(site, FIX, Say("Fixed."))
    key = site.new(harness)
    play(site, DOCSTRING, Say("Added the docstring."))
    site.cli("changes", key, "-m", "Nearly.", "--comment", "calc.py:1:Add a docstring here.", "--wait")
    told = site.endpoint.completions[-1].text()
    assert "Add a docstring here." in told and "calc.py:1" in told
    diff = site.cli("diff", key)
    assert '+    """The sum."""' in diff and "+    return a + b" in diff
    assert len(site.ticket(key)["runs"]) == 2
    site.cli("approve", key, "--method", "squash")
    assert site.git("log", "-1", "--format=%P", "main").count(" ") == 0 and "The sum" in site.git("show", "main:calc.py")


@pytest.mark.parametrize("harness", ["opencode", "goose"])
def test_a_model_that_goes_in_circles_is_ended(site: Site, harness: str) -> None:
    play(site, Repeat(Run("ls")))
    key = site.new(harness, code=3)
    blocker = site.ticket(key)["blocker"]
    assert blocker["kind"] == "loop" and "ls" in blocker["text"]
    assert site.ticket(key)["runs"][0]["state"] == "failed"
    site.cli("discard", key, "--yes")


def test_a_limit_of_turns_and_of_tokens_ends_a_run(site: Site) -> None:
    for name, option, told in (("brief", "--max-turns", "turns"), ("poor", "--max-tokens", "tokens")):
        site.cli("agent", "add", name, "--harness", "goose", "--endpoint", "local", option, "3")
        play(site, *(Run(f"echo {number}; sleep 0.3") for number in range(20)), Say("Done."))
        key = site.new(name, code=3)
        blocker = site.ticket(key)["blocker"]
        assert blocker["kind"] == "limit" and told in blocker["text"], blocker
        site.cli("discard", key, "--yes")
