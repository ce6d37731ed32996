"""The append-only feed of all that happened, with a cursor."""

from __future__ import annotations

from typing import Any

from sqlalchemy import text
from sqlmodel import Session, col, select

from dispatcher.actor import acting
from dispatcher.models import Activity, Run, Ticket
from dispatcher.text import storable

PRIVATE = "access."
"""How kinds begin that tell of logins and rights: for administrators alone."""
_FEED_LOCK = 8_484_001


def record(
    db: Session, kind: str, *, ticket: Ticket | None = None, run: Run | None = None, project_id: int | None = None, **data: Any
) -> Activity:
    """Append one entry; it becomes visible with the transaction, and a cursor never skips one."""
    if db.get_bind().dialect.name == "postgresql":
        # Numbers are given out before commits become visible: without the lock a reader could pass a slower writer's entry.
        db.execute(text("SELECT pg_advisory_xact_lock(:lock)"), {"lock": _FEED_LOCK})
    if ticket is not None:
        project_id = ticket.project_id
        data = {"key": ticket.key} | data
    ticket_id = ticket.id if ticket is not None else run.ticket_id if run is not None else None
    entry = Activity(
        kind=kind,
        project_id=project_id,
        ticket_id=ticket_id,
        run_id=run.id if run is not None else None,
        actor=acting(""),
        data=storable(data),
    )
    db.add(entry)
    db.flush()
    db.info["cursor"] = entry.id
    return entry


def since(
    db: Session, cursor: int, *, ticket_id: int | None = None, actor: str | None = None, private: bool = True, limit: int = 500
) -> list[Activity]:
    """The entries after `cursor`, oldest first; without `private` ones where they are not to be shown."""
    query = select(Activity).where(col(Activity.id) > cursor).order_by(col(Activity.id)).limit(limit)
    if ticket_id is not None:
        query = query.where(Activity.ticket_id == ticket_id)
    if actor is not None:
        query = query.where(Activity.actor == actor)
    if not private:
        query = query.where(col(Activity.kind).not_like(f"{PRIVATE}%"))
    return list(db.exec(query))


def before(
    db: Session,
    cursor: int | None = None,
    *,
    ticket_id: int | None = None,
    actor: str | None = None,
    people: bool = False,
    kind: str = "",
    limit: int = 100,
) -> list[Activity]:
    """The entries before `cursor`, or the newest, newest first: of kinds that begin so, or what people did."""
    query = select(Activity).order_by(col(Activity.id).desc()).limit(limit)
    if cursor is not None:
        query = query.where(col(Activity.id) < cursor)
    if ticket_id is not None:
        query = query.where(Activity.ticket_id == ticket_id)
    if actor is not None:
        query = query.where(Activity.actor == actor)
    if people:
        query = query.where(Activity.actor != "")
    if kind:
        query = query.where(col(Activity.kind).startswith(kind, autoescape=True))
    return list(db.exec(query))


def newest(db: Session) -> int:
    """The cursor of the newest entry, 0 for none."""
    return db.exec(select(Activity.id).order_by(col(Activity.id).desc()).limit(1)).first() or 0
