"""A running site for tests of API and pages, with what a worker would have done to a ticket."""

from __future__ import annotations

from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import httpx
from fastapi import FastAPI

from adapters.redact import Redactor
from adapters.session import Item
from dispatcher import board, runs, transcripts
from dispatcher.db import Database
from dispatcher.models import Check, Workspace, utcnow
from dispatcher.settings import Settings
from dispatcher.transitions import move_run
from tests import templates
from tests.entering import bearer
from tests.gitting import Site as Tree
from web.app import create_app

BASE = "http://127.0.0.1:8484"
DONE = runs.Result("succeed", "done", "The change is made.")
ITEMS = [
    Item(seq=0, kind="user", text="Ticket WEB-1: Say hello"),
    Item(seq=1, kind="reasoning", text="First I look."),
    Item(seq=2, kind="tool_call", tool="bash", tool_kind="execute", title="make test", status="failed", output="1 failed"),
    Item(seq=3, kind="assistant", text="Done."),
]


@dataclass
class Web:
    """The site's app within its lifespan, a client of it, and a database beside it."""

    app: FastAPI
    client: httpx.AsyncClient
    """Asks as the administrator, by an API token that may do what a person may."""
    anonymous: httpx.AsyncClient
    """Asks as nobody."""
    database: Database
    settings: Settings
    url: str = BASE
    """Where a browser finds it, if it is served."""

    async def send(self, method: str, path: str, body: Any = None, *, status: int = 200) -> Any:
        """One call of the API; its JSON, where the status is the expected one."""
        answer = await self.client.request(method, f"/api/v1{path}", json=body)
        assert answer.status_code == status, f"{method} {path}: {answer.status_code} {answer.text}"
        return answer.json() if answer.content else None

    async def refused(self, method: str, path: str, body: Any = None) -> dict[str, Any]:
        """The error of a call that has to fail."""
        answer = await self.client.request(method, f"/api/v1{path}", json=body)
        assert answer.status_code >= 400, answer.text
        error: dict[str, Any] = answer.json()["error"]
        assert set(error) == {"message", "hint", "field", "code"} and "\n" not in error["message"]
        return error | {"status": answer.status_code}

    async def furnish(self, repository: Path, **project: Any) -> None:
        """One project, endpoint and agent."""
        await self.send("POST", "/projects", {"path": str(repository), "key": "WEB"} | project, status=201)
        endpoint = {"name": "local", "base_url": "http://127.0.0.1:1/v1", "model": "local-coder", "slots": 9}
        await self.send("POST", "/endpoints", endpoint, status=201)
        await self.send("POST", "/agents", {"name": "coder", "harness": "goose", "endpoint": "local"}, status=201)

    async def ticket(self, title: str = "Say hello", **values: Any) -> str:
        """File a ticket; its key."""
        filed = await self.send("POST", "/tickets", {"project": "WEB", "title": title} | values, status=201)
        return str(filed["key"])

    def work(self, key: str, repository: Path, *, result: runs.Result | None = DONE, items: list[Item] = ITEMS) -> int:
        """What a worker does with an assigned ticket: worktree, a commit, items, a check, an end (None: it still runs)."""
        tree = Tree(self.settings.home, repository, key)
        (tree.path / "hello.txt").write_text("hello\n<script>alert(1)</script>\n")
        head = tree.snapshot().head
        with self.database.transaction() as db:
            ticket = board.get_ticket(db, key)
            run = runs.live_run(db, ticket)
            assert run is not None and run.id is not None and ticket.id is not None
            assert runs.claim(db, "worker", 300, run.id) is not None
            home = self.settings.home.resolve() / "homes" / key
            place = Workspace(
                ticket_id=ticket.id,
                path=str(tree.path),
                home=str(home),
                branch=tree.tree.branch,
                target="main",
                base_sha=tree.base,
                head_sha=head,
            )
            ticket.additions, ticket.files = 2, 1
            db.add_all([place, ticket])
            move_run(db, run, "launch", pid=1, started_at=utcnow(), base_sha=tree.base)
            runs.progress(db, run, doing="edits hello.txt", prompt_tokens=12_000, completion_tokens=345)
            transcripts.put(db, run, items, "session-1", Redactor(frozenset()))
            if result is not None:
                db.add(Check(run_id=run.id, name="check", command="make test", state="passed", exit_code=0, output="ok"))
                move_run(db, run, "finish", exit_code=0, head_sha=head)
                runs.finish(db, run, result)
            return run.id


@asynccontextmanager
async def open_web(url: str, home: Path, **settings: Any) -> AsyncIterator[Web]:
    """The app in this process, on that database."""
    if url.startswith("sqlite"):
        templates.migrated(url)
    chosen = Settings(home=home, database_url=url, **settings)
    app = create_app(chosen)
    async with app.router.lifespan_context(app):
        transport = httpx.ASGITransport(app=app, raise_app_exceptions=False)
        database = Database(url)
        async with (
            httpx.AsyncClient(transport=transport, base_url=BASE, headers=bearer(database)) as client,
            httpx.AsyncClient(transport=transport, base_url=BASE) as anonymous,
        ):
            yield Web(app, client, anonymous, database, chosen)
        database.close()


def operations(routes: Any) -> Iterator[tuple[str, str]]:
    """Method and path of every route, also of those in routers within routers."""
    for route in routes:
        if hasattr(route, "effective_candidates"):
            yield from operations(route.effective_candidates())
        else:
            for method in getattr(route, "methods", None) or ():
                yield method, route.path
