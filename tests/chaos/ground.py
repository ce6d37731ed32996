"""Where processes die: a data folder, a repository, a database; and a look at whether all of it is whole afterwards."""

from __future__ import annotations

import contextlib
import json
import signal
import sqlite3
import subprocess
import time
from collections.abc import Iterator
from contextlib import AbstractContextManager, contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import httpx
from sqlalchemy import text
from sqlmodel import select

from dispatcher import review, runs
from dispatcher.db import Database
from dispatcher.models import ItemRow, Run, SessionRow, Ticket, Workspace, utcnow
from dispatcher.settings import Settings
from dispatcher.states import LIVE_RUN
from tests.fake import installed
from tests.house import House, furnish
from tests.processes import Started, started, wait_until
from workers.gateway import Gateway
from workers.hands import Hands
from workers.process import MARKER

SHORT = {"sweep_seconds": 0.1, "grace_seconds": 1, "follow_seconds": 0.01, "github_seconds": 0.1, "endpoint_patience": 1}
DYING = {"lease_seconds": 0.4}
"""Of a worker that is to die: its runs are soon another's."""
PLAIN = ("echo x >> a.txt", "say Done.")
WAITS = ("say begun", 'while ! test -e "$HOME/go"; do sleep 0.05; done', *PLAIN)
"""An agent that works until it is let go."""
SETTLED = ("review", "blocked", "done", "cancelled", "backlog")


