"""A whole house in one process: a database, a repository, a worker with the fake harness; no web, no Redis."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from sqlmodel import Session, col, func, select

from dispatcher import board, runs
from dispatcher.db import Database
from dispatcher.models import Agent, Blocker, Check, Endpoint, Run, SessionRow, Ticket, Workspace
from dispatcher.projects import add_project
from dispatcher.settings import Settings
from tests import templates
from tests.fake import installed
from workers.crew import Crew
from workers.gateway import Gateway
from workers.hands import Hands


@dataclass
class House:
    """What a test of the worker needs."""

    settings: Settings
    database: Database
    hands: Hands
    crews: list[Crew] = field(default_factory=list)

    def crew(self, name: str = "w1") -> Crew:
        crew = Crew(Hands(self.settings, self.database, self.hands.gateway, name))
        self.crews.append(crew)
        return crew

    def file(self, *script: str, **ticket: Any) -> str:
        body = "\n".join(f"$ {line}" for line in script)
        with self.database.transaction() as db:
            return board.file_ticket(db, project="SAMPLE", title="Do it", body=body, agent="coder", **ticket).key

    def edit(self, model: type[Any], /, **values: Any) -> None:
        with self.database.transaction() as db:
            row = db.exec(select(model)).one()
            for name, value in values.items():
                setattr(row, name, value)
            db.add(row)

    def do(self, use_case: Callable[..., Any], key: str, *args: Any, **kwargs: Any) -> Any:
        with self.database.transaction() as db:
            return use_case(db, board.get_ticket(db, key), *args, **kwargs)

    def ticket(self, key: str) -> Ticket:
        with self.database.reading() as db:
            return board.get_ticket(db, key)

    def run(self, key: str) -> Run:
        return self._look(lambda db, ticket: runs.latest_run(db, ticket), key)

    def blocker(self, key: str) -> Blocker:
        found = self._look(lambda db, ticket: board.open_blocker(db, ticket), key)
        assert found is not None, f"{key} is {self.ticket(key).state}: {self.run(key).summary}"
        return found

    def checks(self, key: str) -> list[Check]:
        query = select(Check).join(Run).join(Ticket).where(Ticket.key == key).order_by(col(Check.id))
        return self._look(lambda db, _: list(db.exec(query)), key)

    def workspace(self, key: str) -> Workspace:
        return self._look(lambda db, ticket: db.exec(select(Workspace).where(Workspace.ticket_id == ticket.id)).one(), key)

    def _look(self, look: Callable[[Session, Ticket], Any], key: str) -> Any:
        with self.database.reading() as db:
            return look(db, board.get_ticket(db, key))

    def begun(self, key: str) -> bool:
        """Whether the agent is at work, and the session that it could be continued in is known."""
        run = self.run(key)
        with self.database.reading() as db:
            known = db.exec(select(SessionRow.native_id).where(SessionRow.run_id == run.id)).first()
        return run.state == "running" and known is not None

    def count(self, model: type[Any], state: str) -> int:
        with self.database.reading() as db:
            return int(db.exec(select(func.count()).select_from(model).where(model.state == state)).one())

    async def until(self, condition: Callable[[], bool], seconds: float = 60) -> None:
        async with asyncio.timeout(seconds):
            while not await asyncio.to_thread(condition):  # noqa: ASYNC110  # the database is what is waited for
                await asyncio.sleep(0.02)

    async def work(self, key: str, *states: str, crew: Crew | None = None, seconds: float = 60) -> str:
        """Let a worker take the ticket, and wait until it is in one of the states (by default: not queued or running)."""
        await (crew or self.crew()).take()
        settled = states or ("review", "blocked", "done", "cancelled", "backlog")
        await self.until(lambda: self.ticket(key).state in settled and self.run(key).ended_at is not None, seconds)
        return self.ticket(key).state


def furnish(database: Database, repository: Path, settings: Settings, key: str = "SAMPLE") -> None:
    """The project, and the agent `coder` at an endpoint where nobody is."""
    with database.transaction() as db:
        add_project(db, path=str(repository), key=key, sandbox=settings.sandbox)
        endpoint = Endpoint(name="local", base_url="http://127.0.0.1:9/v1", model="m", slots=8)
        db.add(endpoint)
        db.flush()
        assert endpoint.id is not None
        db.add(Agent(name="coder", harness="fake", endpoint_id=endpoint.id))


@asynccontextmanager
async def house(tmp_path: Path, database_url: str, repository: Path, **settings: Any) -> AsyncIterator[House]:
    """A house with the project SAMPLE and the agent `coder`, ended in an orderly way."""
    home = tmp_path / "home of ours"
    options = {"grace_seconds": 0.5, "follow_seconds": 0.01, "endpoint_patience": 1, "check_timeout": 5} | settings
    config = Settings(home=home, database_url=database_url, **options)
    database = Database(config.database if database_url else templates.migrated(config.database))
    database.migrate()
    with installed(home):
        furnish(database, repository, config)
        made = House(config, database, Hands(config, database, Gateway(), "w0"))
        try:
            yield made
        finally:
            for crew in made.crews:
                await crew.close()
            await asyncio.get_running_loop().shutdown_default_executor()  # what was cancelled may still hold a connection
            database.close()
