"""What the frame of every page shows: where one is, and how much waits for a person."""

from __future__ import annotations

import logging
from contextvars import ContextVar
from typing import TYPE_CHECKING

from fastapi import Request
from sqlalchemy.exc import SQLAlchemyError

from dispatcher import inbox

if TYPE_CHECKING:
    from web.site import Site

PLACES = ("/inbox", "/fleet")

log = logging.getLogger(__name__)

_asked: ContextVar[tuple[Site, str] | None] = ContextVar("asked", default=None)


async def enter(request: Request) -> None:
    """Remembers what is asked for; a dependency of all pages.

    It has to be asynchronous: what a thread sets is not seen by the handler.
    """
    _asked.set((request.app.state.site, request.url.path))


def here() -> str:
    """The place in the navigation of the page that is being made: "/", "/inbox", "/fleet", or "" where it is none of them."""
    asked = _asked.get()
    if asked is None:
        return ""
    return next((place for place in PLACES if asked[1] == place or asked[1].startswith(f"{place}/")), "/" * (asked[1] == "/"))


def waiting() -> int | None:
    """How many things wait for a person; None where that cannot be known, as on a page that tells of an error."""
    asked = _asked.get()
    if asked is None:
        return None
    try:
        with asked[0].database.reading() as db:
            return inbox.count(db)
    except SQLAlchemyError as error:
        log.warning("how much waits cannot be counted: %s", error)
        return None
