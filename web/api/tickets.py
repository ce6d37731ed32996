"""API: tickets, from filing to closing; their review is in `api_review`."""

from __future__ import annotations

from collections.abc import Callable
from typing import Annotated

from fastapi import APIRouter, Query
from sqlmodel import Session

from dispatcher import board
from dispatcher.models import Ticket
from dispatcher.states import TicketState
from dispatcher.text import digest
from web.schemas import Answer, Assign, CommentOut, EditTicket, NewComment, NewTicket, TicketDetail, TicketOut
from web.site import Here, Number, Site
from web.views import comment_out, ticket_detail, ticket_out, tickets_out

QUERY = "words in key, title or body, and qualifiers as in label:bug agent:coder state:review -is:closed key:WEB-1"

router = APIRouter(tags=["tickets"])

Limit = Annotated[int, Query(ge=1, le=1000)]
Offset = Number


@router.get("/tickets", summary="List tickets")
def list_tickets(  # noqa: PLR0917 - each is a field of the query
    site: Here,
    project: str | None = None,
    state: TicketState | None = None,
    agent: str | None = None,
    label: str | None = None,
    q: Annotated[str | None, Query(description=QUERY)] = None,
    limit: Limit = 200,
    offset: Offset = 0,
) -> list[TicketOut]:
    """The tickets that match, in the order of the board."""
    with site.database.reading() as db:
        rows = board.list_tickets(
            db, project=project, state=state, agent=agent, label=label, query=q, limit=limit, offset=offset
        )
        return tickets_out(db, rows)


@router.post("/tickets", summary="File a ticket", status_code=201)
def file_ticket(site: Here, body: NewTicket) -> TicketOut:
    """File a ticket, and assign it at once where an agent is given."""
    with site.database.transaction() as db:
        return ticket_out(db, board.file_ticket(db, **body.model_dump()))


@router.get("/tickets/{key}", summary="Show a ticket")
def get_ticket(site: Here, key: str) -> TicketDetail:
    """Everything that there is about a ticket, but its diff."""
    with site.database.reading() as db:
        return ticket_detail(db, board.get_ticket(db, key))


@router.patch("/tickets/{key}", summary="Edit a ticket")
def edit_ticket(site: Here, key: str, body: EditTicket) -> TicketOut:
    """Change what is given; a run under way keeps the prompt that it began with. With `was`, nobody's change is undone."""
    changes = body.model_dump(exclude_unset=True, exclude={"was"})
    seen = body.was.model_dump(exclude_none=True) if body.was else {}
    was = {field: digest(value) for field, value in seen.items()}
    return act(site, key, lambda db, ticket: board.edit_ticket(db, ticket, **changes, was=was))


@router.post("/tickets/{key}/assign", summary="Assign to an agent")
def assign(site: Here, key: str, body: Assign) -> TicketOut:
    """Queue a run of that agent; a blocked ticket is taken up again."""
    return act(site, key, lambda db, ticket: board.assign(db, ticket, body.agent))


@router.post("/tickets/{key}/withdraw", summary="Take back to the backlog")
def withdraw(site: Here, key: str) -> TicketOut:
    """Take a queued ticket back before its run begins."""
    return act(site, key, board.withdraw)


@router.post("/tickets/{key}/comment", summary="Comment", status_code=201)
def comment(site: Here, key: str, body: NewComment) -> CommentOut:
    """Say something; the next run reads it."""
    with site.database.transaction() as db:
        return comment_out(board.comment(db, board.get_ticket(db, key), **body.model_dump()))


@router.post("/tickets/{key}/answer", summary="Answer the blocker")
def answer(site: Here, key: str, body: Answer) -> TicketOut:
    """The same session goes on in the same workspace; an empty answer tries again. It may name the blocker that was seen."""
    return act(site, key, lambda db, ticket: board.answer(db, ticket, body.text, blocker_id=body.blocker))


@router.post("/tickets/{key}/accept", summary="Accept a blocked ticket as it is")
def accept(site: Here, key: str) -> TicketOut:
    """Take a blocked ticket with changes into review."""
    return act(site, key, board.accept)


@router.post("/tickets/{key}/cancel", summary="Cancel")
def cancel(site: Here, key: str) -> TicketOut:
    """Cancel an open ticket; a run under way is asked to stop."""
    return act(site, key, board.cancel)


@router.post("/tickets/{key}/reopen", summary="Reopen")
def reopen(site: Here, key: str) -> TicketOut:
    """Bring a closed ticket back to the backlog."""
    return act(site, key, board.reopen)


def act(site: Site, key: str, use_case: Callable[[Session, Ticket], object]) -> TicketOut:
    """Do a use case on a ticket as one transaction, and give the ticket as it is then."""
    with site.database.transaction() as db:
        ticket = board.get_ticket(db, key)
        use_case(db, ticket)
        return ticket_out(db, ticket)
