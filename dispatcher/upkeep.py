"""What is kept for how long: run logs by age and size, agents' private homes, worktrees without work in them, the feed's noise.

Work that was not merged is never removed here: it is told of, with the command that removes it.
"""

from __future__ import annotations

import contextlib
import json
import os
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from datetime import datetime, timedelta
from pathlib import Path
from typing import Literal

from sqlalchemy import delete
from sqlmodel import col, func, select

from dispatcher.db import Database
from dispatcher.errors import DispatcherError
from dispatcher.git import open_repository
from dispatcher.models import Activity, Project, Run, Ticket, Workspace, utcnow
from dispatcher.places import BRANCHES, worktree_of
from dispatcher.removal import keep_head
from dispatcher.review import discard
from dispatcher.settings import Settings
from dispatcher.states import LIVE_RUN
from dispatcher.worktrees import remove, remove_folder

NOISE = ("run.items", "run.progress")
"""Entries of the feed that a page needs in the moment only; what they told of is in the runs and their transcripts."""

SIZES = "sizes.json"
"""A file of the data folder: how large the folders of ended runs are. It is made again where it is lost."""

Kind = Literal["log", "home", "worktree", "feed"]
Closed = list[tuple[Ticket, Workspace]]


@dataclass(frozen=True)
class Spare:
    """Something that can go."""

    kind: Kind
    what: str
    size: int
    """Bytes; of the feed, entries."""
    because: str
    go: Callable[[], object]


@dataclass(frozen=True)
class Left:
    """A closed ticket's work that was not merged: a person decides."""

    key: str
    folder: Path
    days: int

    @property
    def size(self) -> int:
        """Bytes of its worktree, looked up when asked for: a worker's hourly look does not need them."""
        return _size(self.folder)


@dataclass(frozen=True)
class Upkeep:
    """What went, what would not go and why, and what waits for a person."""

    gone: list[Spare]
    failed: list[tuple[Spare, str]]
    left: list[Left]


def tidy(database: Database, settings: Settings, *, dry: bool = False, now: datetime | None = None) -> Upkeep:
    """Remove what is older or larger than the settings keep; with `dry` only look."""
    now = now or utcnow()
    gone: list[Spare] = []
    failed: list[tuple[Spare, str]] = []
    closed = _closed(database, settings, now)
    merged = _merged(database)
    for spare in (*merged, *_logs(database, settings, now), *_homes(database, closed, now), *_feed(database, settings, now)):
        if dry:
            gone.append(spare)
            continue
        try:
            spare.go()
            gone.append(spare)
        except (OSError, DispatcherError) as error:
            failed.append((spare, error.line() if isinstance(error, DispatcherError) else str(error)))
    return Upkeep(gone, failed, _left(closed, now))


def _merged(database: Database) -> Iterator[Spare]:
    """Worktrees and branches of merged tickets, which go with the merge: here are those whose removal was cut short."""
    query = select(Ticket, Workspace, Project).join(Workspace, col(Workspace.ticket_id) == col(Ticket.id))
    with database.reading() as db:
        rows = db.exec(query.join(Project, col(Ticket.project_id) == col(Project.id)).where(Ticket.state == "done"))
        done = list(rows)
    branches: dict[str, set[str]] = {}
    for ticket, place, project in done:
        if project.path not in branches:
            branches[project.path] = _branches(project)
        if Path(place.path).is_dir() or place.branch in branches[project.path]:
            because = "merged; its removal was cut short"
            yield Spare("worktree", ticket.key, _size(Path(place.path)), because, _tidying(project, place))


def _branches(project: Project) -> set[str]:
    """The branches of tickets that a repository has; none where it is gone."""
    try:
        repository = open_repository(Path(project.path))
    except DispatcherError:
        return set()
    return set(repository.git("for-each-ref", "--format=%(refname:lstrip=2)", f"refs/heads/{BRANCHES}/").text.splitlines())


def _tidying(project: Project, place: Workspace) -> Callable[[], object]:
    def go() -> None:
        tree = worktree_of(project, place)
        if tree.repository.commit(tree.ref) is not None:
            keep_head(tree.repository, place)
        remove(tree)

    return go


