"""What the fleet added to the schema: a database of before comes forward with its rows, and is then what the models say."""

from __future__ import annotations

from typing import Any

from alembic import command
from alembic.autogenerate import compare_metadata
from alembic.migration import MigrationContext
from sqlalchemy import text
from sqlmodel import SQLModel

from dispatcher.db import Database, migration_config
from dispatcher.models import Agent, Endpoint, Run, Worker

OURS = {"endpoint", "agent", "worker", "run"}
ROWS = """
INSERT INTO endpoint (id, name, base_url, model, key_env, context_length, output_length, slots, created_at)
  VALUES (1, 'local', 'http://127.0.0.1:1/v1', 'm', '', 32768, 8192, 1, '2026-01-01 00:00:00');
INSERT INTO agent
  (id, name, harness, endpoint_id, model, instructions, max_seconds, max_silence, max_tokens, max_turns, created_at)
  VALUES (1, 'coder', 'goose', 1, '', '', 60, 60, 0, 100, '2026-01-01 00:00:00');
INSERT INTO worker (name, host, pid, version, runs_at_once, started_at, seen_at)
  VALUES ('w1', 'forge', 1, '0.1.0', 8, '2026-01-01 00:00:00', '2026-01-01 00:00:00');
"""


def test_rows_of_before_come_forward(empty_url: str) -> None:
    database = Database(empty_url)
    with database._writer.connect() as connection:
        config = migration_config(connection)
        command.upgrade(config, "0003")
        for statement in filter(None, (part.strip() for part in ROWS.split(";"))):
            connection.execute(text(statement))
        command.upgrade(config, "head")
        connection.commit()
    with database.reading() as db:
        endpoint, agent, worker = db.get_one(Endpoint, 1), db.get_one(Agent, 1), db.get_one(Worker, "w1")
        assert (endpoint.checking, endpoint.retired_at, agent.retired_at, worker.harnesses) == (None, None, None, {})
    with database.engine.connect() as connection:
        differences = [one for one in compare_metadata(MigrationContext.configure(connection), SQLModel.metadata) if _ours(one)]
    database.close()
    assert not differences
    assert {index.name for index in Run.__table__.indexes} >= {"run_ended"}  # type: ignore[attr-defined]


def _ours(difference: Any) -> bool:
    """Whether a difference is about one of our tables."""
    first = difference[0] if isinstance(difference, list) else difference
    return any(
        getattr(part, "name", part) in OURS or getattr(getattr(part, "table", None), "name", "") in OURS for part in first[1:]
    )
