"""A board on a real repository, whose runs the test itself carries out: it is the agent."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Any

from sqlmodel import select

from dispatcher import activity, board, runs
from dispatcher.db import Database
from dispatcher.models import Agent, Endpoint, Run, Ticket, Workspace
from dispatcher.projects import add_project
from dispatcher.settings import Settings
from dispatcher.transitions import move_run
from workers import workspace
from workers.hands import load_case


@dataclass
class Desk:
    """Settings, database and one project with the agent `coder`."""

    settings: Settings
    database: Database
    checkout: Path

    @classmethod
    def make(cls, folder: Path, url: str, checkout: Path, **project: Any) -> Desk:
        settings = Settings(home=folder / "data folder", database_url=url)
        database = Database(settings.database)
        database.migrate()
        with database.transaction() as db:
            add_project(db, path=str(checkout), key="WEB", **project)
            endpoint = Endpoint(name="local", base_url="http://127.0.0.1:9/v1", model="m", slots=8)
            db.add(endpoint)
            db.flush()
            assert endpoint.id is not None
            db.add(Agent(name="coder", harness="fake", endpoint_id=endpoint.id))
        return cls(settings, database, checkout)

    def file(self, title: str = "Do it") -> str:
        with self.database.transaction() as db:
            return board.file_ticket(db, project="WEB", title=title, agent="coder").key

    def claim(self) -> Run:
        with self.database.transaction() as db:
            run = runs.claim(db, "w1", 30)
            assert run is not None
            return run

    def prepare(self, run: Run) -> Workspace:
        with self.database.reading() as db:
            case = load_case(db, run, self.settings)
        begun = workspace.begin(self.database, self.settings, case)
        workspace.fill(self.database, self.settings, case, begun)
        return begun.place

    def snapshot(self, run: Run, summary: str = "Did it.") -> str:
        with self.database.reading() as db:
            ticket, agent = db.get_one(Ticket, run.ticket_id), db.get_one(Agent, run.agent_id)
        return workspace.snapshot(self.database, run, ticket, agent, summary)

    def finish(self, run: Run, blocker: Any = None) -> None:
        with self.database.transaction() as db:
            place = db.exec(select(Workspace).where(Workspace.ticket_id == run.ticket_id)).first()
            move_run(db, run, "finish", head_sha=place.head_sha if place is not None else None)
            trigger, outcome = ("block", blocker) if blocker else ("succeed", "done")
            runs.finish(db, run, runs.Result(trigger, outcome, "Did it.", blocker))  # type: ignore[arg-type]

    def work(self, blocker: Any = None, /, **files: str) -> Workspace:
        """One run that writes files (`a_txt` is a.txt), to review or to a blocker; gives the workspace as it is then."""
        run = self.claim()
        place = self.prepare(run)
        for name, text in files.items():
            (Path(place.path) / name.replace("_", ".")).write_text(text)
        self.snapshot(run)
        self.finish(run, blocker)
        return self.place(run.ticket_id)

    def place(self, ticket_id: int) -> Workspace:
        with self.database.reading() as db:
            return db.exec(select(Workspace).where(Workspace.ticket_id == ticket_id)).one()

    def ticket(self, key: str) -> Ticket:
        with self.database.reading() as db:
            return board.get_ticket(db, key)

    def do(self, use_case: Any, key: str, *args: Any, **kwargs: Any) -> Any:
        with self.database.transaction() as db:
            return use_case(db, board.get_ticket(db, key), *args, **kwargs)

    def all(self, table: type[Any]) -> list[Any]:
        with self.database.reading() as db:
            return list(db.exec(select(table).order_by(table.id)))

    def kinds(self) -> list[str]:
        with self.database.reading() as db:
            return [entry.kind for entry in activity.since(db, 0)]
