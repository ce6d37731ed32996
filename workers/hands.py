"""What every run of one worker shares: settings, database, gateway, and the worker's name."""

from __future__ import annotations

import asyncio
import logging
import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Concatenate, ParamSpec, TypeVar

from sqlalchemy.exc import OperationalError
from sqlmodel import Session as Db
from sqlmodel import select

from adapters.redact import Redactor
from dispatcher.cgroups import Room
from dispatcher.db import Database
from dispatcher.models import Agent, Endpoint, Project, Run, Ticket, Workspace
from dispatcher.redaction import redactor
from dispatcher.settings import Settings
from workers.gateway import Gateway

log = logging.getLogger(__name__)
P = ParamSpec("P")
T = TypeVar("T")


@dataclass(frozen=True)
class Hands:
    """One worker's means. The database is used from threads, so that no run waits for another's commit."""

    settings: Settings
    database: Database
    gateway: Gateway
    name: str

    async def write(self, use_case: Callable[Concatenate[Db, P], T], *args: P.args, **kwargs: P.kwargs) -> T:
        """Run a use case as one transaction."""

        def work() -> T:
            with self.database.transaction() as db:
                return use_case(db, *args, **kwargs)

        return await self._patiently(work)

    async def read(self, look: Callable[Concatenate[Db, P], T], *args: P.args, **kwargs: P.kwargs) -> T:
        """Look something up."""

        def work() -> T:
            with self.database.reading() as db:
                return look(db, *args, **kwargs)

        return await self._patiently(work)

    async def _patiently(self, work: Callable[[], T]) -> T:
        """Try again while the database is away or locked, for as long as a lease lasts: then the runs are another's anyway."""
        deadline, delay = time.monotonic() + self.settings.lease_seconds, 0.1
        while True:
            try:
                return await asyncio.to_thread(work)
            except OperationalError as error:
                if time.monotonic() + delay > deadline:
                    raise
                log.warning("the database does not answer (%s); trying again", str(error.orig).strip().partition("\n")[0])
            await asyncio.sleep(delay)
            delay = min(delay * 2, 2.0)


@dataclass(frozen=True)
class Case:
    """One run and all that it is about."""

    run: Run
    ticket: Ticket
    project: Project
    agent: Agent
    endpoint: Endpoint
    folder: Path
    """The run's own folder: prompt, output, logs of checks."""
    marker: str
    """Carried in the environment of everything that the run starts."""
    place: Workspace | None
    """The ticket's workspace as the run finds it, where there is one."""
    native_id: str | None
    """The session that the run continues, where it does."""
    redactor: Redactor
    """Masks what the run must not tell."""
    room: Room
    """What each of its commands may take of the machine."""

    @property
    def run_id(self) -> int:
        """The run's number in the database."""
        assert self.run.id is not None
        return self.run.id


def load_case(db: Db, run: Run, settings: Settings) -> Case:
    """Everything about a run, read at once."""
    ticket, endpoint = db.get_one(Ticket, run.ticket_id), db.get_one(Endpoint, run.endpoint_id)
    project = db.get_one(Project, ticket.project_id)
    return Case(
        run=run,
        ticket=ticket,
        project=project,
        agent=db.get_one(Agent, run.agent_id),
        endpoint=endpoint,
        folder=settings.runs / str(run.id),
        marker=marker(settings, run.id),
        place=db.exec(select(Workspace).where(Workspace.ticket_id == ticket.id)).first(),
        native_id=run.resume,
        redactor=redactor(settings, project, endpoint),
        room=settings.room,
    )


def marker(settings: Settings, run_id: int | None) -> str:
    """The mark of everything that a run starts; unique to this data folder's run."""
    return f"{settings.home}:{run_id}"


def find_workspace(db: Db, ticket: Ticket) -> Workspace:
    """The ticket's workspace, which its run has made."""
    return db.exec(select(Workspace).where(Workspace.ticket_id == ticket.id)).one()
