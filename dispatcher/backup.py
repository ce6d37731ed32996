"""A backup: one archive with every table's rows, the settings and the runs' logs, written while all goes on.

The rows are read in one snapshot of the database, so they fit together whatever is written meanwhile. They are plain text (a
JSON object a line), so a backup of SQLite can be restored into PostgreSQL and the other way about.

    manifest.json       format, version, schema, when, how many rows, the numbers given out last
    tables/NAME.jsonl   the rows of one table, by their number
    runs/ID/...         what each run's harness and checks printed
"""

from __future__ import annotations

import json
import os
import tarfile
import tempfile
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from datetime import UTC, datetime
from importlib.metadata import version
from io import BytesIO
from pathlib import Path
from typing import Any

from alembic.runtime.migration import MigrationContext
from pydantic import BaseModel
from sqlalchemy import Connection, MetaData, Table, inspect, select, text
from sqlalchemy.engine import make_url

from dispatcher.db import Database
from dispatcher.errors import Conflict, Invalid
from dispatcher.settings import Settings

FORMAT = 1
BATCH = 1000
MANIFEST = "manifest.json"
NOT_OURS = frozenset({"alembic_version"})

Say = Callable[[str], None]


class Manifest(BaseModel):
    """What a backup holds; `numbers` are the last ones that each table gave out, which may be of rows that are gone."""

    format: int = FORMAT
    version: str
    schema_version: str
    created_at: datetime
    settings: dict[str, Any]
    tables: dict[str, int]
    numbers: dict[str, int]
    logs: bool


def back_up(database: Database, settings: Settings, target: Path, *, logs: bool = True, say: Say = lambda _: None) -> Manifest:
    """Write a backup to `target`, readable by its owner alone.

    Raises `Conflict` where there is such a file already or the database has no tables yet, `Invalid` where there is no such
    folder.
    """
    if not target.parent.is_dir():
        raise Invalid(f"there is no folder {target.parent}", "make it, or choose another place", "file")
    if target.exists():
        raise Conflict(f"{target} exists already", "choose another name, or move it away", "file")
    # Beside its place and renamed at the end: what bears the name is whole.
    descriptor, name = tempfile.mkstemp(prefix=f".{target.name}.", dir=target.parent)
    try:
        with os.fdopen(descriptor, "wb") as file, tarfile.open(fileobj=file, mode="w:gz", compresslevel=5) as archive:
            manifest = _tables(database, settings, archive, say, logs=logs)
            if logs:
                say("run logs")
                _logs(archive, settings.runs)
            file.flush()
            os.fsync(file.fileno())
        os.link(name, target)
    except FileExistsError as error:
        raise Conflict(f"{target} exists already", "choose another name, or move it away", "file") from error
    finally:
        Path(name).unlink(missing_ok=True)
    return manifest


def reflect(connection: Connection) -> MetaData:
    """The tables as they are in the database, whatever version of the schema that is."""
    metadata = MetaData()
    metadata.reflect(connection, only=lambda name, _: name not in NOT_OURS)
    return metadata


def _tables(database: Database, settings: Settings, archive: tarfile.TarFile, say: Say, *, logs: bool) -> Manifest:
    with _snapshot(database) as connection, tempfile.TemporaryDirectory(prefix="dispatcher-backup-") as folder:
        revision = MigrationContext.configure(connection).get_current_revision()
        if revision is None:
            raise Conflict("the database has no tables yet", "there is nothing to back up: start with `dispatcher up`")
        counts, files = {}, {}
        for table in reflect(connection).sorted_tables:
            say(table.name)
            files[table.name] = Path(folder) / table.name
            counts[table.name] = _write(connection, table, files[table.name])
        manifest = Manifest(
            version=version("ticket-dispatcher"),
            schema_version=revision,
            created_at=datetime.now(UTC),
            settings=_settings(settings),
            tables=counts,
            numbers=_numbers(connection, counts),
            logs=logs,
        )
        _add_text(archive, MANIFEST, manifest.model_dump_json(indent=1))
        for name, path in files.items():
            archive.add(path, f"tables/{name}.jsonl", filter=_anonymous)
    return manifest


@contextmanager
def _snapshot(database: Database) -> Iterator[Connection]:
    """A connection whose every look sees the database as it was at its first."""
    options = {"isolation_level": "REPEATABLE READ"} if database.engine.dialect.name == "postgresql" else {}
    with database.engine.connect().execution_options(stream_results=True, **options) as connection:
        yield connection


def _write(connection: Connection, table: Table, path: Path) -> int:
    count = 0
    rows = connection.execute(select(table).order_by(*table.primary_key.columns))
    with path.open("w", encoding="ascii") as file:
        for row in rows.mappings().yield_per(BATCH):
            file.write(json.dumps(dict(row), default=_plain, separators=(",", ":")) + "\n")
            count += 1
    return count


def _plain(value: object) -> str:
    if not isinstance(value, datetime):
        raise TypeError(f"a {type(value).__name__} cannot be kept in a backup")
    return (value if value.tzinfo else value.replace(tzinfo=UTC)).isoformat()


def _numbers(connection: Connection, tables: dict[str, int]) -> dict[str, int]:
    if connection.dialect.name == "sqlite":
        return {name: int(last) for name, last in connection.execute(text("SELECT name, seq FROM sqlite_sequence"))}
    found = {}
    for name in tables:
        if any(column["name"] == "id" for column in inspect(connection).get_columns(name)):
            named = connection.execute(text("SELECT pg_get_serial_sequence(:name, 'id')"), {"name": f'"{name}"'}).scalar()
            if named is not None:
                last, called = connection.execute(text(f"SELECT last_value, is_called FROM {named}")).one()
                found[name] = int(last) if called else 0
    return found


def _settings(settings: Settings) -> dict[str, Any]:
    shown = settings.model_dump(mode="json", exclude_unset=True)
    for name in ("database_url", "redis_url"):
        if shown.get(name):
            shown[name] = make_url(shown[name]).render_as_string(hide_password=True)
    return shown


def _logs(archive: tarfile.TarFile, runs: Path) -> None:
    for path in sorted(runs.rglob("*")):
        # A log that grows is taken as far as it was; a link may lead anywhere and is left out.
        if path.is_symlink() or not path.is_file() or "pycache" in path.parts:
            continue
        try:
            archive.add(path, f"runs/{path.relative_to(runs).as_posix()}", recursive=False, filter=_anonymous)
        except FileNotFoundError:
            continue  # a run's folder that was removed meanwhile


def _add_text(archive: tarfile.TarFile, name: str, content: str) -> None:
    data = content.encode()
    member = tarfile.TarInfo(name)
    member.size, member.mode = len(data), 0o600
    archive.addfile(member, BytesIO(data))


def _anonymous(member: tarfile.TarInfo) -> tarfile.TarInfo:
    member.uid = member.gid = 0
    member.uname = member.gname = ""
    member.mode = 0o600
    return member
