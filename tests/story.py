"""A whole dispatcher as its users run it: `dispatcher up`, a repository with a bug, a scripted model, real harnesses."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import httpx

from dispatcher.demo.scripted import Edit, ScriptedEndpoint, Step
from tests.conftest import GIT, HARNESSES
from tests.processes import command

NAMES = ("opencode", "aider", "goose")
COMMAND = [sys.executable, "-m", "dispatcher.cli"]
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
WAITS = "until test -e __pycache__/go; do sleep 0.1; done"
"""A command of an agent's that lasts until the test lets it go: it is looked at meanwhile, however long that takes."""


@dataclass
class Site:
    """A running dispatcher with its scripted model, and the command line to it."""

    home: Path
    repository: Path
    endpoint: ScriptedEndpoint
    env: dict[str, str]
    url: str = ""
    login: str = ""
    """The link that `up` printed."""

    def cli(self, *args: str, code: int = 0, stdin: str = "") -> str:
        """Run a command that ends with this status; what it printed."""
        status, out, err = command(list(args), self.env, stdin=stdin, seconds=150, cwd=self.home)
        assert status == code, f"{args}: exit {status}\n{out}\n{err}\n{self.log()}"
        return out

    def json(self, *args: str) -> Any:
        """What a command prints with --json."""
        return json.loads(self.cli(*args, "--json"))

    def furnish(self, *agents: str) -> None:
        """The project CALC, the endpoint "local", and an agent of each of these harnesses, named as it."""
        self.cli("project", "add", str(self.repository), "--key", "CALC", "--check", CHECK)
        self.cli("endpoint", "add", "local", "--url", self.endpoint.base_url, "--model", self.endpoint.model, "--slots", "3")
        for name in agents:
            self.cli("agent", "add", name, "--harness", name, "--endpoint", "local")

    def play(self, *steps: Step) -> None:
        """What the model does next, in a repository that has its bug."""
        if (self.repository / "calc.py").read_text() != CODE:
            (self.repository / "calc.py").write_text(CODE)
            self.git("commit", "-q", "-a", "-m", "The bug again")
        self.endpoint.play(list(steps))

    def new(self, agent: str, title: str = "Fix add in calc.py", code: int = 0) -> str:
        """File a ticket, wait until it is settled, and give its key."""
        self.cli(
            "ticket", "new", title, "--project", "CALC", "--body", "The test fails.", "--assign", agent, "--wait", code=code
        )
        return self.newest()

    def newest(self) -> str:
        """The key of the ticket that was filed last."""
        return str(max(self.json("ticket", "list"), key=lambda ticket: int(ticket["key"].partition("-")[2]))["key"])

    def ask(self, path: str) -> Any:
        """The answer of the API, asked as the data folder's own command line does."""
        server = json.loads((self.home / "server.json").read_text())
        headers = {"Authorization": f"Bearer {server['token']}"}
        return httpx.get(f"{server['url']}/api/v1{path}", headers=headers, timeout=30).raise_for_status().json()

    def ticket(self, key: str) -> Any:
        """A ticket as the API gives it."""
        return self.ask(f"/tickets/{key}")

    def go(self, key: str) -> None:
        """Let an agent go on that waits."""
        folder = Path(self.ticket(key)["workspace"]["path"]) / "__pycache__"  # which git ignores
        folder.mkdir(exist_ok=True)
        (folder / "go").touch()

    def until(self, condition: Callable[[], bool], seconds: float = 120) -> None:
        """Wait until something is so."""
        deadline = time.monotonic() + seconds
        while not condition():
            assert time.monotonic() < deadline, f"it did not come to be\n{self.ask('/tickets')}\n{self.log()}"
            time.sleep(0.1)

    def log(self) -> str:
        """The ends of the processes' logs."""
        return "\n".join(path.read_text()[-3000:] for path in (self.home / "logs").glob("*") if path.is_file())

    def git(self, *args: str) -> str:
        """What git prints in the repository."""
        return subprocess.run(["git", *args], cwd=self.repository, check=True, capture_output=True, text=True).stdout


@contextmanager
def standing(home: Path, repository: Path, **settings: str) -> Iterator[Site]:
    """`dispatcher up` in an empty data folder, beside a new repository; ends with it, and sees that it ended well."""
    home.mkdir(exist_ok=True)
    repository.mkdir()
    for name, text in {"calc.py": CODE, "test_calc.py": TEST, ".gitignore": "__pycache__/\n"}.items():
        (repository / name).write_text(text)
    env = os.environ | GIT
    for words in (["init", "-q", "-b", "main"], ["add", "."], ["commit", "-q", "-m", "Begin"]):
        subprocess.run(["git", *words], cwd=repository, check=True, env=env)
    env |= {
        "HOME": str(home),
        "DISPATCHER_HOME": str(home),
        "DISPATCHER_HARNESS_HOME": str(HARNESSES),
        "DISPATCHER_ENDPOINT_PATIENCE": "30",
        "DISPATCHER_GRACE_SECONDS": "2",
        "PYTHONPATH": str(Path(__file__).resolve().parents[1]),
    }
    env |= {f"DISPATCHER_{name.upper()}": value for name, value in settings.items()}
    with ScriptedEndpoint() as endpoint:
        up = subprocess.Popen([*COMMAND, "up", "--port", "0"], env=env, stdout=subprocess.PIPE, text=True)
        assert up.stdout is not None
        board, link = up.stdout.readline(), up.stdout.readline()
        try:
            assert board.startswith("The board is at http://127.0.0.1:") and link.startswith("Log in: "), board + link
            yield Site(home, repository, endpoint, env, board.split()[-1], link.split()[-1])
        finally:
            up.terminate()
            up.communicate(timeout=60)
        assert up.returncode == 0