@dataclass
class Ground(House):
    """A house whose workers are processes, and which is looked at from outside."""

    repository: Path = Path()
    last: Started | None = None
    """The web app that was started last."""

    def worker(self, at: str = "", **changed: Any) -> AbstractContextManager[Started]:
        """A worker; one that is to die at a crash point has a short lease."""
        given = SHORT | (DYING if at else {"lease_seconds": 5}) | changed
        return started("worker", self.settings, at=at, **given)

    @contextmanager
    def web(self, at: str = "", **changed: Any) -> Iterator[httpx.Client]:
        """The web app, and a client that may do everything."""
        server = self.settings.home / "server.json"
        server.unlink(missing_ok=True)
        with started("web", self.settings, at=at, **changed) as process:
            self.last = process
            wait_until(server.exists, told=process.said)
            told = json.loads(server.read_text())
            headers = {"Authorization": f"Bearer {told['token']}"}
            with httpx.Client(base_url=f"{told['url']}/api/v1", headers=headers, timeout=30, trust_env=False) as client:
                yield client

    def until(self, condition: Any, seconds: float = 60) -> None:  # type: ignore[override]  # here nothing runs in this process
        wait_until(condition, seconds, self.said)

    def freeze(self, process: Started) -> None:
        """Wait until a process has stopped itself; one that has SQLite's write lock in its hand goes on until it has not."""
        self.until(process.frozen)
        while self._locked():
            process.signal(signal.SIGCONT)
            time.sleep(0.002)
            process.signal(signal.SIGSTOP)

    def _locked(self) -> bool:
        if self.database.engine.dialect.name != "sqlite":
            return False
        with contextlib.closing(sqlite3.connect(self.settings.home / "dispatcher.db", timeout=0.1)) as connection:
            try:
                connection.execute("BEGIN IMMEDIATE")
            except sqlite3.OperationalError:
                return True
            return False

    def settled(self, key: str) -> str:
        """Wait until the ticket needs a person, and all of its runs have ended; gives its state."""
        self.until(lambda: self.ticket(key).state in SETTLED and not [run for run in self.runs(key) if run.state in LIVE_RUN])
        return self.ticket(key).state

    def runs(self, key: str) -> list[Run]:
        """The ticket's runs, oldest first."""
        found = self._look(lambda db, ticket: runs.list_runs(db, ticket=ticket), key)
        return list(reversed(found))

    def count_ended(self) -> int:
        """How many runs have ended, of all tickets."""
        with self.database.reading() as db:
            return len([run for run in db.exec(select(Run)) if run.ended_at is not None])

    def git(self, *args: str) -> str:
        done = subprocess.run(["git", *args], cwd=self.repository, check=True, capture_output=True, text=True)
        return done.stdout.strip()

    def said(self) -> str:
        """What there is to know of a failure."""
        with self.database.reading() as db:
            told = [f"{row.key} {row.state}" for row in db.exec(select(Ticket))]
            told += [f"run {row.id} {row.state} {row.summary}" for row in db.exec(select(Run).order_by(Run.id))]
        logs = [f"--- {path.name}\n{path.read_text(errors='replace')[-3000:]}" for path in self.settings.home.glob("*.log")]
        return "\n".join([*told, *logs])

    def gone(self) -> None:
        """Wait until nothing of a killed worker's runs lives on: the kernel ends it, but a little later than the worker."""
        # A process has no readable environment while it execs, so one empty look is not enough.
        self.until(lambda: not self.processes() and not time.sleep(0.02) and not self.processes())

    def go(self, *keys: str) -> None:
        """Let agents that wait go on."""
        for key in keys:
            (Path(self.workspace(key).home) / "go").touch()

    def clear(self) -> None:
        """Away with all tickets, whatever a test left of them."""
        with self.database.transaction() as db:
            for run in db.exec(select(Run).where(Run.state.in_(LIVE_RUN))):  # type: ignore[attr-defined]
                run.state, run.ended_at = "lost", utcnow()
            tickets = list(db.exec(select(Ticket).where(Ticket.state.not_in(("done", "cancelled")))))  # type: ignore[attr-defined]
        for ticket in tickets:
            review.discard(self.database, ticket.key)

    def whole(self, *open_keys: str) -> None:
        """Nothing is left of what died: these tickets alone have a worktree, and everything fits together."""
        assert self.processes() == [], self.said()
        self._database_is_whole()
        self._repository_is_whole(open_keys)
        home = self.settings.home
        for folder in ("worktrees/SAMPLE", "homes", "indexes", "gits"):
            found = {path.name.removesuffix(".made") for path in (home / folder).glob("*")}
            assert found <= set(open_keys) or folder == "homes", f"{folder}: {found}"
            assert not [name for name in found if not name.partition("-")[2].isdigit()], f"{folder}: {found}"
        left = [str(path) for name in ("commits.pack", "bait-*") for path in home.glob(f"runs/*/{name}")]
        assert left == []

    def processes(self) -> list[int]:
        """What runs in the name of any run of this data folder."""
        wanted = f"{MARKER}={self.settings.home}:".encode()
        found = []
        for entry in Path("/proc").iterdir():
            try:
                if entry.name.isdigit() and wanted in (entry / "environ").read_bytes():
                    found.append(int(entry.name))
            except OSError:
                continue
        return found

    def _database_is_whole(self) -> None:
        with self.database.reading() as db:
            if db.get_bind().dialect.name == "sqlite":
                assert db.execute(text("PRAGMA integrity_check")).scalar_one() == "ok"
                assert db.execute(text("PRAGMA foreign_key_check")).all() == []
            held = [run for run in db.exec(select(Run)) if (run.ended_at is None) != (run.state in LIVE_RUN)]
            assert held == []
            items = [(row.session_id, row.seq) for row in db.exec(select(ItemRow))]
            assert len(items) == len(set(items))
            sessions = [row.run_id for row in db.exec(select(SessionRow)) if row.parent_id is None]
            assert len(sessions) == len(set(sessions))

    def _repository_is_whole(self, open_keys: tuple[str, ...]) -> None:
        assert "missing" not in self.git("fsck", "--connectivity-only", "--no-dangling")
        listed = self.git("worktree", "list", "--porcelain").split("\n\n")
        folders = {Path(entry.splitlines()[0].removeprefix("worktree ")).name for entry in listed if entry}
        assert folders == {self.repository.name, *open_keys}
        assert {name.rpartition("/")[2] for name in self._refs("refs/heads/agent")} == set(open_keys)
        assert [str(path) for path in (self.repository / ".git").rglob("*.lock")] == []
        with self.database.reading() as db:
            for place in db.exec(select(Workspace).join(Ticket).where(Ticket.key.in_(open_keys))):  # type: ignore[attr-defined]
                assert self.git("rev-parse", place.branch) == place.head_sha
                assert self.git("-C", place.path, "status", "--porcelain") == "", "the agent's git sees the work as committed"

    def _refs(self, below: str) -> list[str]:
        return self.git("for-each-ref", "--format=%(refname)", below).splitlines()


@contextmanager
def ground(folder: Path, database_url: str, repository: Path, **settings: Any) -> Iterator[Ground]:
    """A ground with the project SAMPLE and the agent `coder`."""
    config = Settings(home=folder / "data", database_url=database_url, **settings)
    config.home.mkdir(parents=True)
    database = Database(config.database)
    database.migrate()
    with installed(config.home):
        furnish(database, repository, config)
        made = Ground(config, database, Hands(config, database, Gateway(), "w0"), repository=repository)
        try:
            yield made
        finally:
            database.close()
