"""PostgreSQL databases for tests: emptied between two of them, which takes a tenth of the time of a new one."""

from __future__ import annotations

import uuid
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from functools import cached_property

import psycopg
from psycopg import sql

from tests import templates

SHAPE = """
SELECT md5(string_agg(line, E'\\n' ORDER BY line)) FROM (
    SELECT format('table %s %s %s %s %s %s', relname, relkind, attname, atttypid, attnotnull, atthasdef) AS line
    FROM pg_class LEFT JOIN pg_attribute ON attrelid = pg_class.oid WHERE relnamespace = 'public'::regnamespace
    UNION ALL SELECT format('rule %s %s', conname, pg_get_constraintdef(oid)) FROM pg_constraint
    UNION ALL SELECT 'index ' || indexdef FROM pg_indexes WHERE schemaname = 'public'
    UNION ALL SELECT 'trigger ' || tgname FROM pg_trigger WHERE NOT tgisinternal
    UNION ALL SELECT 'function ' || proname FROM pg_proc WHERE pronamespace = 'public'::regnamespace
    UNION ALL SELECT 'schema ' || nspname FROM pg_namespace WHERE nspname NOT LIKE 'pg\\_%'
    UNION ALL SELECT format('setting %s', setconfig) FROM pg_db_role_setting
) AS lines
"""
"""What a test may have changed beside rows."""

OTHERS = """
SELECT count(pg_terminate_backend(pid, 5000)) FROM pg_stat_activity
WHERE datname = current_database() AND pid <> pg_backend_pid() AND backend_type = 'client backend'
"""


@dataclass
class Databases:
    """The databases of a server, each like the template when it is lent."""

    server: str
    """The folder of its socket."""
    _free: list[str] = field(default_factory=list)

    @contextmanager
    def lent(self) -> Iterator[str]:
        """One at the newest schema, with what a new one holds and nothing else; gives its URL."""
        name = self._free.pop() if self._free else self._made()
        yield f"postgresql+psycopg://postgres@/{name}?host={self.server}"
        if self._emptied(name):
            self._free.append(name)
        else:
            self._say(sql.SQL("DROP DATABASE {} WITH (FORCE)").format(sql.Identifier(name)))

    def _made(self) -> str:
        name = f"test_{uuid.uuid4().hex}"
        source = sql.Identifier(templates.NAME)
        self._say(sql.SQL("CREATE DATABASE {} TEMPLATE {}").format(sql.Identifier(name), source))
        return name

    def _emptied(self, name: str) -> bool:
        """Put everything back as it is in the template; False where that takes more than rows."""
        begin = self._begin
        with psycopg.connect(host=self.server, user="postgres", dbname=name) as db:
            db.execute(OTHERS)
            if db.execute(SHAPE).fetchone() != (begin.shape,):
                return False
            db.execute("SET session_replication_role = replica")  # in any order of the tables
            db.execute(begin.emptying)
            for table, rows in begin.rows.items():
                with db.cursor().copy(sql.SQL("COPY {} FROM STDIN").format(sql.Identifier(table))) as copy:
                    copy.write(rows)
        return True

    @cached_property
    def _begin(self) -> Begin:
        name = self._made()
        with psycopg.connect(host=self.server, user="postgres", dbname=name) as db:
            found = Begin.of(db)
        self._free.append(name)
        return found

    def _say(self, command: sql.Composed) -> None:
        with psycopg.connect(host=self.server, user="postgres", dbname="postgres", autocommit=True) as admin:
            admin.execute(command)


@dataclass(frozen=True)
class Begin:
    """A new database: its shape, its rows, and how to get rid of all others."""

    shape: str
    rows: dict[str, bytes]
    emptying: sql.Composed

    @classmethod
    def of(cls, db: psycopg.Connection) -> Begin:
        """Look at one."""
        [shape] = db.execute(SHAPE).fetchone() or [""]
        tables = [name for (name,) in db.execute("SELECT tablename FROM pg_tables WHERE schemaname = 'public'")]
        rows = {}
        for table in tables:
            with db.cursor().copy(sql.SQL("COPY {} TO STDOUT").format(sql.Identifier(table))) as copy:
                if content := b"".join(bytes(part) for part in copy):
                    rows[table] = content
        parts: list[sql.Composable] = [sql.SQL("DELETE FROM {}").format(sql.Identifier(table)) for table in tables]
        for name, last in db.execute("SELECT sequencename, last_value FROM pg_sequences WHERE schemaname = 'public'"):
            value = [sql.Literal(name), sql.Literal(last or 1), sql.Literal(last is not None)]
            parts.append(sql.SQL("SELECT setval({}, {}, {})").format(*value))
        return cls(shape, rows, sql.SQL("; ").join(parts))
