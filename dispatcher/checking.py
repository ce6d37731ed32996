"""A check of an endpoint that is under way: noted in the database, so that everybody sees it, whichever process does it."""

from __future__ import annotations

from datetime import datetime, timedelta

from sqlmodel import Session

from dispatcher import activity
from dispatcher.endpoints import get_endpoint
from dispatcher.errors import Conflict
from dispatcher.models import Endpoint, utcnow
from dispatcher.probing import LIST_SECONDS, PATIENCE_SECONDS

LONGEST = LIST_SECONDS + 3 * PATIENCE_SECONDS + 30
"""Seconds after which a check that says nothing more has died with its process."""


def under_way(endpoint: Endpoint) -> bool:
    """Whether somebody checks the endpoint at this moment."""
    since = since_when(endpoint)
    return since is not None and utcnow() - since < timedelta(seconds=LONGEST)


def since_when(endpoint: Endpoint) -> datetime | None:
    """When the noted check began."""
    return datetime.fromisoformat(endpoint.checking["since"]) if endpoint.checking else None


def begin(db: Session, name: str) -> Endpoint:
    """Note down that a check begins; raises `Conflict` while another one is under way."""
    endpoint = get_endpoint(db, name)
    db.refresh(endpoint, with_for_update=True)
    if under_way(endpoint):
        raise Conflict(f"{name} is being checked already", "wait for its result", "endpoint")
    _note(db, endpoint, {"since": utcnow().isoformat(), "step": "begins"})
    return endpoint


def tell(db: Session, name: str, step: str) -> None:
    """Note down what the check waits for now."""
    endpoint = get_endpoint(db, name)
    if endpoint.checking:
        _note(db, endpoint, endpoint.checking | {"step": step})


def break_off(db: Session, name: str) -> None:
    """Note down that the check ended without a result."""
    endpoint = get_endpoint(db, name)
    if endpoint.checking:
        _note(db, endpoint, None)


def _note(db: Session, endpoint: Endpoint, checking: dict[str, str] | None) -> None:
    endpoint.checking = checking
    db.add(endpoint)
    activity.record(db, "endpoint.checking", name=endpoint.name, step=checking["step"] if checking else None)
