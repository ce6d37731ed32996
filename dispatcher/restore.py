"""Restores a backup into an empty database, at the schema that it was made with, and brings that forward."""

from __future__ import annotations

import json
import shutil
import tarfile
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import datetime
from itertools import islice
from pathlib import Path, PurePosixPath
from typing import IO, Any

from alembic import command
from alembic.script import ScriptDirectory
from pydantic import ValidationError
from sqlalchemy import JSON, Connection, DateTime, Table, func, inspect, select, text

from dispatcher.backup import BATCH, FORMAT, MANIFEST, Manifest, Say, reflect
from dispatcher.db import Database, migration_config
from dispatcher.errors import Conflict, Invalid
from dispatcher.settings import Settings

WORTH = ("project", "endpoint", "agent", "ticket")
"""Tables whose rows somebody made; what else an empty database holds was put in by itself."""


def read_manifest(source: Path) -> Manifest:
    """What a backup holds; raises `Invalid` for a file that is none, or that a newer dispatcher wrote."""
    with _open(source) as archive:
        return _manifest(archive, source)


def restore(database: Database, settings: Settings, source: Path, *, say: Say = lambda _: None) -> Manifest:
    """Bring a backup back.

    Raises `Invalid` for a file that is no backup, `Conflict` where the database or the runs' folder is in use.
    All rows come in one transaction: where it fails, the database is as empty as it was.
    """
    with _open(source) as archive:
        manifest = _manifest(archive, source)
        _require_room(database, settings)
        with database.engine.execution_options(write=True).connect() as connection:
            _clear(connection)
            command.upgrade(migration_config(connection), manifest.schema_version)
            _clear_rows(connection)
            for table in reflect(connection).sorted_tables:
                if table.name in manifest.tables:
                    say(table.name)
                    _load(connection, table, archive, manifest.tables[table.name])
            _give_out_after(connection, manifest.numbers)
            connection.commit()
        database.migrate()
        if manifest.logs:
            say("run logs")
            _logs(archive, settings.runs)
    return manifest


@contextmanager
def _open(source: Path) -> Iterator[tarfile.TarFile]:
    try:
        with tarfile.open(source, "r:gz") as archive:
            yield archive
    except (tarfile.TarError, EOFError, OSError) as error:
        if isinstance(error, FileNotFoundError):
            raise Invalid(f"there is no file {source}", "give the backup's path", "file") from error
        raise Invalid(f"{source} is no backup, or a damaged one: {error}", "take another one", "file") from error


def _manifest(archive: tarfile.TarFile, source: Path) -> Manifest:
    first = archive.next()
    if first is None or first.name != MANIFEST:
        raise Invalid(f"{source} is no backup of the dispatcher's", "make one: dispatcher backup FILE", "file")
    try:
        manifest = Manifest.model_validate_json(_member(archive, first).read())
    except ValidationError as error:
        raise Invalid(f"{source} has a manifest that cannot be read", "take another backup", "file") from error
    known = {script.revision for script in ScriptDirectory(str(Path(__file__).parent / "migrations")).walk_revisions()}
    if manifest.format > FORMAT or manifest.schema_version not in known:
        raise Invalid(
            f"{source} was written by dispatcher {manifest.version}, a newer one", "install that, or a newer one", "file"
        )
    return manifest


def _require_room(database: Database, settings: Settings) -> None:
    with database.engine.connect() as connection:
        tables = [table for table in reflect(connection).sorted_tables if table.name in WORTH]
        used = [table.name for table in tables if connection.execute(select(func.count()).select_from(table)).scalar()]
    if used:
        hint = "restore into an empty one: another DISPATCHER_HOME, or another DISPATCHER_DATABASE_URL"
        raise Conflict(f"the database is in use: there are rows of {', '.join(used)}", hint)
    if settings.runs.is_dir() and any(settings.runs.iterdir()):
        raise Conflict(f"{settings.runs} holds logs of other runs", "move it away, or choose another DISPATCHER_HOME")


def _clear(connection: Connection) -> None:
    """Drop the tables of a database that nobody has used."""
    metadata = reflect(connection)
    metadata.drop_all(connection)
    if inspect(connection).has_table("alembic_version"):
        connection.execute(text("DROP TABLE alembic_version"))


def _clear_rows(connection: Connection) -> None:
    """Remove what the migrations themselves put in: the backup has its own."""
    for table in reversed(reflect(connection).sorted_tables):
        connection.execute(table.delete())


def _load(connection: Connection, table: Table, archive: tarfile.TarFile, expected: int) -> None:
    lines = iter(_member(archive, archive.getmember(f"tables/{table.name}.jsonl")))
    moments = {column.name for column in table.columns if isinstance(column.type, DateTime)}
    for column in table.columns:
        if isinstance(column.type, JSON):
            column.type.none_as_null = True  # else None would become JSON's word for it
    count = 0
    while rows := [_row(json.loads(line), moments) for line in islice(lines, BATCH)]:
        connection.execute(table.insert(), rows)
        count += len(rows)
    if count != expected:
        raise Invalid(f"{table.name} has {count} rows in the backup, not {expected}: it is damaged", "take another one", "file")


def _row(row: dict[str, Any], moments: set[str]) -> dict[str, Any]:
    return {name: datetime.fromisoformat(value) if name in moments and value else value for name, value in row.items()}


def _give_out_after(connection: Connection, numbers: dict[str, int]) -> None:
    """Let no number be given out again, also none of a row that is gone."""
    postgresql = connection.dialect.name == "postgresql"
    for name, last in numbers.items():
        if not last or not inspect(connection).has_table(name):
            continue
        if postgresql:
            values = {"name": f'"{name}"', "last": last}
            connection.execute(text("SELECT setval(pg_get_serial_sequence(:name, 'id'), :last)"), values)
        else:
            connection.execute(text("DELETE FROM sqlite_sequence WHERE name = :name"), {"name": name})
            connection.execute(text("INSERT INTO sqlite_sequence VALUES (:name, :last)"), {"name": name, "last": last})


def _logs(archive: tarfile.TarFile, runs: Path) -> None:
    for member in archive:
        place = PurePosixPath(member.name)
        if not member.isfile() or place.parts[0] != "runs" or ".." in place.parts or place.is_absolute():
            continue
        path = runs.joinpath(*place.parts[1:])
        path.parent.mkdir(parents=True, exist_ok=True, mode=0o700)
        with path.open("xb") as file:
            shutil.copyfileobj(_member(archive, member), file)
        path.chmod(0o600)


def _member(archive: tarfile.TarFile, member: tarfile.TarInfo) -> IO[bytes]:
    content = archive.extractfile(member)
    if content is None:
        raise Invalid(f"{member.name} in the backup is no file", "take another one", "file")
    return content
