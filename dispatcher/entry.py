"""How the owner of a data folder, or of its database, enters: by a look into the database, without asking the web app."""

from __future__ import annotations

import socket
from collections.abc import Iterator
from contextlib import contextmanager
from urllib.parse import urlencode

from dispatcher import access, credentials
from dispatcher.actor import acting_as
from dispatcher.db import Database
from dispatcher.settings import Settings


@contextmanager
def machine_token(settings: Settings) -> Iterator[str]:
    """The token that the data folder's commands use while its web app runs; it ends with the context."""
    place = f"{socket.gethostname()}:{settings.home}"
    with _opened(settings) as database:
        with database.transaction() as db:
            made = credentials.make_machine_token(db, place)
        try:
            yield made.secret
        finally:
            with database.transaction() as db:
                credentials.end_machine_token(db, made.credential)


def login_link(settings: Settings, url: str, name: str | None = None) -> str:
    """A new login link for that user, by default the oldest administrator; raises `NotFound` and `Conflict`."""
    with _opened(settings) as database, database.transaction() as db, acting_as("machine"):
        user = access.get_user(db, name) if name is not None else access.administrators(db)[0]
        return link_to(url, credentials.make_link(db, user).secret)


def link_to(url: str, secret: str) -> str:
    """The address that logs in by that secret."""
    return f"{url.rstrip('/')}/login?{urlencode({'token': secret})}"


def is_set_up(settings: Settings) -> bool:
    """Whether somebody has logged in, or was added, at this site."""
    with _opened(settings) as database, database.reading() as db:
        return access.is_set_up(db)


@contextmanager
def _opened(settings: Settings) -> Iterator[Database]:
    database = Database(settings.database)
    try:
        database.migrate()
        yield database
    finally:
        database.close()
