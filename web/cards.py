"""What the live board needs beside an entry of the feed: the ticket's card as it is now, and the counts of its columns."""

from __future__ import annotations

from typing import Any

from sqlmodel import Session, col, select

from dispatcher import board, inbox
from dispatcher.models import Activity, Ticket
from web.render import render
from web.schemas import TicketOut
from web.views import tickets_out

UNSEEN = frozenset({"run.items"})
"""Kinds that change nothing on a card."""


def extras(db: Session, rows: list[Activity]) -> dict[int, dict[str, Any]]:
    """By the entry's number: `card` and `state` of its ticket, and `counts` by project.

    Of several entries about one ticket the last has the card; the others have None. A ticket that is gone has None too.
    The last entry of all has `waiting`, how many things wait for a person.
    """
    last = {row.ticket_id: row.id for row in rows if row.ticket_id is not None and row.kind not in UNSEEN}
    found = db.exec(select(Ticket).where(col(Ticket.id).in_(last)))
    tickets = {ticket.id or 0: ticket for ticket in found}
    shown = dict(zip(tickets, tickets_out(db, list(tickets.values())), strict=True))
    counts = board.count_columns(db) if last else {}
    result: dict[int, dict[str, Any]] = {}
    for row in rows:
        assert row.id is not None
        ticket = shown.get(row.ticket_id or 0) if row.ticket_id and last.get(row.ticket_id) == row.id else None
        result[row.id] = _of(ticket) | {"counts": counts} if ticket is not None else {"card": None}
    if any(row.kind not in UNSEEN for row in rows):
        result[rows[-1].id or 0]["waiting"] = inbox.count(db)
    return result


def _of(ticket: TicketOut) -> dict[str, Any]:
    return {
        "card": render("board/card.html", ticket=ticket),
        "state": ticket.state,
    }
