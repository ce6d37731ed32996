"""One worker of many looks after each repository: inbox, outbox, catch-up, under a lease in the database."""

from __future__ import annotations

import asyncio
import contextlib
import logging
from collections.abc import AsyncIterator, Callable
from datetime import timedelta
from typing import Concatenate, ParamSpec, TypeVar

from sqlalchemy import update
from sqlmodel import Session, col, select

from dispatcher import leases
from dispatcher.db import Database
from dispatcher.errors import DispatcherError
from dispatcher.github.client import LONGEST_WAIT, Away, connect
from dispatcher.github.connect import introduce, learn
from dispatcher.github.events import handle
from dispatcher.github.inbox import waiting, work_off
from dispatcher.github.outbox import collect, owed, owes
from dispatcher.github.reconcile import reconcile
from dispatcher.github.sending import send_all
from dispatcher.github.work import Work
from dispatcher.models import GitHubRepo, Project, utcnow
from dispatcher.settings import Settings

FARTHEST = 10
"""A lease that ends later than so many leases from now was written before the clock was put back; it holds nobody off."""
ROUNDS = 20
"""Of inbox and outbox in one pass: what one does gives the other something to do."""
FIRST_WAIT, LAST_WAIT = 2.0, 600.0

P = ParamSpec("P")
T = TypeVar("T")

log = logging.getLogger(__name__)


class Tender:
    """Looks after all repositories, in the name of one worker."""

    def __init__(self, settings: Settings, database: Database, name: str) -> None:
        self._settings = settings
        self._database = database
        self._name = name
        self._caught_up: set[int] = set()
        """The repositories that were asked since this worker began: what happened while none ran, no delivery tells."""

    async def tend(self) -> None:
        """One look at each repository; what stands in the way of one is written at it, and hinders no other."""
        for repo_id in await asyncio.to_thread(self._due):
            async with self._leased(repo_id) as mine:
                if mine:
                    await self._look_after(repo_id)

    async def _look_after(self, repo_id: int) -> None:
        try:
            await asyncio.to_thread(self._collect, repo_id)
            if await asyncio.to_thread(self._may_ask, repo_id):
                await self._pass(repo_id)
        except DispatcherError as error:
            wait, grows = (error.wait, error.grows) if isinstance(error, Away) else (0.0, False)
            await asyncio.to_thread(self._write, _stumbled, repo_id, error.line(), wait, grows=grows)
        except Exception as error:
            # A fault of ours in one repository's work: told where people look, and tried again, since nothing of it is lost.
            log.exception("the work on GitHub repository %s failed in the dispatcher itself", repo_id)
            told = f"a fault of the dispatcher: {type(error).__name__}: {error}"
            await asyncio.to_thread(self._write, _stumbled, repo_id, told)

    async def _pass(self, repo_id: int) -> None:
        repo, project = await asyncio.to_thread(self._load, repo_id)
        async with connect(self._settings, repo, project.key) as hub:
            if self._is_due(repo) or not (repo.login and repo.clone_url):
                # The token may be somebody else's by now, and the repository renamed: our own comments are known by who
                # we are, and what is written to an old name is not led on.
                rows, _ = await introduce(hub)
                await asyncio.to_thread(self._write, learn, repo_id, rows)
                repo, project = await asyncio.to_thread(self._load, repo_id)
                hub.at = f"/repos/{repo.repository}"
            work = Work(self._settings, self._database, repo, project, hub)
            await _carry(work)
            if self._is_due(repo):  # after the rest, so that what the catch-up stumbles over holds up nothing else
                await reconcile(work)
                self._caught_up.add(repo_id)
                await _carry(work)
        if repo.fault:
            await asyncio.to_thread(self._write, _recovered, repo_id)

    @contextlib.asynccontextmanager
    async def _leased(self, repo_id: int) -> AsyncIterator[bool]:
        """The lease, renewed while the work goes on; False where another worker has it."""
        if not await asyncio.to_thread(self._take, repo_id):
            yield False
            return
        keeper = asyncio.create_task(self._keep(repo_id))
        try:
            yield True
        finally:
            keeper.cancel()
            await asyncio.gather(keeper, return_exceptions=True)
            await asyncio.to_thread(self._write, give_lease, repo_id, self._name)

    async def _keep(self, repo_id: int) -> None:
        while True:
            await asyncio.sleep(self._settings.lease_seconds / 3)
            await asyncio.to_thread(self._take, repo_id)

    def _take(self, repo_id: int) -> bool:
        return self._write(take_lease, repo_id, self._name, self._settings.lease_seconds)

    def _due(self) -> list[int]:
        with self._database.reading() as db:
            rows = db.exec(select(GitHubRepo).order_by(col(GitHubRepo.id)))
            return [row.id for row in rows if row.id is not None and self._has_work(db, row, row.id)]

    def _has_work(self, db: Session, repo: GitHubRepo, repo_id: int) -> bool:
        """Whether there is anything to do, so that idle repositories cost no write."""
        if owes(db, repo):
            return True
        return _rested(repo) and (self._is_due(repo) or bool(waiting(db, repo_id, 1) or owed(db, repo_id, 1)))

    def _may_ask(self, repo_id: int) -> bool:
        with self._database.reading() as db:
            return _rested(db.get_one(GitHubRepo, repo_id))

    def _collect(self, repo_id: int) -> None:
        """Fill the outbox, in a pause too: what is owed then shows."""
        while True:
            with self._database.transaction() as db:
                if not owes(db, db.get_one(GitHubRepo, repo_id)):
                    return
                collect(db, repo_id)

    def _is_due(self, repo: GitHubRepo) -> bool:
        """Whether GitHub is to be asked for what was missed: at the start, on the schedule, and when somebody wants it."""
        every = timedelta(seconds=self._settings.github_reconcile_seconds)
        since = repo.reconciled_at
        return repo.id not in self._caught_up or since is None or since + every <= utcnow()

    def _load(self, repo_id: int) -> tuple[GitHubRepo, Project]:
        with self._database.reading() as db:
            repo = db.get_one(GitHubRepo, repo_id)
            return repo, db.get_one(Project, repo.project_id)

    def _write(self, use_case: Callable[Concatenate[Session, P], T], *args: P.args, **kwargs: P.kwargs) -> T:
        with self._database.transaction() as db:
            return use_case(db, *args, **kwargs)