def _logs(database: Database, settings: Settings, now: datetime) -> Iterator[Spare]:
    """Folders of runs that ended long ago, and of the oldest ones where all take more room than they may."""
    with database.reading() as db:
        rows = db.exec(select(Run.id, Run.ended_at).where(col(Run.state).not_in(LIVE_RUN)).order_by(col(Run.id)))
        ended = [(settings.runs / str(number), at) for number, at in rows if at is not None]
    there = [(folder, at) for folder, at in ended if folder.is_dir()]
    sizes = _sizes(settings.home / SIZES, [folder for folder, _ in there])
    folders = [(folder, at, sizes[folder.name]) for folder, at in there]
    room = sum(size for *_, size in folders) - settings.keep_logs_gb * 1e9
    for folder, at, size in folders:
        if (now - at).days >= settings.keep_logs_days:
            yield _folder("log", f"run {folder.name}", folder, size, f"ended {(now - at).days} days ago")
        elif room > 0:
            yield _folder("log", f"run {folder.name}", folder, size, f"logs take more than {settings.keep_logs_gb:g} GB")
        else:
            continue
        room -= size


def _sizes(file: Path, folders: list[Path]) -> dict[str, int]:
    """Bytes of the folders of ended runs, by their names: those do not change, so each is looked through once."""
    try:
        known = json.loads(file.read_text())
    except (FileNotFoundError, ValueError):
        known = {}
    sizes = {folder.name: known.get(folder.name) or _size(folder) for folder in folders}
    if sizes != known:
        new = file.with_name(f"{file.name}.{os.getpid()}.new")
        with contextlib.suppress(OSError):  # a full disk is what upkeep is there for; they are looked up again
            new.write_text(json.dumps(sizes))
            new.replace(file)
    return sizes


def _homes(database: Database, closed: Closed, now: datetime) -> Iterator[Spare]:
    """Agents' private homes of tickets closed long ago, and worktrees of cancelled ones in which nothing was done."""
    for ticket, place in closed:
        home, because = Path(place.home), f"closed {_days(ticket, now)} days ago"
        if ticket.state == "cancelled" and place.head_sha == place.base_sha:
            size = _size(Path(place.path))
            yield Spare("worktree", ticket.key, size, f"{because}, nothing done in it", _discarding(database, ticket.key))
        if home.is_dir():
            yield Spare("home", ticket.key, _size(home), because, _forgetting(database, place, home))


def _feed(database: Database, settings: Settings, now: datetime) -> Iterator[Spare]:
    """Entries that told open pages that a transcript grew."""
    old = (col(Activity.kind).in_(NOISE), col(Activity.at) < now - timedelta(days=settings.keep_feed_days))

    def go() -> None:
        with database.transaction() as db:
            db.execute(delete(Activity).where(*old))

    with database.reading() as db:
        number = db.exec(select(func.count()).select_from(Activity).where(*old)).one()
    if number:
        yield Spare("feed", f"{number} entries", number, f"older than {settings.keep_feed_days} days", go)


def _left(closed: Closed, now: datetime) -> list[Left]:
    return [
        Left(ticket.key, Path(place.path), _days(ticket, now))
        for ticket, place in closed
        if ticket.state == "cancelled" and place.head_sha != place.base_sha
    ]


def _closed(database: Database, settings: Settings, now: datetime) -> Closed:
    """The tickets that were closed long ago and still have a workspace."""
    query = select(Ticket, Workspace).join(Workspace, col(Workspace.ticket_id) == col(Ticket.id))
    old = col(Ticket.closed_at) < now - timedelta(days=settings.keep_homes_days)
    with database.reading() as db:
        return list(db.exec(query.where(col(Ticket.state).in_(("done", "cancelled")), old).order_by(col(Ticket.id))))


def _days(ticket: Ticket, now: datetime) -> int:
    return (now - (ticket.closed_at or now)).days


def _discarding(database: Database, key: str) -> Callable[[], object]:
    return lambda: discard(database, key)


def _forgetting(database: Database, place: Workspace, home: Path) -> Callable[[], object]:
    """Removes a home; the sessions in it are older than the workspace from then on, and are not continued."""

    def go() -> None:
        with database.transaction() as db:
            if (row := db.get(Workspace, place.id)) is not None:
                row.created_at = utcnow()
                db.add(row)
        remove_folder(home)

    return go


def _folder(kind: Kind, what: str, folder: Path, size: int, because: str) -> Spare:
    return Spare(kind, what, size, because, lambda: remove_folder(folder))


def _size(folder: Path) -> int:
    """Bytes of the files below it, as far as they stay while one looks; links are not followed."""
    total = 0
    for parent, _, names in os.walk(folder):
        for name in names:
            with contextlib.suppress(FileNotFoundError):
                total += (Path(parent) / name).lstat().st_size
    return total
