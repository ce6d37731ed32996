"""`dispatcher doctor`: looks at what the dispatcher needs, and says how to mend what is missing. It changes nothing."""

from __future__ import annotations

import asyncio
import contextlib
import os
import re
import shutil
import subprocess
import sys
from collections.abc import Iterator
from datetime import UTC, datetime
from pathlib import Path
from typing import Literal

import httpx
from alembic.runtime.migration import MigrationContext
from alembic.script import ScriptDirectory
from pydantic import BaseModel
from sqlalchemy import Engine
from sqlalchemy.engine import make_url
from sqlalchemy.exc import ArgumentError, SQLAlchemyError
from sqlmodel import select

from dispatcher import room
from dispatcher.cgroups import CONTROLLERS, places_here
from dispatcher.client import answers, running_server
from dispatcher.db import Database, migration_config
from dispatcher.embedded import redis_server
from dispatcher.endpoints import list_endpoints
from dispatcher.errors import DispatcherError, Unavailable
from dispatcher.harnesses import list_harnesses
from dispatcher.models import Endpoint, Project, Worker
from dispatcher.reaching import Allowed, Elsewhere
from dispatcher.sandboxes import try_sandboxes
from dispatcher.settings import Settings
from dispatcher.stack import listen

OLDEST_GIT = (2, 38)
"""The first with `git merge-tree --write-tree`, which merges without a checkout (its release notes)."""
FRESH_SECONDS = 20.0
"""A worker whose heartbeat is older is not running; it beats every 5 s."""
LITTLE_DISK = 2.0
"""Gigabytes."""
ENDPOINT_SECONDS = 4.0


class Finding(BaseModel):
    """What one look gave; `fix` says what to do about a warning or a problem."""

    what: str
    state: Literal["ok", "warning", "problem"]
    text: str
    fix: str = ""


def examine(settings: Settings) -> Iterator[Finding]:
    """Every finding, as they come."""
    yield _python()
    yield _git()
    yield _folder(settings)
    yield from _database(settings)
    yield _redis(settings)
    yield from _sandboxes(settings)
    yield _bounds(settings)
    yield from _harnesses(settings)
    yield _port(settings)


def _python() -> Finding:
    version = ".".join(str(part) for part in sys.version_info[:3])
    if sys.version_info < (3, 11):  # noqa: UP036  (a copy of the code may be run by any Python)
        return Finding(what="python", state="problem", text=version, fix="install Python 3.11 or newer")
    return Finding(what="python", state="ok", text=f"{version} at {sys.executable}")


def _git() -> Finding:
    program = shutil.which("git")
    if program is None:
        return Finding(what="git", state="problem", text="not found", fix="install it (Debian and Ubuntu: apt install git)")
    told = subprocess.run([program, "--version"], capture_output=True, text=True, check=False).stdout.strip()
    found = re.search(r"(\d+)\.(\d+)", told)
    if found is None or (int(found[1]), int(found[2])) < OLDEST_GIT:
        fix = "install git 2.38 or newer: merges are made without touching your checkout"
        return Finding(what="git", state="problem", text=told or "it does not tell its version", fix=fix)
    return Finding(what="git", state="ok", text=told.removeprefix("git version "))


def _folder(settings: Settings) -> Finding:
    home = settings.home
    there = next(path for path in (home, *home.parents) if path.exists())
    if not there.is_dir() or not os.access(there, os.W_OK | os.X_OK):
        fix = "mend its permissions, or name another folder by DISPATCHER_HOME"
        return Finding(what="data folder", state="problem", text=f"{there} cannot be written to", fix=fix)
    free = room.free(settings)
    text = f"{home}, {free:.1f} GB free" + ("" if there == home else " (made at the first start)")
    if why := room.shortage(settings):
        fix = "make room, or see what goes: dispatcher upkeep --dry-run; no new run begins before"
        return Finding(what="data folder", state="problem", text=why, fix=fix)
    if free < LITTLE_DISK:
        fix = "make room: worktrees and harnesses need some GB; or name another folder by DISPATCHER_HOME"
        return Finding(what="data folder", state="warning", text=text, fix=fix)
    return Finding(what="data folder", state="ok", text=text)


