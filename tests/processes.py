"""Processes of ours, real ones. They are forked from one that has imported everything, so that a start takes milliseconds."""

from __future__ import annotations

import contextlib
import itertools
import multiprocessing
import os
import signal
import sqlite3
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from multiprocessing.context import ForkServerProcess
from pathlib import Path

from sqlalchemy import event
from sqlalchemy.pool import Pool

import adapters
from dispatcher import crashing
from dispatcher.cli import main
from dispatcher.settings import Settings
from tests.fake import Fake

_CONTEXT = multiprocessing.get_context("forkserver")
_numbers = itertools.count(1)
_PROGRAMS = ["workers.main", "web.main", "dispatcher.commands.up", "dispatcher.entry", "dispatcher.cli", "dispatcher.client"]
_CONTEXT.set_forkserver_preload(["tests.processes", *_PROGRAMS, "tests.warm"])


PROGRAM = Path(sys.executable).with_name("dispatcher")
"""The command that users have."""


@dataclass
class Started:
    """One of them."""

    process: ForkServerProcess
    log: Path

    @property
    def pid(self) -> int:
        assert self.process.pid is not None
        return self.process.pid

    @property
    def alive(self) -> bool:
        return self.process.is_alive()

    def ended(self, seconds: float = 60) -> int:
        """Its exit status once it has ended; negative for a signal."""
        self.process.join(seconds)
        assert self.process.exitcode is not None, f"it did not end\n{self.said()}"
        return self.process.exitcode

    def kill(self) -> None:
        self.process.kill()
        self.process.join(10)

    def signal(self, number: signal.Signals) -> None:
        os.kill(self.pid, number)

    def frozen(self) -> bool:
        """Whether it was stopped by SIGSTOP."""
        return Path(f"/proc/{self.pid}/stat").read_text().rpartition(")")[2].split()[0] == "T"

    def said(self) -> str:
        return self.log.read_text(errors="replace")[-4000:]


@contextmanager
def started(what: str, settings: Settings, *, at: str = "", **changed: object) -> Iterator[Started]:
    """`worker` or `web`, with those settings; `at` is a crash point. Asked to end at the end, if it still lives."""
    given = {"home": settings.home, "database_url": settings.database, "redis_url": settings.redis_url} | changed
    env = dict(os.environ) | {f"DISPATCHER_{name.upper()}": str(value) for name, value in given.items()}
    env |= {crashing.VARIABLE: at} if at else {}
    log = settings.home / f"{what}-{next(_numbers)}.log"
    log.touch()
    with _started(_be, (what, env, log), log) as made:
        yield made


@contextmanager
def going(arguments: list[str], env: dict[str, str], folder: Path) -> Iterator[Started]:
    """The `dispatcher` program with a command that goes on until it is asked to end; its streams are files in that folder."""
    streams = _streams(folder)
    with _started(_be_command, ([str(PROGRAM), *arguments], env, Path.cwd(), streams), streams[1]) as made:
        yield made


@contextmanager
def _started(target: Callable[..., None], args: tuple[object, ...], log: Path) -> Iterator[Started]:
    process = _CONTEXT.Process(target=target, args=args)
    process.start()
    made = Started(process, log)
    try:
        yield made
    finally:
        if made.alive:
            with contextlib.suppress(ProcessLookupError):
                made.signal(signal.SIGCONT)
            process.terminate()
            process.join(30)
        code = process.exitcode
        if code is None:
            made.kill()
        process.close()
        assert code is not None, f"it did not end when it was asked to\n{made.said()}"


def command(
    arguments: list[str], env: dict[str, str], *, stdin: str = "", seconds: float = 90, cwd: Path | None = None
) -> tuple[int, str, str]:
    """Run one command line of the `dispatcher` program to its end: its status, and what it printed on both streams.

    Raises `TimeoutExpired`.
    """
    with tempfile.TemporaryDirectory() as folder:
        streams = _streams(Path(folder), stdin)
        process = _CONTEXT.Process(target=_be_command, args=([str(PROGRAM), *arguments], env, cwd or Path.cwd(), streams))
        process.start()
        process.join(seconds)
        code = process.exitcode
        if code is None:
            process.kill()
            process.join()
            raise subprocess.TimeoutExpired(arguments, seconds)
        process.close()
        return code, *(stream.read_text() for stream in streams[1:])


def _streams(folder: Path, stdin: str = "") -> list[Path]:
    streams = [folder / name for name in ("stdin", "stdout", "stderr")]
    for stream, text in zip(streams, (stdin, "", ""), strict=True):
        stream.write_text(text)
    return streams


def wait_until(condition: Callable[[], object], seconds: float = 60, told: Callable[[], object] = str) -> None:
    """Wait until something is so."""
    deadline = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < deadline, f"it did not come to be\n{told()}"
        time.sleep(0.02)


def _set_clock(file: Path) -> None:
    """Let SQLite's clock be as many seconds ahead as the file says; the machine's own cannot be moved for a test."""

    def strftime(how: str, when: str) -> str:
        assert when == "now"
        told = datetime.now(UTC) + timedelta(seconds=float(file.read_text() or 0))
        return told.strftime(how.replace("%f", "%S.") + f"{told.microsecond // 1000:03d}")

    def connected(connection: object, _record: object) -> None:
        if isinstance(connection, sqlite3.Connection):
            connection.create_function("strftime", 2, strftime)

    event.listen(Pool, "connect", connected)


def _be_command(argv: list[str], env: dict[str, str], folder: Path, streams: list[Path]) -> None:
    for number, stream in enumerate(streams):
        os.dup2(os.open(stream, os.O_RDWR | os.O_CREAT | os.O_APPEND), number)
    os.chdir(folder)
    os.environ.clear()
    os.environ.update(env)
    sys.argv = argv
    sys.stdin, sys.stdout, sys.stderr = (open(number, how, closefd=False) for number, how in enumerate("rww"))  # noqa: SIM115
    main()


def _be(what: str, env: dict[str, str], log: Path) -> None:
    with log.open("ab") as file:
        os.dup2(file.fileno(), 1)
        os.dup2(file.fileno(), 2)
    os.environ.clear()
    os.environ.update(env)
    if clock := env.get("DISPATCHER_CLOCK"):
        _set_clock(Path(clock))
    crashing._armed = env.get(crashing.VARIABLE)  # read when the module was imported, which was in the parent
    adapters.HARNESSES[Fake.name] = "tests.fake:Fake"
    settings = Settings()
    if what == "worker":
        from dispatcher import logs
        from workers.main import run

        logs.configure(settings)
        run(settings)
    else:
        from dispatcher.commands.up import _serve
        from dispatcher.stack import listen

        _serve(settings, listen("127.0.0.1", 0), "")
