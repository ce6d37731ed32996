"""Starting and ending programs: files, exit statuses, and nothing left behind."""

from __future__ import annotations

import asyncio
import os
import signal
import sys
import textwrap
import time
from collections.abc import Callable
from pathlib import Path

import pytest

from workers.checks import finished, shell
from workers.process import marked, reap, start
from workers.sandbox.box import NONE, Box
from workers.sandbox.start import run

ENV = {"PATH": os.environ["PATH"]}
TREE, LEFT, CHECK = (f"{name}-{os.getpid()}" for name in ("t3", "t4", "t6"))
"""Marks of this process alone: other tests may run on this machine."""


def program(text: str) -> tuple[str, ...]:
    return (sys.executable, "-c", textwrap.dedent(text))


def wait_for(condition: Callable[[], bool], seconds: float = 30) -> None:
    deadline = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < deadline, "it did not come to be"
        time.sleep(0.02)


async def test_output_goes_to_files_and_input_comes_from_one(tmp_path: Path) -> None:
    (tmp_path / "in").write_text("hello")
    out, err = tmp_path / "out", tmp_path / "err"
    argv = program("import sys; print(sys.stdin.read() * 2); print('oh', file=sys.stderr); sys.exit(3)")
    async with start(argv, cwd=tmp_path, env=ENV, marker="t1", stdout=out, stderr=err, stdin=tmp_path / "in") as process:
        assert await process.wait() == 3
    assert (out.read_text(), err.read_text()) == ("hellohello\n", "oh\n")


async def test_nothing_is_inherited(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("SECRET_KEY", "sk-1")
    argv = ("/usr/bin/env",)
    async with start(argv, cwd=tmp_path, env=ENV, marker="t2", stdout=tmp_path / "o", stderr=tmp_path / "e") as process:
        await process.wait()
    assert "sk-1" not in (tmp_path / "o").read_text() and "DISPATCHER_RUN=t2" in (tmp_path / "o").read_text()


async def test_a_tree_that_ignores_term_and_leaves_its_session_is_ended(tmp_path: Path) -> None:
    argv = program(
        """
        import os, signal, time
        signal.signal(signal.SIGTERM, signal.SIG_IGN)
        for _ in range(2):
            if os.fork() == 0:
                os.setsid()
                if os.fork() == 0:
                    signal.signal(signal.SIGTERM, signal.SIG_IGN)
                    time.sleep(60)
                os._exit(0)
        print("ready", flush=True)
        time.sleep(60)
        """
    )
    async with start(argv, cwd=tmp_path, env=ENV, marker=TREE, stdout=tmp_path / "o", stderr=tmp_path / "e") as process:
        await asyncio.to_thread(wait_for, lambda: len(marked(TREE)) == 3)
        assert await process.stop(grace=0.3) == -signal.SIGKILL
        assert marked(TREE) == set()


async def test_leftovers_of_an_orderly_end_are_taken_too(tmp_path: Path) -> None:
    argv = ("/bin/sh", "-c", "setsid sleep 60 & exit 0")
    async with start(argv, cwd=tmp_path, env=ENV, marker=LEFT, stdout=tmp_path / "o", stderr=tmp_path / "e") as process:
        assert await process.wait() == 0
    assert marked(LEFT) == set()


def test_reaping_nothing_takes_nothing() -> None:
    assert reap("no such marker") == 0


async def test_without_setpriv_the_launcher_of_ours_serves(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("workers.process._setpriv", lambda: None)
    async with start(
        ("sh", "-c", "exit 7"), cwd=tmp_path, env=ENV, marker="t7", stdout=tmp_path / "o", stderr=tmp_path / "e"
    ) as process:
        assert await process.wait() == 7


async def test_a_gentle_program_ends_by_term(tmp_path: Path) -> None:
    async with start(
        ("sleep", "60"), cwd=tmp_path, env=ENV, marker="t5", stdout=tmp_path / "o", stderr=tmp_path / "e"
    ) as process:
        await asyncio.sleep(0.1)
        assert await process.stop(grace=5) == -signal.SIGTERM


async def command(text: str, folder: Path, seconds: float = 10):  # type: ignore[no-untyped-def]  # noqa: ANN201
    wanted = shell(text, cwd=folder, env=ENV, output=folder / "log")
    return await finished(run(Box(NONE), wanted, marker=CHECK), text, wanted, seconds=seconds, grace=0.2)


async def test_checks_pass_fail_and_hang(tmp_path: Path) -> None:
    passed = await command("echo fine; true", tmp_path)
    assert (passed.state, passed.exit_code, passed.output) == ("passed", 0, "fine\n")
    failed = await command("printf '\\033[31mred\\033[0m'; exit 2", tmp_path)
    assert (failed.state, failed.exit_code, failed.output) == ("failed", 2, "red")
    hung = await command("echo started; sleep 60 & sleep 60", tmp_path, seconds=2)  # a busy machine is slow to say a word
    assert (hung.state, hung.exit_code, hung.output) == ("timed_out", None, "started\n")
    assert marked(CHECK) == set()
