"""Crash points: each stands in the code once, and each is tried."""

from __future__ import annotations

import os
import re
import signal
import subprocess
import sys
import timeit
from collections import Counter
from pathlib import Path

import pytest

from dispatcher.crashing import POINTS, VARIABLE, point

PROJECT = Path(__file__).resolve().parents[2]
_CALL = re.compile(r'\bpoint\("([\w.]+)"\)')


def _named(folder: str, pattern: re.Pattern[str]) -> Counter[str]:
    return Counter(name for path in (PROJECT / folder).rglob("*.py") for name in pattern.findall(path.read_text()))


def test_each_point_is_called_at_one_place() -> None:
    called = sum((_named(folder, _CALL) for folder in ("dispatcher", "workers", "web", "adapters")), Counter[str]())
    assert called == Counter(dict.fromkeys(POINTS, 1))


def test_each_point_is_tried() -> None:
    tried = _named("tests/chaos", re.compile(r'"([a-z]+\.[a-z_]+)(?::\w+)?"'))
    assert [name for name in POINTS if not tried[name]] == []


@pytest.mark.parametrize(
    ("armed", "status", "told"),
    [("", 0, "one two three"), ("run.ended", -signal.SIGKILL, "one"), ("run.ended:KILL:2", -signal.SIGKILL, "one two")],
)
def test_a_process_ends_at_the_point_that_it_was_given(armed: str, status: int, told: str) -> None:
    program = "from dispatcher.crashing import point\nfor word in ('one', 'two', 'three'):\n"
    program += " print(word, flush=True)\n point('run.claimed')\n point('run.ended')\n"
    env = {**os.environ, **({VARIABLE: armed} if armed else {})}
    done = subprocess.run([sys.executable, "-c", program], env=env, cwd=PROJECT, capture_output=True, text=True, check=False)
    assert (done.returncode, done.stdout.split()) == (status, told.split())


def test_an_unarmed_point_costs_nothing() -> None:
    assert min(timeit.repeat(lambda: point("run.ended"), number=10_000, repeat=5)) / 10_000 < 2e-6
