"""Who may start a run, answer, and send work back from GitHub: every sender with every event and every label."""

from __future__ import annotations

from collections import Counter
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import pytest

from dispatcher import board
from dispatcher.errors import Conflict
from dispatcher.github import sync
from dispatcher.github.pulls import want_pull
from dispatcher.models import GitHubIssue, Run
from tests import github_people as people
from tests.github_house import Octo, octo

pytestmark = pytest.mark.guarantee("only trusted people start runs")

MAY = {
    "ada": True,  # admin
    "mia": True,  # maintain
    "wren": True,  # write
    "lister": True,  # read, and on the allowlist
    "tess": False,  # triage: may put labels on
    "mallory": False,  # read
    "stranger": False,  # no collaborator at all
    "ghost": False,  # an account that was deleted
    "renovate[bot]": False,  # write, and a bot
    "listed[bot]": False,  # a bot on the allowlist, where bots are off
    "acme": False,  # an organisation with write access
    "octo-dispatcher[bot]": False,  # we ourselves
}
LABELS = (None, "bug", "agent:coder", "Agent:Coder", "agent:nobody")
ASKS = ("agent:coder", "Agent:Coder")
STARTS = {
    "opened": lambda label: label in ASKS,
    "labeled": lambda label: label in ASKS,
    "assigned": lambda _: True,
    "/agent coder": lambda _: True,
    "/agent nobody": lambda _: False,
    "comment": lambda _: False,
    "comment edited": lambda _: False,
    "comment deleted": lambda _: False,
    "edited": lambda _: False,
    "unlabeled": lambda _: False,
    "closed": lambda _: False,
    "reopened": lambda _: False,
}


@pytest.fixture
async def github(tmp_path: Path, repository: Path) -> AsyncIterator[Octo]:
    async with octo(tmp_path, f"sqlite:///{tmp_path / 'dispatcher.db'}", repository) as made:
        hub = made.hub
        hub.person("mia", "maintain")
        hub.person("lister", "read")
        hub.person("stranger", "none")
        hub.person("ghost", "none")
        hub.person("listed[bot]", "write", "Bot")
        hub.person("acme", "write", "Organization")
        del hub.permissions["stranger"], hub.permissions["ghost"]
        made.policy(
            triggers=["label", "comment", "assign"],
            assignees={"octo-dispatcher[bot]": "coder"},
            allowed=["lister", "listed[bot]"],
            mirror=False,
        )
        yield made


def happen(hub: Any, who: str, event: str, label: str | None) -> int:
    """An issue of a stranger's with that label, and then the event; or the sender's own, where it is opened."""
    carried = [label] if label and event != "labeled" else []
    number = people.open_issue(hub, who if event == "opened" else "mallory", event, "Do it", *carried)
    if event == "labeled":
        people.add_label(hub, who, number, label or "")
    elif event == "assigned":
        people.assign(hub, who, number, "octo-dispatcher[bot]")
    elif event.startswith("/agent"):
        people.add_comment(hub, who, number, event)
    elif event.startswith("comment"):
        comment = people.add_comment(hub, who, number, "Good idea")["id"]
        if event == "comment edited":  # a command that comes in by an edit was said before it was asked
            people.change_comment(hub, who, comment, "Good idea\n/agent coder")
        if event == "comment deleted":
            people.remove_comment(hub, who, comment)
    elif event == "edited":
        people.change_issue(hub, who, number, body="/agent coder")
    elif event == "unlabeled":
        people.change_issue(hub, who, number, labels=[])
    elif event in ("closed", "reopened"):
        people.change_issue(hub, who, number, state="closed")
        if event == "reopened":
            people.change_issue(hub, who, number, state="open")
    return number


@pytest.mark.slow
async def test_every_sender_with_every_event_and_every_label(github: Octo) -> None:
    cells = {}
    for who in MAY:
        for event in STARTS:
            for label in LABELS:
                # A label that is there already is in the way of nothing: two of them tell.
                few = event in ("opened", "labeled") or label in (None, "agent:coder")
                if few and (event != "labeled" or label):
                    cells[who, event, label] = happen(github.hub, who, event, label)
    await github.sync(rounds=3)
    with github.desk.database.reading() as db:
        from sqlmodel import select

        tickets = {row.number: row.ticket_id for row in db.exec(select(GitHubIssue))}
        runs = Counter(db.exec(select(Run.ticket_id)))
    wrong = {}
    for (who, event, label), number in cells.items():
        wanted = int(MAY[who] and STARTS[event](label))
        if runs[tickets.get(number, -1)] != wanted:
            wrong[who, event, label] = runs[tickets.get(number, -1)]
    assert wrong == {} and sum(runs.values()) == sum(MAY.values()) * (2 + 2 + 2 + 2)


async def test_the_name_of_somebody_on_the_allowlist_is_not_theirs_for_good(github: Octo) -> None:
    """A login that its owner gave up is free: who takes it is another account, by its number."""

    async def asked(title: str) -> str:
        number = people.open_issue(github.hub, "lister", title, "", "agent:coder")
        await github.sync()
        return github.ticket(number).state

    assert await asked("One") == "queued"
    before = github.hub.people["lister"]
    github.hub.person("lister", "read")
    assert github.hub.people["lister"]["id"] != before["id"] and await asked("Two") == "backlog"
    assert any("lister is another account by now" in note for note in github.notes())
    github.policy(allowed=["listed[bot]"])
    github.policy(allowed=["lister"])  # put there again, it is the account that has the name now
    assert await asked("Three") == "queued"
    github.hub.people["lister"] = before
    assert await asked("Four") == "backlog"


