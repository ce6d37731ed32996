"""A project that is connected to the GitHub of tests/github_server.py, and a worker's hand that looks after it."""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass
from datetime import timedelta
from pathlib import Path
from typing import Any

from sqlmodel import select

from dispatcher import board, runs
from dispatcher.github import inbox, outbox, secrets, status
from dispatcher.github.client import connect
from dispatcher.github.connect import change_policy, connect_repo, learn, try_out
from dispatcher.github.tend import Tender
from dispatcher.github.work import Work
from dispatcher.models import GitHubDelivery, GitHubIssue, GitHubPull, GitHubRepo, Project, Run, Ticket, utcnow
from dispatcher.states import LIVE_RUN
from tests.desk import Desk
from tests.github_server import TOKEN, Delivery, GitHub


@dataclass
class Octo:
    """GitHub on one side, the board on the other; `bring` and `tend` carry between them."""

    hub: GitHub
    desk: Desk
    tender: Tender

    def repo(self) -> GitHubRepo:
        return self.one(GitHubRepo)

    def one(self, table: type[Any]) -> Any:
        with self.desk.database.reading() as db:
            return db.exec(select(table)).one()

    def policy(self, **values: Any) -> None:
        with self.desk.database.transaction() as db:
            change_policy(db, db.exec(select(GitHubRepo)).one(), **values)

    def bring(self, deliveries: list[Delivery] | None = None) -> list[bool]:
        """What GitHub sends, into the inbox, as the webhook does; whether each was new."""
        import json

        told = self.hub.flush() if deliveries is None else deliveries
        with self.desk.database.transaction() as db:
            repo = db.exec(select(GitHubRepo)).one()
            return [inbox.receive(db, repo, one.guid, one.event, json.loads(one.body)) for one in told]

    async def sync(self, rounds: int = 4) -> None:
        """Bring and tend until nothing is under way: echoes of what we do come back, too."""
        for _ in range(rounds):
            self.bring()
            await self.tend()
        assert not self.owed(), self.owed()

    async def tend(self) -> None:
        with self.desk.database.transaction() as db:
            row = db.exec(select(GitHubRepo)).one()
            row.paused_until = None
            db.add(row)
        await self.tender.tend()

    def due(self) -> None:
        """As if the schedule's time had come."""
        with self.desk.database.transaction() as db:
            row = db.exec(select(GitHubRepo)).one()
            row.reconciled_at = utcnow() - timedelta(seconds=self.desk.settings.github_reconcile_seconds + 1)
            db.add(row)

    def told(self) -> dict[str, Any]:
        """What the connection's page tells."""
        with self.desk.database.reading() as db:
            return status.overview(db, self.desk.settings, db.exec(select(GitHubRepo)).one(), db.exec(select(Project)).one())

    def deliveries(self) -> list[GitHubDelivery]:
        with self.desk.database.reading() as db:
            return list(db.exec(select(GitHubDelivery).order_by(GitHubDelivery.received_at)))

    def owed(self) -> list[Any]:
        with self.desk.database.reading() as db:
            repo = db.exec(select(GitHubRepo)).one()
            return [*inbox.waiting(db, repo.id or 0), *outbox.owed(db, repo.id or 0)]

    def ticket(self, number: int) -> Ticket:
        with self.desk.database.reading() as db:
            return db.exec(select(Ticket).join(GitHubIssue).where(GitHubIssue.number == number)).one()

    def issue(self, number: int) -> GitHubIssue:
        with self.desk.database.reading() as db:
            return db.exec(select(GitHubIssue).where(GitHubIssue.number == number)).one()

    def pull(self) -> GitHubPull:
        found: GitHubPull = self.one(GitHubPull)
        return found

    def live(self) -> list[Run]:
        return [run for run in self.desk.all(Run) if run.state in LIVE_RUN]

    def comments(self, number: int) -> list[str]:
        """What stands on the issue."""
        return [one["body"] for one in self.hub.comments.values() if one["issue_url"].endswith(f"/{number}")]

    def notes(self) -> list[str]:
        with self.desk.database.reading() as db:
            return [row.note for row in db.exec(select(GitHubDelivery).order_by(GitHubDelivery.received_at))]

    def do(self, use_case: Any, number: int, *args: Any, **kwargs: Any) -> Any:
        return self.desk.do(use_case, self.ticket(number).key, *args, **kwargs)

    def ask(self, question: str) -> None:
        """The agent works, and ends with a question."""
        run = self.desk.claim()
        self.desk.prepare(run)
        self.desk.snapshot(run)
        from dispatcher.transitions import move_run

        with self.desk.database.transaction() as db:
            move_run(db, run, "launch")
        with self.desk.database.transaction() as db:
            move_run(db, run, "finish")
            runs.finish(db, run, runs.Result("block", "question", question, "question"))

    @asynccontextmanager
    async def work(self) -> AsyncIterator[Work]:
        with self.desk.database.reading() as db:
            repo, project = db.exec(select(GitHubRepo)).one(), db.exec(select(Project)).one()
        async with connect(self.desk.settings, repo, project.key) as hub:
            yield Work(self.desk.settings, self.desk.database, repo, project, hub)


@asynccontextmanager
async def octo(
    folder: Path, database_url: str, repository: Path, *, prefix: str = "", me: str = "", **connection: Any
) -> AsyncIterator[Octo]:
    """All of it, connected with a token: that of `me`, else of a machine's account."""
    made_hub = GitHub(repository, folder)
    made_hub.prefix, made_hub.me = prefix, me or made_hub.me
    with made_hub.serving() as hub:
        desk = Desk.make(folder, database_url, repository)
        secrets.write(desk.settings, "WEB", "token", TOKEN)
        with desk.database.transaction() as db:
            connect_repo(db, desk.settings, "WEB", repository=hub.name, api_url=hub.url, **connection)
        made = Octo(hub, desk, Tender(desk.settings, desk.database, "w1"))
        async with made.work() as work:
            rows = await try_out(work.hub)
            await work.write(learn, work.repo_id, rows)
        assert all(row["ok"] for row in rows), rows
        with desk.database.transaction() as db:
            row = db.exec(select(GitHubRepo)).one()
            row.reconciled_at = row.created_at
            db.add(row)
        await made.tender.tend()  # asks once, at its start
        hub.calls.clear()
        yield made
        desk.database.close()


__all__ = ["Octo", "board", "octo"]