def _database(settings: Settings) -> Iterator[Finding]:
    """The database, and what it knows of endpoints and workers."""
    try:
        url = make_url(settings.database)
        shown = url.render_as_string(hide_password=True)
        if url.get_backend_name() == "sqlite" and url.database and not Path(url.database).exists():
            yield Finding(what="database", state="ok", text=f"{shown} (made at the first start)")
            return
        database = Database(settings.database)
    except ArgumentError:
        fix = "set DISPATCHER_DATABASE_URL to sqlite:///FILE or postgresql+psycopg://..."
        yield Finding(what="database", state="problem", text="DISPATCHER_DATABASE_URL is no database URL", fix=fix)
        return
    except DispatcherError as error:
        yield Finding(what="database", state="problem", text=error.message, fix=error.hint)
        return
    try:
        schema = _schema(database.engine, shown)
        yield schema
        if schema.state == "ok":
            yield from _endpoints(database)
            yield _workers(database)
    except SQLAlchemyError as error:
        told = str(getattr(error, "orig", error)).strip().partition("\n")[0]
        yield Finding(what="database", state="problem", text=f"{shown}: {told}", fix="check DISPATCHER_DATABASE_URL")
    finally:
        database.close()


def _schema(engine: Engine, shown: str) -> Finding:
    with engine.connect() as connection:
        now = MigrationContext.configure(connection).get_current_revision()
        scripts = ScriptDirectory.from_config(migration_config(connection))
        known = {script.revision for script in scripts.walk_revisions()}
    if now is not None and now not in known:
        fix = "install the dispatcher that wrote it, or a newer one"
        return Finding(what="database", state="problem", text=f"{shown} was written by a newer dispatcher ({now})", fix=fix)
    if now != scripts.get_current_head():
        return Finding(
            what="database", state="warning", text=f"{shown} has an older schema", fix="dispatcher up brings it up to date"
        )
    return Finding(what="database", state="ok", text=f"{shown}, schema {now}")


def _endpoints(database: Database) -> Iterator[Finding]:
    with database.reading() as db:
        endpoints = list_endpoints(db)
    if not endpoints:
        fix = "dispatcher endpoint discover --add, or dispatcher endpoint add"
        yield Finding(what="endpoints", state="warning", text="none is registered", fix=fix)
    for endpoint in endpoints:
        yield _endpoint(endpoint)


def _endpoint(endpoint: Endpoint) -> Finding:
    what = f"endpoint {endpoint.name}"
    key = endpoint.key()
    if endpoint.key_env and not key:
        fix = f"export {endpoint.key_env} where the worker runs"
        return Finding(what=what, state="problem", text=f"its key's variable {endpoint.key_env} is not set here", fix=fix)
    try:
        response = asyncio.run(_models(endpoint, key))
    except Elsewhere as error:
        return Finding(what=what, state="problem", text=error.why.message, fix=error.why.hint)
    except httpx.HTTPError as error:
        fix = f"start the model server, then: dispatcher endpoint check {endpoint.name}"
        return Finding(
            what=what, state="problem", text=f"{endpoint.base_url} does not answer ({type(error).__name__})", fix=fix
        )
    if response.status_code != 200:
        fix = f"see: dispatcher endpoint check {endpoint.name}"
        return Finding(what=what, state="problem", text=f"{endpoint.base_url} answers {response.status_code}", fix=fix)
    return Finding(what=what, state="ok", text=f"{endpoint.base_url} answers")


async def _models(endpoint: Endpoint, key: str) -> httpx.Response:
    headers = {"Authorization": f"Bearer {key}"} if key else {}
    async with httpx.AsyncClient(timeout=ENDPOINT_SECONDS, trust_env=False, transport=Allowed()) as client:
        return await client.get(f"{endpoint.base_url}/models", headers=headers)


def _workers(database: Database) -> Finding:
    with database.reading() as db:
        workers = list(db.exec(select(Worker)))
    now = datetime.now(UTC)
    beating = [worker for worker in workers if (now - worker.seen_at).total_seconds() < FRESH_SECONDS]
    if not beating:
        return Finding(what="worker", state="warning", text="none is running", fix="dispatcher up, or dispatcher worker")
    text = ", ".join(f"{worker.name} (up to {worker.runs_at_once} runs)" for worker in beating)
    return Finding(what="worker", state="ok", text=text)


