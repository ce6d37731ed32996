"""Web app and worker die by kill -9 between GitHub and the board; each delivery counts once, and so does each word of ours."""

from __future__ import annotations

import signal
from collections.abc import AsyncIterator, Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

import pytest
from sqlmodel import select

from dispatcher import review
from dispatcher.embedded import EmbeddedRedis
from dispatcher.github import outbox, secrets
from dispatcher.models import GitHubDelivery, GitHubIssue, GitHubLetter, Run, Ticket
from dispatcher.states import LIVE_RUN
from tests import github_people as people
from tests.chaos.ground import DYING, SHORT
from tests.fake import installed
from tests.github_house import Octo, octo
from tests.gitting import git
from tests.processes import Started, started, wait_until

SCRIPT = "$ echo x >> a.txt\n$ say Done."
WORDS = ["outbox.filled", "outbox.posted", "outbox.known", "outbox.sent"]


@dataclass
class Between:
    """GitHub on one side, processes of ours on the other."""

    octo: Octo

    @contextmanager
    def worker(self, at: str = "") -> Iterator[Started]:
        changed = SHORT | (DYING if at else {"lease_seconds": 5})
        with started("worker", self.octo.desk.settings, at=at, **changed) as process:
            yield process

    @contextmanager
    def web(self, at: str = "") -> Iterator[Started]:
        """The web app, as the place where GitHub's deliveries go."""
        import json

        settings = self.octo.desk.settings
        server = settings.home / "server.json"
        server.unlink(missing_ok=True)
        with started("web", settings, at=at) as process:
            wait_until(server.exists, told=process.said)
            hub = self.octo.hub
            hub.hook = f"{json.loads(server.read_text())['url']}/hooks/github/WEB"
            hub.secret = secrets.read(settings, "WEB", "secret")
            yield process

    def issue(self, title: str) -> int:
        """An issue whose label starts a run, told to the inbox as the webhook does."""
        number = people.open_issue(self.octo.hub, "ada", title, SCRIPT)
        people.add_label(self.octo.hub, "ada", number, "agent:coder")
        return number

    def until(self, condition: Callable[[], object]) -> None:
        wait_until(condition, told=self.said)

    def calm(self, number: int) -> None:
        """Wait until nothing is owed to either side, and the ticket has a person's attention."""
        self.until(lambda: self.tickets(number) and self.octo.ticket(number).state in ("review", "blocked", "done"))
        self.until(lambda: not self.owed() and not [run for run in self.octo.desk.all(Run) if run.state in LIVE_RUN])

    def owed(self) -> bool:
        self.octo.bring()  # what our own doings cause there
        with self.octo.desk.database.reading() as db:
            waiting = db.exec(select(GitHubDelivery).where(GitHubDelivery.state == "waiting")).first()
            unsent = db.exec(select(GitHubLetter).where(GitHubLetter.sent_at.is_(None))).first()  # type: ignore[union-attr]
            told = not outbox.owes(db, self.octo.repo())
        return waiting is not None or unsent is not None or not told

    def tickets(self, number: int) -> list[Ticket]:
        with self.octo.desk.database.reading() as db:
            return list(db.exec(select(Ticket).join(GitHubIssue).where(GitHubIssue.number == number)))

    def runs(self, number: int) -> list[str]:
        ticket = self.octo.ticket(number)
        return [run.state for run in self.octo.desk.all(Run) if run.ticket_id == ticket.id]

    def said(self) -> str:
        home = self.octo.desk.settings.home
        rows = [f"{row.guid} {row.event} {row.state} {row.note}" for row in self.octo.deliveries()]
        rows += [f"{row.name} sent {row.sent_at} {row.fault}" for row in self.octo.desk.all(GitHubLetter)]
        return "\n".join([*rows, *(path.read_text(errors="replace")[-3000:] for path in home.glob("*.log"))])


@pytest.fixture
async def between(tmp_path: Path, repository: Path) -> AsyncIterator[Between]:
    async with octo(tmp_path, "", repository) as github:
        with installed(github.desk.settings.home):
            yield Between(github)


