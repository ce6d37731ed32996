"""Limits and outages: GitHub is left alone as long as its headers ask, nothing is lost, and what waits is shown."""

from __future__ import annotations

import socket
import time
from collections.abc import AsyncIterator, Iterator
from contextlib import contextmanager
from dataclasses import replace
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest
from sqlmodel import select

from dispatcher import board
from dispatcher.models import Comment, GitHubDelivery, GitHubLetter, GitHubRepo, Ticket
from tests import github_people as people
from tests.github_house import Octo, octo
from tests.github_server import Fault

COMMENT = "POST /repos/octo/web/issues"
PERMISSION = "GET /repos/octo/web/collaborators"


@pytest.fixture
async def github(tmp_path: Path, database_url: str, repository: Path) -> AsyncIterator[Octo]:
    async with octo(tmp_path, database_url, repository) as made:
        yield made


@contextmanager
def nobody() -> Iterator[str]:
    """An address at which nobody listens, and nobody begins to."""
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        yield f"http://127.0.0.1:{taken.getsockname()[1]}"


def pause_of(github: Octo, since: float | None = None) -> float:
    """Seconds that GitHub is left alone, from now on or from a time."""
    repo = github.repo()
    return repo.paused_until.timestamp() - (since or time.time()) if repo.paused_until else 0.0


def hold(github: Octo) -> None:
    """The pause goes on for a minute more: one of a second would be over before a busy machine has looked."""
    with github.desk.database.transaction() as db:
        row = db.exec(select(GitHubRepo)).one()
        assert row.paused_until is not None
        row.paused_until += timedelta(minutes=1)
        db.add(row)


@pytest.mark.parametrize(
    ("fault", "headers", "least", "most"),
    [
        (Fault(COMMENT, 403), {"retry-after": "75"}, 73, 76),
        (Fault(COMMENT, 429), {"retry-after": "90"}, 88, 91),
        (Fault(COMMENT, 403), {"x-ratelimit-remaining": "0", "reset in": "900"}, 890, 901),
        (Fault(COMMENT, 429), {"x-ratelimit-remaining": "0", "reset in": "600"}, 590, 601),
        (Fault(COMMENT, 403), {"retry-after": "30", "x-ratelimit-remaining": "0", "reset in": "900"}, 28, 31),
        (Fault(COMMENT, 403), {"x-ratelimit-remaining": "0", "reset in": "-50"}, 0, 2),
        (Fault(COMMENT, 403), {"retry-after": "99999"}, 3600, 3701),
        (Fault(COMMENT, 403, message="You have exceeded a secondary rate limit. Please wait."), {}, 58, 61),
        (Fault(COMMENT, 429), {"retry-after": "soon"}, 58, 61),
        (Fault(COMMENT, 500), {}, 0, 3),
        (Fault(COMMENT, 503), {"retry-after": "40"}, 38, 41),
        (Fault(COMMENT, 504), {}, 0, 3),
    ],
)
async def test_it_is_left_alone_as_long_as_it_asks(
    github: Octo, fault: Fault, headers: dict[str, str], least: float, most: float
) -> None:
    told = {name: value for name, value in headers.items() if name != "reset in"}
    number = people.open_issue(github.hub, "ada", "One", "", "agent:coder")
    await github.sync()
    github.ask("Which one?")
    if "reset in" in headers:
        told["x-ratelimit-reset"] = str(int(time.time()) + int(headers["reset in"]))
    github.hub.faults.append(replace(fault, headers=told))
    began = time.time()
    await github.tend()
    assert least <= pause_of(github, began) and pause_of(github) <= most, pause_of(github)
    hold(github)
    calls = len(github.hub.calls)
    people.add_comment(github.hub, "ada", number, "This one")
    github.bring()  # what comes meanwhile is kept
    await github.tender.tend()
    assert len(github.hub.calls) == calls, "it was asked in the pause"
    assert github.comments(number) == ["This one"] and github.repo().fault
    shown = github.told()
    assert shown["paused_until"] and {row["what"] for row in shown["waiting"]} == {"1 to be read", "1 to be written"}
    github.do(board.comment, number, "Written in the pause", author="kim")
    await github.tender.tend()
    assert {row["what"] for row in github.told()["waiting"]} == {"1 to be read", "2 to be written"}
    assert len(github.hub.calls) == calls
    await github.sync()
    assert github.ticket(number).state == "queued" and len(github.comments(number)) == 3
    shown = github.told()
    assert (shown["fault"], shown["waiting"], github.repo().failures) == ("", [], 0)


async def test_waits_without_a_header_grow(github: Octo) -> None:
    people.open_issue(github.hub, "ada", "One", "", "agent:coder")
    await github.sync()
    github.ask("Which one?")
    for message, waits in (("secondary rate limit", [60, 120, 240]), ("", [16, 32])):
        for wait in waits:
            github.hub.faults.append(Fault(COMMENT, 403 if message else 502, message=message))
            began = time.time()
            await github.tend()
            assert wait <= pause_of(github, began) and pause_of(github) <= wait


