"""The guarantees as a table at the end of a test run: what was tried, how often, and what was lost.

A test says what it tries to break by `@pytest.mark.guarantee(NAME)`. The table counts what has run: nothing in it is written
beforehand but the names and their order. It works in many processes as in one, since the marks travel with the tests' reports.
"""

from __future__ import annotations

from collections import Counter, defaultdict
from typing import Any

import pytest

GUARANTEES = (
    "an accepted assignment is never lost",
    "every step may die",
    "a stale worker changes nothing",
    "a lost run continues, it does not start over",
    "no orphan processes",
    "an endpoint that restarts does not fail a run",
    "the agent writes only its workspace, and reaches only its endpoint",
    "no key inside",
    "what a run tells holds no secret",
    "the worktree cannot turn git on the host",
    "a webhook counts once and only if signed",
    "what is owed to GitHub stands there once",
    "only trusted people start runs",
    "the local site cannot be driven by other sites",
    "no script from transcripts, diffs or markdown",
    "logs are whole and in order",
    "a full disk stops new work, not old truth",
    "a clock that is set, and a sleep, lose no run",
)
KEY = "guarantee"


def pytest_runtest_setup(item: pytest.Item) -> None:
    """Note what the test tries to break; a name that is not in the table is a slip."""
    for mark in item.iter_markers("guarantee"):
        assert mark.args[0] in GUARANTEES, f"{mark.args[0]!r} is no guarantee of tests/guarantees.py"
        item.user_properties.append((KEY, mark.args[0]))


def pytest_terminal_summary(terminalreporter: Any) -> None:
    """Print the table, where anything of it was tried."""
    tried, lost, skipped = _count(terminalreporter)
    if not tried and not skipped:
        return
    terminalreporter.section("guarantees")
    for name in GUARANTEES:
        if name not in tried and name not in skipped:
            continue
        for line in _lines(name, tried[name], lost[name], skipped[name]):
            terminalreporter.write_line(line, red=bool(lost[name]))


def _count(reporter: Any) -> tuple[dict[str, Counter[str]], dict[str, list[str]], Counter[str]]:
    tried: dict[str, Counter[str]] = defaultdict(Counter)
    lost: dict[str, list[str]] = defaultdict(list)
    skipped: Counter[str] = Counter()
    for outcome in ("passed", "failed", "error", "skipped"):
        for report in reporter.getreports(outcome):
            for key, name in getattr(report, "user_properties", ()):
                if key != KEY:
                    continue
                if outcome == "skipped":
                    skipped[name] += 1
                    continue
                if outcome != "error":
                    tried[name][_words(report.nodeid)] += 1
                if outcome != "passed":
                    lost[name].append(report.nodeid)
    return tried, lost, skipped


def _lines(name: str, tried: Counter[str], lost: list[str], skipped: int) -> list[str]:
    verdict = f"LOST in {len(lost)}" if lost else "lost: nothing" if tried else "not tried"
    left_out = f", {skipped} not possible here" if skipped else ""
    lines = [f"{name}: {sum(tried.values())} tried{left_out}; {verdict}"]
    lines += [f"    {number:>4} x {what}" for what, number in sorted(tried.items())]
    return lines + [f"    LOST {node}" for node in lost]


def _words(nodeid: str) -> str:
    """A test's name in words: tests/x.py::test_some_thing[1] is `some thing`."""
    return nodeid.rpartition("::")[2].partition("[")[0].removeprefix("test_").replace("_", " ")
