"""Runs the real `dispatcher` program, in a HOME and a data folder of its own."""

from __future__ import annotations

import json
import os
import pty
import subprocess
import tempfile
import termios
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from tests.processes import PROGRAM, command, going, wait_until

SECONDS = 90


@dataclass(frozen=True)
class Ended:
    """How a command line ended."""

    status: int
    out: str
    err: str

    @property
    def data(self) -> Any:
        """The JSON document that it printed."""
        return json.loads(self.out)


@dataclass
class Serving:
    """A web app: its address, and what it said on stderr once it has ended."""

    url: str
    errors: str = ""


@dataclass
class Cli:
    """The program for one data folder, `env` beside the test's own environment."""

    data_folder: Path
    env: dict[str, str]

    def environment(self) -> dict[str, str]:
        """What the program is given."""
        return dict(os.environ) | {"DISPATCHER_HOME": str(self.data_folder), **self.env}

    def run(self, *arguments: str | Path, stdin: str | None = None, seconds: float = SECONDS) -> Ended:
        """Run it, its streams files; forked, and not started, where it only asks and tells."""
        words = [str(argument) for argument in arguments]
        if words[:1] not in (["demo"], ["up"]):
            return Ended(*command(words, self.environment(), stdin=stdin or "", seconds=seconds))
        done = subprocess.run(
            [PROGRAM, *words],
            env=self.environment(),
            input=stdin,
            stdin=subprocess.DEVNULL if stdin is None else None,
            capture_output=True,
            text=True,
            timeout=seconds,
            check=False,
        )
        return Ended(done.returncode, done.stdout, done.stderr)

    def ok(self, *arguments: str | Path, stdin: str | None = None) -> Ended:
        """Run it, and see that it did not fail."""
        ended = self.run(*arguments, stdin=stdin)
        assert ended.status == 0, ended.err
        return ended

    def json(self, *arguments: str | Path) -> Any:
        """Run it with --json, and give what it printed."""
        return self.ok(*arguments, "--json").data

    def start(self, *arguments: str) -> subprocess.Popen[str]:
        """Start it, its streams piped."""
        return subprocess.Popen(
            [PROGRAM, *arguments],
            env=self.environment(),
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
        )

    @contextmanager
    def serving(self, *options: str) -> Iterator[Serving]:
        """The web app alone, on a port of its own, for as long as the context lasts; forked."""
        with tempfile.TemporaryDirectory() as folder:
            with going(["web", "--port", "0", *options], self.environment(), Path(folder)) as process:
                wait_until(lambda: "\n" in process.said() or not process.alive, told=process.said)
                line = process.said().splitlines()[0]
                assert line.startswith("listening at http://127.0.0.1:"), line
                served = Serving(line.rpartition(" ")[2])
                yield served
            served.errors = (Path(folder) / "stderr").read_text()

    def on_terminal(self, *arguments: str | Path, answers: dict[str, str] | None = None) -> tuple[int, str]:
        """Run it on a terminal: status, and all that the terminal was sent. `answers` are typed at their hidden prompts."""
        ours, theirs = pty.openpty()
        env = self.environment() | {"TERM": "xterm-256color", "COLUMNS": "120"}
        with subprocess.Popen([PROGRAM, *arguments], env=env, stdin=theirs, stdout=theirs, stderr=theirs) as process:
            os.close(theirs)
            sent, open_ = b"", dict(answers or {})
            try:
                while part := os.read(ours, 65536):
                    sent += part
                    for prompt in [one for one in open_ if one.encode() in sent]:
                        # What is typed before the echo is off is thrown away with it.
                        while termios.tcgetattr(ours)[3] & termios.ECHO:
                            time.sleep(0.01)
                        os.write(ours, f"{open_.pop(prompt)}\n".encode())
            except OSError:  # how Linux says that the other side of a terminal is closed
                pass
            finally:
                os.close(ours)
        return process.returncode, sent.decode()
