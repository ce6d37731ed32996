"""The engine (SQLite or PostgreSQL), transactions, and the schema's migrations."""

from __future__ import annotations

import sqlite3
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from time import monotonic, sleep
from typing import TYPE_CHECKING, Any

from alembic import command
from alembic.config import Config
from sqlalchemy import Engine, create_engine, event, insert, inspect, text
from sqlalchemy.engine import Connection, ExceptionContext, make_url
from sqlalchemy.exc import ArgumentError, OperationalError
from sqlmodel import Session, SQLModel

from dispatcher.crashing import point
from dispatcher.errors import DatabaseDown, Invalid
from dispatcher.models import User, utcnow

if TYPE_CHECKING:  # SQLite needs none of it, and it takes a twentieth of the start of a command
    import psycopg

AfterCommit = Callable[[list[int], int], None]
"""Called after a commit with the runs to ring for, and the cursor of the newest activity (0 for none)."""


_SCHEMA_LOCK = 8_484_002
"""Held while the schema is made or brought forward, so that of several processes that start at once one does it."""

_SQLITE_BUSY_SECONDS = 30
_IDLE_SECONDS = 10
"""Our transactions do nothing but statements; one that says nothing for so long has lost its process."""


class Database:
    """One database, and the only way to it.

    `transaction()` is for use cases: all or nothing, and on SQLite it takes the write lock at once, so that two writers
    wait for each other instead of failing at the end. `reading()` never writes.
    """

    def __init__(self, url: str, after_commit: AfterCommit | None = None) -> None:
        self.url = url
        self.after_commit = after_commit
        self.engine = _engine(url)
        self._writer = self.engine.execution_options(write=True)

    @contextmanager
    def transaction(self) -> Iterator[Session]:
        """One use case; commits at the end, rolls back on any exception."""
        with Session(self._writer, expire_on_commit=False) as db:
            yield db
            db.commit()
            rings, cursor = db.info.pop("rings", []), db.info.pop("cursor", 0)
        if rings:
            point("doorbell.silent")
        if self.after_commit is not None and (rings or cursor):
            self.after_commit(rings, cursor)

    @contextmanager
    def reading(self) -> Iterator[Session]:
        """A look that writes nothing."""
        with Session(self.engine, expire_on_commit=False) as db:
            yield db

    def migrate(self) -> None:
        """Bring the schema to the newest version; raises `DatabaseDown` when the database does not answer."""
        try:
            with self._writer.connect() as connection:
                if connection.dialect.name == "postgresql":
                    connection.execute(text("SELECT pg_advisory_xact_lock(:lock)"), {"lock": _SCHEMA_LOCK})
                config = migration_config(connection)
                if inspect(connection).get_table_names():
                    command.upgrade(config, "head")
                else:
                    _create(connection, config)
                connection.commit()
        except OperationalError as error:
            raise DatabaseDown(
                f"the database does not answer: {_first_line(error.orig)}",
                f"check DISPATCHER_DATABASE_URL ({make_url(self.url).render_as_string(hide_password=True)})",
            ) from error

    def close(self) -> None:
        """Give every connection back."""
        self.engine.dispose()


def _create(connection: Connection, config: Config) -> None:
    """Every table as it is now: an empty database need not live through its history. The migrations' tests hold both equal."""
    SQLModel.metadata.create_all(connection)
    connection.execute(insert(User).values(name="admin", role="admin", created_at=utcnow()))
    command.stamp(config, "head")


def migration_config(connection: Connection) -> Config:
    """Alembic's configuration for our migrations on that connection."""
    config = Config()
    config.set_main_option("script_location", str(Path(__file__).parent / "migrations"))
    config.attributes["connection"] = connection
    return config


def _engine(url: str) -> Engine:
    try:
        backend = make_url(url).get_backend_name()
    except ArgumentError as error:
        raise Invalid(
            f"{url!r} is not a database URL", "set DISPATCHER_DATABASE_URL to sqlite:///FILE or postgresql+psycopg://..."
        ) from error
    if backend == "postgresql":
        engine = create_engine(
            make_url(url).set(drivername="postgresql+psycopg"), pool_size=10, max_overflow=30, pool_pre_ping=True
        )
        event.listen(engine, "connect", _prepare_postgresql)
        event.listen(engine, "handle_error", _as_gone)
        return engine
    if backend != "sqlite":
        raise Invalid(
            f"{backend} is not supported", "set DISPATCHER_DATABASE_URL to sqlite:///FILE or postgresql+psycopg://..."
        )
    database = make_url(url).database
    if database:
        Path(database).parent.mkdir(parents=True, exist_ok=True)
    arguments = {"timeout": _SQLITE_BUSY_SECONDS, "isolation_level": None}
    engine = create_engine(url, pool_size=10, max_overflow=30, connect_args=arguments)
    event.listen(engine, "connect", _prepare_sqlite)
    event.listen(engine, "begin", _begin_sqlite)
    return engine


def _prepare_postgresql(connection: psycopg.Connection, _record: Any) -> None:
    """Let the server end a transaction whose process is frozen or out of reach: else it holds its locks for as long."""
    with connection.cursor() as cursor:
        cursor.execute(f"SET idle_in_transaction_session_timeout = '{_IDLE_SECONDS}s'".encode())
    connection.commit()


def _as_gone(context: ExceptionContext) -> OperationalError | None:
    """A silent transaction that was ended counts as a database that went away; to psycopg it is an internal error."""
    from psycopg.errors import IdleInTransactionSessionTimeout

    found = context.original_exception
    return OperationalError(context.statement, {}, found) if isinstance(found, IdleInTransactionSessionTimeout) else None


def _prepare_sqlite(connection: sqlite3.Connection, _record: Any) -> None:
    for pragma in (f"busy_timeout={_SQLITE_BUSY_SECONDS * 1000}", "synchronous=NORMAL", "foreign_keys=ON"):
        connection.execute(f"PRAGMA {pragma}")
    _write_ahead(connection)
    # Its own lower() and LIKE fold the case of ASCII only.
    connection.create_function("casefold", 1, _casefold, deterministic=True)


def _write_ahead(connection: sqlite3.Connection) -> None:
    """Turn the write-ahead log on; asked again while others open a new file at the same time.

    SQLite does not wait by itself here (https://sqlite.org/c3ref/busy_handler.html: two that hold a read lock and want more
    would wait for each other for ever).
    """
    until = monotonic() + _SQLITE_BUSY_SECONDS
    while True:
        try:
            connection.execute("PRAGMA journal_mode=WAL")
            return
        except sqlite3.OperationalError as error:
            if error.sqlite_errorcode & 0xFF != sqlite3.SQLITE_BUSY or monotonic() > until:
                raise
            sleep(0.01)


def _casefold(text: str | None) -> str | None:
    return text.casefold() if text is not None else None


def _begin_sqlite(connection: Connection) -> None:
    # The driver is in autocommit, so the transaction is ours: https://docs.sqlalchemy.org/en/20/dialects/sqlite.html
    connection.exec_driver_sql("BEGIN IMMEDIATE" if connection.get_execution_options().get("write") else "BEGIN")


def _first_line(error: object) -> str:
    return str(error).strip().partition("\n")[0]
