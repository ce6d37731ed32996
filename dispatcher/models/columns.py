"""What the tables share: times in UTC, and numbers that are never given out twice."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import Any

from sqlalchemy import DateTime, Dialect, TypeDecorator
from sqlmodel import Field


class Moment(TypeDecorator[datetime]):
    """A time in UTC. SQLite keeps no zone, so it is put back on reading."""

    impl = DateTime(timezone=True)
    cache_ok = True

    def process_bind_param(self, value: datetime | None, dialect: Dialect) -> datetime | None:
        """Aware times only, as UTC."""
        return value.astimezone(UTC) if value is not None else None

    def process_result_value(self, value: datetime | None, dialect: Dialect) -> datetime | None:
        """The zone back on."""
        if value is None:
            return None
        return value.replace(tzinfo=UTC) if value.tzinfo is None else value.astimezone(UTC)


def utcnow() -> datetime:
    """This machine's time, in UTC; leases go by the database's clock instead."""
    return datetime.now(UTC)


def moment(**options: Any) -> Any:
    """A column for a time; `nullable=False` ones are set when the row is made."""
    if options.pop("required", False):
        return Field(default_factory=utcnow, sa_type=Moment, nullable=False, **options)
    return Field(default=None, sa_type=Moment, nullable=True, **options)


NUMBERED = {"sqlite_autoincrement": True}
"""For tables whose numbers name something outside the database: SQLite would give the last ones out again."""
