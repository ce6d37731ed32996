"""What many tests begin with, made once in each process and copied: databases at the newest schema."""

from __future__ import annotations

import tempfile
from functools import lru_cache
from pathlib import Path

import psycopg
from sqlalchemy.engine import make_url

from dispatcher.db import Database

NAME = "dispatcher_template"
"""The database of a PostgreSQL server that others are copies of."""


def migrated(url: str) -> str:
    """That SQLite database, which is not there yet, at the newest schema; gives its URL."""
    file = make_url(url).database
    assert file is not None
    path = Path(file)
    if not path.exists():
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(_sqlite())
    return url


def make_template(server: str) -> None:
    """The template of a PostgreSQL server, by the folder of its socket."""
    with psycopg.connect(host=server, user="postgres", dbname="postgres", autocommit=True) as admin:
        admin.execute(f"CREATE DATABASE {NAME}")
    _migrate(f"postgresql+psycopg://postgres@/{NAME}?host={server}")
    with psycopg.connect(host=server, user="postgres", dbname="postgres", autocommit=True) as admin:
        admin.execute(f"ALTER DATABASE {NAME} ALLOW_CONNECTIONS false")  # one that is in use cannot be copied


@lru_cache
def _sqlite() -> bytes:
    with tempfile.TemporaryDirectory() as folder:
        file = Path(folder) / "template.db"
        _migrate(f"sqlite:///{file}")
        return file.read_bytes()


def _migrate(url: str) -> None:
    database = Database(url)
    database.migrate()
    database.close()
