"""A new database is made at once at the newest schema, and has what one has that lived through every migration."""

from __future__ import annotations

import time
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

from alembic import command
from alembic.autogenerate import compare_metadata
from alembic.runtime.migration import MigrationContext
from sqlalchemy import text
from sqlmodel import Session, SQLModel

from dispatcher.db import Database, migration_config
from dispatcher.settings import Settings
from workers.gateway import Gateway
from workers.hands import Hands


def _seen(database: Database) -> tuple[Any, ...]:
    with database.engine.connect() as connection:
        context = MigrationContext.configure(connection)
        people = connection.execute(text("SELECT id, name, role FROM account")).all()
        return context.get_current_revision(), people, compare_metadata(context, SQLModel.metadata)


def test_made_at_once_or_step_by_step_it_is_the_same(empty_url: str) -> None:
    database = Database(empty_url)
    with database.engine.execution_options(write=True).connect() as connection:
        command.upgrade(migration_config(connection), "head")
        connection.commit()
    grown = _seen(database)
    with database.engine.execution_options(write=True).connect() as connection:
        SQLModel.metadata.drop_all(connection)
        connection.execute(text("DROP TABLE alembic_version"))
        connection.commit()
    database.migrate()
    assert _seen(database) == grown and grown[1] == [(1, "admin", "admin")] and grown[2] == []
    database.close()


async def test_a_transaction_that_was_silent_too_long_is_begun_anew(postgres_url: str, tmp_path: Path) -> None:
    """As by a worker that was frozen within it: PostgreSQL ends it, so that nobody waits for its locks."""
    database, silences = Database(postgres_url), [1.0, 0.0]

    def slow(db: Session) -> int:
        db.execute(text("SET LOCAL idle_in_transaction_session_timeout = 100"))
        time.sleep(silences.pop(0))
        return int(db.execute(text("SELECT 7")).scalar_one())

    hands = Hands(Settings(home=tmp_path), database, Gateway(), "w1")
    assert await hands.write(slow) == 7 and silences == []
    database.close()


def test_processes_that_start_at_once_make_it_once(empty_url: str) -> None:
    databases = [Database(empty_url) for _ in range(4)]
    with ThreadPoolExecutor(4) as pool:
        list(pool.map(Database.migrate, databases))
    assert _seen(databases[0])[1] == [(1, "admin", "admin")]
    for database in databases:
        database.close()
