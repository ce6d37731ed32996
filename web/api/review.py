"""API: the review of a ticket: its diff, and the verdicts."""

from __future__ import annotations

from typing import Annotated, Literal

from fastapi import APIRouter, Header
from starlette.responses import Response

from dispatcher import board, review
from dispatcher.changes import Diff
from dispatcher.errors import Invalid
from dispatcher.models import Ticket
from web.api.tickets import act
from web.schemas import Approve, Changes, Discard, TicketOut
from web.site import Here, Site
from web.views import ticket_out

router = APIRouter(tags=["review"])

DIFF = "text/x-diff"


@router.get(
    "/tickets/{key}/diff",
    summary="A ticket's diff",
    response_model=Diff,
    responses={200: {"content": {DIFF: {}}, "description": "The diff; as plain text for `Accept: text/x-diff`."}},
)
def get_diff(
    site: Here, key: str, format: Literal["json", "text"] = "json", accept: Annotated[str, Header()] = ""
) -> Diff | Response:
    """What the branch changes since it left its target, by the object database."""
    with site.database.reading() as db:
        diff = review.diff(db, board.get_ticket(db, key))
    if format == "text" or DIFF in accept:
        return Response(diff.text.encode("utf-8", "surrogateescape"), media_type=f"{DIFF}; charset=utf-8")
    return diff


@router.post("/tickets/{key}/approve", summary="Approve and merge")
def approve(site: Here, key: str, body: Approve) -> TicketOut:
    """Merge the branch into its target; a conflict blocks the ticket and names the files."""
    return approved(site, key, **body.model_dump())


@router.post("/tickets/{key}/changes", summary="Request changes")
def request_changes(site: Here, key: str, body: Changes) -> TicketOut:
    """Queue another run in the same workspace, with the comments in its prompt."""
    return act(site, key, lambda db, ticket: review.request_changes(db, ticket, body.body, body.comments))


@router.post("/tickets/{key}/discard", summary="Discard branch and worktree")
def discard(site: Here, key: str, body: Discard) -> TicketOut:
    """Remove what the agent did; `confirm` is the ticket's key again."""
    return discarded(site, key, body.confirm)


def approved(site: Site, key: str, method: str | None, message: str | None, head: str | None) -> TicketOut:
    """Approve a ticket, and give it as it is then. No transaction spans the merge: `review` makes its own."""
    return _shown(site, review.approve(site.database, key, method=method, message=message, head=head))


def discarded(site: Site, key: str, confirm: str) -> TicketOut:
    """Discard a ticket's work where `confirm` is its key, and give it as it is then."""
    with site.database.reading() as db:
        ticket = board.get_ticket(db, key)
    if confirm.strip().upper() != ticket.key:
        raise Invalid("the discard was not confirmed", f"confirm it with the ticket's key: {ticket.key}", "confirm")
    return _shown(site, review.discard(site.database, ticket.key))


def _shown(site: Site, ticket: Ticket) -> TicketOut:
    with site.database.reading() as db:
        return ticket_out(db, ticket)
