"""The order within a column: each ticket has a `position`, a number between those of its neighbours."""

from __future__ import annotations

from sqlalchemy import text
from sqlmodel import Session, and_, col, func, or_, select

from dispatcher import activity
from dispatcher.errors import Conflict, NotFound
from dispatcher.models import Ticket
from dispatcher.search import CLOSED

SMALLEST_GAP = 1e-6
"""Between neighbours; below it, all tickets get whole numbers again. A float has room for more at any number of tickets."""

_RENUMBER = text(
    "UPDATE ticket SET position = ranked.place FROM "
    "(SELECT id, row_number() OVER (ORDER BY position, id) AS place FROM ticket) AS ranked WHERE ranked.id = ticket.id"
)


def place(db: Session, ticket: Ticket, *, after: str | None = None, before: str | None = None) -> None:
    """Put a ticket right below the one with the key `after`, or else right above `before`, in the column that all are in.

    A neighbour that has left the column meanwhile is passed over; where none is left, the ticket stays where it is. Raises
    `Conflict` for a closed ticket (those stand by when they were closed), and `NotFound` for a key that there is not.
    """
    if ticket.state in CLOSED:
        raise Conflict(
            f"{ticket.key} is {ticket.state}: closed tickets stand by when they were closed", "there is no other order"
        )
    above, below = _neighbours(db, ticket, after, before)
    if above is None and below is None:
        return
    position = _between(above, below)
    if position is None:
        db.flush()
        db.execute(_RENUMBER)
        for row in (ticket, above, below):
            if row is not None:
                db.refresh(row)
        activity.record(db, "board.renumbered")
        position = _between(above, below)
        assert position is not None, "whole numbers have room between them"
    ticket.position = position
    db.add(ticket)
    activity.record(db, "ticket.placed", ticket=ticket, position=position)


def neighbours(db: Session, ticket: Ticket) -> tuple[str | None, str | None]:
    """The keys of the tickets right above and right below in its column."""
    above, below = _beside(db, ticket, ticket, up=True), _beside(db, ticket, ticket, up=False)
    return above.key if above else None, below.key if below else None


def last(db: Session) -> float:
    """The position of the very last ticket, 0 for none."""
    return db.exec(select(func.max(Ticket.position))).one() or 0.0


def _neighbours(db: Session, ticket: Ticket, after: str | None, before: str | None) -> tuple[Ticket | None, Ticket | None]:
    above, below = _named(db, ticket, after), _named(db, ticket, before)
    if above is not None:
        return above, _beside(db, ticket, above, up=False)
    if below is not None:
        return _beside(db, ticket, below, up=True), below
    return None, None


def _named(db: Session, ticket: Ticket, key: str | None) -> Ticket | None:
    if not key or key.strip().upper() == ticket.key:
        return None
    found = db.exec(select(Ticket).where(Ticket.key == key.strip().upper())).first()
    if found is None:
        raise NotFound(f"there is no ticket {key!r}", "open the board anew", "after")
    return found if found.state == ticket.state else None


def _beside(db: Session, ticket: Ticket, other: Ticket, *, up: bool) -> Ticket | None:
    """The ticket next to `other` in its column, `ticket` itself not counted."""
    place, number = col(Ticket.position), col(Ticket.id)
    assert other.id is not None
    query = select(Ticket).where(Ticket.state == other.state, Ticket.id != ticket.id)
    if up:
        query = query.where(or_(place < other.position, and_(place == other.position, number < other.id)))
        return db.exec(query.order_by(place.desc(), number.desc()).limit(1)).first()
    query = query.where(or_(place > other.position, and_(place == other.position, number > other.id)))
    return db.exec(query.order_by(place, number).limit(1)).first()


def _between(above: Ticket | None, below: Ticket | None) -> float | None:
    """A position between two neighbours, None where there is no room."""
    if above is None:
        assert below is not None
        return below.position - 1
    if below is None:
        return above.position + 1
    gap = below.position - above.position
    return above.position + gap / 2 if gap > SMALLEST_GAP else None