async def test_a_permission_is_that_of_the_account_and_not_of_the_name(github: Octo) -> None:
    """What came late from an account whose login is a maintainer's by now."""
    number = people.open_issue(github.hub, "tess", "One", "", "agent:coder")
    github.hub.person("tess", "admin")
    await github.sync()
    assert github.ticket(number).state == "backlog"
    people.add_comment(github.hub, "tess", number, "/agent coder")
    await github.sync()
    assert github.ticket(number).state == "queued"


@pytest.mark.parametrize("who", MAY)
async def test_everybody_elses_issue_waits_until_a_person_accepts_it(github: Octo, who: str) -> None:
    number = people.open_issue(github.hub, who, "Please", "Do it")
    await github.sync()
    ticket = github.ticket(number)
    assert ticket.state == "backlog" and ticket.origin is not None and ticket.origin["waiting"] is not MAY[who]
    if not MAY[who]:
        with pytest.raises(Conflict, match="may not start runs"):
            github.do(board.assign, number, "coder")
        github.do(sync.accept, number, "kim")
    github.do(board.assign, number, "coder")
    assert github.ticket(number).state == "queued" and not (github.ticket(number).origin or {})["waiting"]


async def test_who_answers_what_an_agent_asks(github: Octo) -> None:
    number = people.open_issue(github.hub, "ada", "Please", "Do it", "agent:coder")
    await github.sync()
    for who in sorted(MAY, key=lambda one: MAY[one]):
        if github.ticket(number).state == "queued":
            github.ask("Which one?")
        people.add_comment(github.hub, who, number, f"This one, says {who}")
        await github.sync()
        assert (github.ticket(number).state == "queued") is MAY[who], (who, github.notes()[-1])
        if MAY[who]:
            assert github.live()[0].feedback == f"This one, says {who}"


async def test_who_sends_work_back(github: Octo) -> None:
    number = people.open_issue(github.hub, "ada", "Please", "Do it", "agent:coder")
    await github.sync()
    github.desk.work(a_txt="first\n")
    github.policy(rounds=100)
    github.do(want_pull, number)
    await github.sync()
    pull = github.pull().number or 0
    for who in sorted(MAY, key=lambda one: MAY[one]):
        people.review(github.hub, who, pull, "changes_requested", f"More, says {who}")
        await github.sync()
        assert (github.ticket(number).state == "queued") is MAY[who], (who, github.notes()[-1])
        if MAY[who]:
            assert f"More, says {who}" in github.live()[0].feedback
            github.desk.work(a_txt=f"for {who}\n")
            await github.sync()


async def test_a_comment_that_somebody_else_edited_is_as_trusted_as_both(github: Octo) -> None:
    """An edit of what was never seen: who may only write may edit an administrator's words."""
    github.policy(permission="admin")
    number = people.open_issue(github.hub, "mallory", "Please", "Do it")
    first, second = (people.add_comment(github.hub, "ada", number, "Hm")["id"] for _ in range(2))
    deliveries = github.hub.flush()
    github.bring([one for one in deliveries if one.event == "issues"])
    await github.sync()
    people.change_comment(github.hub, "wren", first, "/agent coder")
    await github.sync()
    assert github.live() == [] and github.ticket(number).state == "backlog"
    people.change_comment(github.hub, "ada", second, "/agent coder")
    await github.sync()
    assert len(github.live()) == 1


async def test_a_label_that_is_taken_away_takes_its_run_back(github: Octo) -> None:
    number = people.open_issue(github.hub, "ada", "Please", "Do it", "agent:coder")
    await github.sync()
    assert github.ticket(number).state == "queued"
    people.change_issue(github.hub, "tess", number, labels=[])
    await github.sync()
    assert github.ticket(number).state == "queued", "who may not start a run may not take it back"
    people.add_label(github.hub, "tess", number, "agent:coder")
    people.change_issue(github.hub, "wren", number, labels=["bug"])
    await github.sync()
    assert github.ticket(number).state == "backlog" and github.live() == [] and github.ticket(number).labels == ["bug"]
    people.assign(github.hub, "wren", number, "octo-dispatcher[bot]")
    await github.sync()
    assert github.ticket(number).state == "queued"
    people.unassign(github.hub, "wren", number, "octo-dispatcher[bot]")
    await github.sync()
    assert github.ticket(number).state == "backlog"
    people.add_label(github.hub, "wren", number, "agent:coder")
    await github.sync()
    github.desk.claim()
    people.change_issue(github.hub, "wren", number, labels=[])
    await github.sync()
    assert github.ticket(number).state == "running", "what has begun is stopped on the board, not by a label"


async def test_a_label_and_its_removal_in_the_wrong_order_start_nothing(github: Octo) -> None:
    number = people.open_issue(github.hub, "ada", "Please", "Do it")
    await github.sync()
    people.add_label(github.hub, "ada", number, "agent:coder")
    people.change_issue(github.hub, "ada", number, labels=[])
    github.bring(github.hub.flush()[::-1])
    await github.sync()
    assert github.live() == [] and github.ticket(number).state == "backlog" and github.ticket(number).labels == []
