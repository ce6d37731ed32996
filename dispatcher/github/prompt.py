"""What agents are told of a ticket that came from GitHub; pages show the same, made by the same function."""

from __future__ import annotations

from collections.abc import Sequence

from sqlmodel import Session

from dispatcher.github.remarks import untrusted_comments
from dispatcher.github.text import quote
from dispatcher.models import Comment, Ticket


def told_ticket(ticket: Ticket) -> Ticket:
    """The ticket as a prompt shows it: one from GitHub has title and body between fences, with where they came from."""
    origin = ticket.origin or {}
    if origin.get("kind") != "github":
        return ticket
    place = f"{origin['repository']}#{origin['number']}"
    source = f"This is the GitHub issue {place}, opened by @{origin['author']}."
    told = Ticket(**ticket.model_dump())  # a copy that no session knows
    told.title, told.body = f"GitHub issue {place}", quote(f"{ticket.title}\n\n{ticket.body}".strip(), source)
    return told


def told_comments(db: Session, ticket: Ticket, comments: Sequence[Comment]) -> list[Comment]:
    """The comments without those of people on GitHub who may not start a run."""
    hidden = untrusted_comments(db, ticket)
    return [comment for comment in comments if comment.id not in hidden]
