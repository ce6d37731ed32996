"""What our processes log: lines for people, or a JSON object a line for collectors, each with the run that it is about."""

from __future__ import annotations

import json
import logging
from collections.abc import Iterator
from contextlib import contextmanager
from contextvars import ContextVar
from datetime import UTC, datetime

from dispatcher.settings import Settings

NOISY = ("httpx", "httpcore", "alembic", "arq", "uvicorn.access")
"""Libraries that log each of their steps."""

_about: ContextVar[dict[str, str | int]] = ContextVar("about", default={})  # noqa: B039  (never changed in place)


@contextmanager
def about(**ids: str | int) -> Iterator[None]:
    """What is logged within, also from threads and tasks that are started there, carries these: `run_id=7, ticket_id=3`."""
    token = _about.set(_about.get() | ids)
    try:
        yield
    finally:
        _about.reset(token)


def configure(settings: Settings) -> None:
    """Log to stderr, in the form and from the level that the settings name."""
    handler = logging.StreamHandler()
    handler.addFilter(_label)
    handler.setFormatter(JsonLines() if settings.log_format == "json" else Lines())
    root = logging.getLogger()
    root.addHandler(handler)
    root.setLevel(settings.log_level.upper())
    for name in NOISY:
        logging.getLogger(name).setLevel(logging.WARNING)


class Lines(logging.Formatter):
    """For people: time, level, where, what it is about, and what happened."""

    def __init__(self) -> None:
        super().__init__("%(asctime)s %(levelname)s %(name)s: %(ids)s%(message)s")

    def format(self, record: logging.LogRecord) -> str:
        """One line, and a traceback below it where there is one."""
        ids: dict[str, str | int] = getattr(record, "about", {})
        record.ids = "".join(f"{name}={value} " for name, value in ids.items())
        return super().format(record)


class JsonLines(logging.Formatter):
    """For collectors: an object with `at`, `level`, `logger`, `message`, `error` where there is a traceback, and the ids."""

    def format(self, record: logging.LogRecord) -> str:
        """One line."""
        entry: dict[str, object] = {
            "at": datetime.fromtimestamp(record.created, UTC).isoformat(timespec="milliseconds"),
            "level": record.levelname.lower(),
            "logger": record.name,
            "message": record.getMessage(),
            **getattr(record, "about", {}),
        }
        if record.exc_info:
            entry["error"] = self.formatException(record.exc_info)
        return json.dumps(entry, default=str)


def _label(record: logging.LogRecord) -> bool:
    record.about = _about.get()
    return True