async def test_a_limit_while_a_delivery_is_read_loses_nothing(github: Octo) -> None:
    numbers = [people.open_issue(github.hub, "mallory", f"Issue {one}", "") for one in range(5)]
    github.bring()
    github.hub.faults.append(Fault(PERMISSION, 403, {"retry-after": "60"}, times=1))
    began = time.time()
    await github.tend()
    with github.desk.database.reading() as db:
        states = {row.state for row in db.exec(select(GitHubDelivery))}
    assert states == {"waiting"} and pause_of(github, began) >= 60 and pause_of(github) <= 61
    await github.sync()
    assert [github.ticket(number).state for number in numbers] == ["backlog"] * 5


async def test_nobody_listens_there(github: Octo) -> None:
    """Connection refused, and then it is back: all that was owed goes out, once, and what came in is read."""
    number = people.open_issue(github.hub, "ada", "One", "", "agent:coder")
    await github.sync()
    github.ask("Which one?")
    github.do(board.comment, number, "A word from here", author="kim")
    right = github.repo().api_url

    def moved(url: str, **values: Any) -> None:
        with github.desk.database.transaction() as db:
            row = db.exec(select(GitHubRepo)).one()
            row.api_url = url
            for name, value in values.items():
                setattr(row, name, value)
            db.add(row)

    people.open_issue(github.hub, "mallory", "Two", "")
    github.bring()
    with nobody() as away:
        moved(away)
        for wait in (2, 4, 8):  # longer each time
            began = time.time()
            await github.tend()
            assert wait <= pause_of(github, began) and pause_of(github) <= wait
    assert "does not answer" in github.repo().fault and github.repo().failures == 3
    told = github.told()
    assert {row["what"] for row in told["waiting"]} == {"1 to be read", "2 to be written"}
    with github.desk.database.transaction() as db:
        for row in db.exec(select(GitHubLetter)):
            row.wanted_at -= timedelta(minutes=5)
            db.add(row)
    assert any("2 to be written since" in one["words"] for one in github.told()["warnings"])
    assert any("it is tried again" in one["hint"] for one in github.told()["warnings"])
    moved(right)
    await github.sync()
    assert len([text for text in github.comments(number) if "Which one?" in text]) == 1
    assert len([text for text in github.comments(number) if "A word from here" in text]) == 1
    assert len(github.desk.all(Comment)) == 1 and github.told()["fault"] == "" and github.told()["waiting"] == []


async def test_what_may_not_be_done_is_said_and_hinders_nothing_else(github: Octo) -> None:
    """403 without a limit: an issue that is locked, or a right that is missing, which somebody gives later."""
    first, second = (people.open_issue(github.hub, "ada", title, "", "agent:coder") for title in ("One", "Two"))
    await github.sync()
    github.hub.issues[first]["locked"] = True
    for _ in range(2):
        github.ask("Which one?")
    github.hub.faults.append(Fault(f"{PERMISSION}/mallory", 403, message="Resource not accessible by integration", times=12))
    third = people.open_issue(github.hub, "mallory", "Three", "")
    people.open_issue(github.hub, "wren", "Four", "")
    for _ in range(10):  # more often than another fault would be tried
        github.bring()
        await github.tend()
        at_once(github)
    assert github.comments(first) == [] and len(github.comments(second)) == 1 and github.repo().fault == ""
    assert [row.title for row in github.desk.all(Ticket)] == ["One", "Two", "Four"]
    warned = {one["words"]: one["hint"] for one in github.told()["warnings"]}
    assert any("the comment on run 1 of WEB-1 cannot be written: " in words and "is locked" in words for words in warned)
    assert any("1 delivery cannot be read: " in words and "Resource not accessible" in words for words in warned), warned
    github.hub.issues[first]["locked"] = False
    github.hub.faults.clear()
    at_once(github)
    await github.sync()
    assert len(github.comments(first)) == 1 and github.ticket(third).state == "backlog"
    assert not [one for one in github.told()["warnings"] if "cannot be" in one["words"] and "reach" not in one["words"]]


async def test_a_repository_out_of_sight_loses_nothing(github: Octo) -> None:
    """To a token that was taken away from it GitHub says that nothing of it is there: no issue, and nobody's permission."""
    number = people.open_issue(github.hub, "ada", "One", "", "agent:coder")
    await github.sync()
    github.ask("Which one?")
    other = people.open_issue(github.hub, "mallory", "Two", "")
    people.add_label(github.hub, "ada", other, "agent:coder")
    github.hub.hidden = True
    for _ in range(3):
        github.bring()
        await github.tend()
        assert "GitHub does not show us octo/web" in github.repo().fault
    assert {row["what"] for row in github.told()["waiting"]} == {"2 to be read", "1 to be written"}
    github.hub.hidden = False
    await github.sync()
    assert len(github.comments(number)) == 1 and github.ticket(other).state == "queued" and github.repo().fault == ""


def at_once(github: Octo) -> None:
    """As if the time for all that is to be tried again had come."""
    with github.desk.database.transaction() as db:
        for table in (GitHubDelivery, GitHubLetter):
            for row in db.exec(select(table)):
                row.next_at = None
                db.add(row)