async def _carry(work: Work) -> None:
    """What lies in the inbox and the outbox, and what comes of it."""
    for _ in range(ROUNDS):
        if not await work_off(work, handle) + await send_all(work):
            break


def _rested(repo: GitHubRepo) -> bool:
    return repo.paused_until is None or repo.paused_until <= utcnow()


def take_lease(db: Session, repo_id: int, name: str, seconds: float = 30.0) -> bool:
    """Take or renew the lease, by the database's clock; False while another worker has it."""
    now = leases.now(db)
    until = col(GitHubRepo.lease_until)
    over = until.is_(None) | (until < now) | (until > now + FARTHEST * timedelta(seconds=seconds))
    query = update(GitHubRepo).where(col(GitHubRepo.id) == repo_id, over | (GitHubRepo.lease_holder == name))
    done = db.execute(query.values(lease_holder=name, lease_until=now + timedelta(seconds=seconds)))
    return getattr(done, "rowcount", 0) == 1


def give_lease(db: Session, repo_id: int, name: str) -> None:
    """Give the lease back."""
    mine = (col(GitHubRepo.id) == repo_id, col(GitHubRepo.lease_holder) == name)
    db.execute(update(GitHubRepo).where(*mine).values(lease_until=None))


def _stumbled(db: Session, repo_id: int, why: str, wait: float = 0.0, *, grows: bool = False) -> None:
    """Leave GitHub alone for as long as it asks, else for longer each time."""
    repo = db.get_one(GitHubRepo, repo_id)
    repo.failures += 1
    longer = 2 ** min(repo.failures - 1, 12)
    pause = min(FIRST_WAIT * longer, LAST_WAIT) if not wait else min(wait * longer, LONGEST_WAIT) if grows else wait
    repo.paused_until, repo.fault = utcnow() + timedelta(seconds=pause), why[:2000]
    db.add(repo)
    log.warning("GitHub, %s: %s; the next look is in %.0f s", repo.repository, why, pause)


def _recovered(db: Session, repo_id: int) -> None:
    repo = db.get_one(GitHubRepo, repo_id)
    repo.failures, repo.fault, repo.paused_until = 0, "", None
    db.add(repo)
    log.info("GitHub, %s: it works again", repo.repository)