def _redis(settings: Settings) -> Finding:
    if not settings.redis_url:
        try:
            return Finding(what="redis", state="ok", text=f"embedded: {redis_server()}")
        except DispatcherError as error:
            return Finding(what="redis", state="problem", text=error.message, fix=error.hint)
    from redis import Redis
    from redis.exceptions import RedisError

    shown = re.sub(r"//[^@/]*@", "//***@", settings.redis_url)
    try:
        with Redis.from_url(settings.redis_url, socket_connect_timeout=3, socket_timeout=3) as redis:
            version = redis.info("server")["redis_version"]
    except (RedisError, OSError, ValueError) as error:
        fix = "start it, or mend DISPATCHER_REDIS_URL; unset, the dispatcher starts one of its own"
        return Finding(what="redis", state="problem", text=f"{shown} does not answer: {error}", fix=fix)
    return Finding(what="redis", state="ok", text=f"{version} at {shown}")


def _harnesses(settings: Settings) -> Iterator[Finding]:
    rows = list_harnesses(settings.harness_root)
    usable = any(row.used for row in rows)
    for row in rows:
        what, fix = f"harness {row.name}", f"dispatcher harness install {row.name}"
        if row.used is not None:
            origin = "managed" if row.used.origin == "managed" else "your own"
            yield Finding(what=what, state="ok", text=f"{row.used.probe.version}, {origin}: {row.used.path}")
        else:
            yield Finding(what=what, state="warning" if usable else "problem", text=row.missing, fix=fix)


def _sandboxes(settings: Settings) -> Iterator[Finding]:
    """Which sandboxes this machine can make: each is made, and tried from inside."""
    try:
        all_found = try_sandboxes()
    except Unavailable as error:
        yield Finding(what="sandbox", state="problem", text=error.message, fix=error.hint)
        return
    used = _tiers_in_use(settings)
    for found in all_found:
        what = f"sandbox {found.tier}"
        if found.reason:
            other = (
                f"; or choose another: dispatcher project edit {used[found.tier]} --sandbox ..." if used.get(found.tier) else ""
            )
            state: Literal["problem", "warning"] = "problem" if found.tier in used else "warning"
            yield Finding(what=what, state=state, text=found.reason, fix=found.fix + other)
            continue
        shut = len(found.refused)
        left = f"; open: {', '.join(found.open)}" if found.open else ""
        yield Finding(what=what, state="ok", text=f"refused: {shut} of {shut}{left}; {found.milliseconds:.0f} ms a start")


def _bounds(settings: Settings) -> Finding:
    """What a run may take of the machine, and whether this machine can hold it to that."""
    places, room = places_here(), settings.room
    free = {"memory": "memory (DISPATCHER_RUN_MEMORY_GB)", "pids": "the number of processes (DISPATCHER_RUN_PROCESSES)"}
    wanted = [one for one in CONTROLLERS if room.of(one)]
    if missing := [room.words(one) for one in wanted if one not in places]:
        text = f"not held on this machine: {' and '.join(missing)}; there is no control group that we may write to"
        fix = "start it by: systemd-run --user --scope -p Delegate=yes dispatcher up; as a service, with Delegate=yes"
        return Finding(what="bounds of a run", state="warning", text=text, fix=fix)
    told = [f"at most {' and '.join(room.words(one) for one in wanted)}"] if wanted else []
    told += [f"{free[one]} is not bounded" for one in CONTROLLERS if not room.of(one)]
    return Finding(what="bounds of a run", state="ok", text="; ".join(told))


def _tiers_in_use(settings: Settings) -> dict[str, str]:
    """The sandboxes that projects have, each with one of theirs; and that of new ones."""
    used: dict[str, str] = {settings.sandbox: ""}
    with contextlib.suppress(SQLAlchemyError, ArgumentError, DispatcherError):
        url = make_url(settings.database)
        if url.get_backend_name() != "sqlite" or (url.database and Path(url.database).exists()):
            database = Database(settings.database)
            try:
                with database.reading() as db:
                    used |= {str(tier): key for tier, key in db.exec(select(Project.sandbox, Project.key)).all()}
            finally:
                database.close()
    return used


def _port(settings: Settings) -> Finding:
    what = f"port {settings.port}"
    if url := running_server(settings):
        return Finding(what=what, state="ok", text=f"the dispatcher runs at {url}")
    try:
        listen(settings.host, settings.port).close()
    except DispatcherError as error:
        if answers(f"http://{settings.host}:{settings.port}"):
            text = f"a dispatcher of another data folder runs at http://{settings.host}:{settings.port}"
            return Finding(what=what, state="warning", text=text, fix=error.hint)
        return Finding(what=what, state="problem", text=error.message, fix=error.hint)
    return Finding(what=what, state="ok", text=f"free on {settings.host}")