@pytest.mark.guarantee("what is owed to GitHub stands there once")
@pytest.mark.parametrize("point", WORDS)
async def test_killed_while_it_tells_of_a_run(between: Between, point: str) -> None:
    number = between.issue("Fix it")
    between.octo.bring()
    with between.worker(at=point) as first:
        assert first.ended() == -signal.SIGKILL
    with between.worker():
        between.calm(number)
    assert between.octo.ticket(number).state == "review"
    assert sorted(set(between.runs(number))) in (["succeeded"], ["lost", "succeeded"])
    assert between.runs(number).count("succeeded") == 1
    [comment] = between.octo.comments(number)
    assert "the work is ready for review" in comment


@pytest.mark.guarantee("what is owed to GitHub stands there once")
@pytest.mark.parametrize("point", ["outbox.pushed", "outbox.pull_opened", "webhook.merged"])
async def test_killed_on_the_way_to_a_merged_pull_request(between: Between, repository: Path, point: str) -> None:
    number = between.issue("Fix it")
    between.octo.bring()
    with between.worker():
        between.calm(number)
    review.approve(between.octo.desk.database, between.octo.ticket(number).key)
    if point.startswith("outbox"):
        with between.worker(at=point) as first:
            assert first.ended() == -signal.SIGKILL
    with between.worker():
        between.calm(number)
    [pull] = between.octo.hub.pulls
    assert between.octo.pull().number == pull and "a.txt" in git(
        between.octo.hub.bare, "ls-tree", "-r", "--name-only", "agent/WEB-1"
    )
    sha = people.merge(between.octo.hub, "ada", pull)
    between.octo.bring()
    if point.startswith("webhook"):
        with between.worker(at=point) as second:
            assert second.ended() == -signal.SIGKILL
    with between.worker():
        between.until(lambda: between.octo.ticket(number).state == "done" and not between.owed())
    assert git(repository, "rev-parse", "main") == sha, between.said()
    assert git(repository, "worktree", "list").count("\n") == 0 and git(repository, "branch", "--list", "agent/*") == ""
    assert len(between.octo.comments(number)) == 1 and len(between.octo.hub.pulls) == 1


@pytest.mark.guarantee("a webhook counts once and only if signed")
@pytest.mark.parametrize("point", ["webhook.stored", "webhook.handled", "webhook.settled"])
async def test_killed_while_it_takes_a_delivery(between: Between, point: str) -> None:
    hub = between.octo.hub
    number = between.issue("Fix it")
    if point == "webhook.stored":
        with between.web(at=point) as web:
            with pytest.raises(Exception, match=r"disconnected|reset|refused|closed"):
                hub.flush()
            assert web.ended() == -signal.SIGKILL
    with between.web():
        for one in list(hub.sent):
            hub.send(one)  # GitHub shows it as failed, and a person sends it once more
        hub.flush()
        hub.hook = ""
    if point != "webhook.stored":
        with between.worker(at=point) as first:
            assert first.ended() == -signal.SIGKILL
    for one in list(hub.sent):
        between.octo.bring([one])
    with between.worker():
        between.calm(number)
    assert len(between.tickets(number)) == 1 and between.runs(number).count("succeeded") == 1
    assert set(between.runs(number)) <= {"lost", "succeeded"} and len(between.octo.comments(number)) == 1


@pytest.mark.guarantee("an accepted assignment is never lost")
@pytest.mark.parametrize("point", ["doorbell.silent", "doorbell.rung"])
async def test_killed_around_the_ring_for_a_run_that_github_wants(
    between: Between, redis_server: EmbeddedRedis, point: str
) -> None:
    number = between.issue("Fix it")
    between.octo.bring()
    settings = between.octo.desk.settings
    between.octo.desk.settings = settings.model_copy(update={"redis_url": redis_server.url})
    with between.worker(at=point) as first:
        assert first.ended() == -signal.SIGKILL
    with between.worker():
        between.calm(number)
    assert between.runs(number).count("succeeded") == 1 and set(between.runs(number)) <= {"lost", "succeeded"}
