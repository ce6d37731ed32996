"""Tickets that wait for a person, for tests of pages."""

from __future__ import annotations

from pathlib import Path

from dispatcher import runs
from tests.webbing import Web

ASKS = runs.Result("block", "blocked", "Shall I keep the old name?", blocker="question")
FAILED = runs.Result("block", "blocked", "The check `make test` failed: 3 of 214 tests.", blocker="check_failed")
LONG = "Upgrade to Python 3.13 and drop 3.10 in all packages, with_a_name_that_has_no_place_to_be_broken_at_all_anywhere"
TITLES = ("Parser drops the last line", "Flaky test", "Dark mode", LONG, "Waits")


async def asking(web: Web, repository: Path, title: str = "Parser drops the last line") -> str:
    """A ticket whose agent asks a question."""
    key = await web.ticket(title, agent="coder")
    web.work(key, repository, result=ASKS)
    return key


async def full(web: Web, repository: Path) -> list[str]:
    """One of each kind: a question, another blocker, two in review, a queued one that no worker takes."""
    await web.send("POST", "/agents", {"name": "fast", "harness": "goose", "endpoint": "local"}, status=201)
    keys = [
        await web.ticket(title, agent="coder")
        for title in ("Parser drops the last line", "Flaky test", "Dark mode", LONG, "Waits")
    ]
    for key, result in zip(keys, (ASKS, FAILED), strict=False):
        web.work(key, repository, result=result)
    for key in keys[2:4]:
        web.work(key, repository)
    return keys
