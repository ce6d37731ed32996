"""What the buttons of a ticket's page do: one use case each, then back to the page; dangerous ones ask first."""

from __future__ import annotations

from collections.abc import Callable

from fastapi import APIRouter, Request
from sqlmodel import Session
from starlette.responses import Response

from dispatcher import board, runs
from dispatcher.errors import Conflict
from dispatcher.models import Ticket
from web.pages.answers import changed
from web.pages.filters import sent_from
from web.pages.forms import NOTHING, Entered, Fields, Scripted, do, to
from web.pages.frame import frame
from web.pages.ticket import after
from web.pages.toasts import Undo, toast
from web.render import page
from web.site import Here, Site

router = APIRouter()


@router.get("/tickets/{key}/cancel", name="cancel")
def cancel_page(site: Here, key: str, part: str | None = None) -> Response:
    """Asks whether the ticket shall really be cancelled."""
    return _ask(site, key, part=part)


@router.post("/tickets/{key}/cancel")
def cancel(site: Here, key: str, form: Fields, scripted: Scripted) -> Response:
    """Cancel the ticket."""
    undo = Undo(f"/tickets/{key}/reopen")
    return _act(site, key, "cancel", form, board.cancel, scripted, f"{key.upper()} is cancelled", undo)


@router.post("/tickets/{key}/assign")
def assign(request: Request, site: Here, key: str, form: Fields, scripted: Scripted) -> Response:
    """Assign to an agent; from the board, back to the board."""
    agent = form.get("agent", "")
    wrong = do(site, key, "assign", form, lambda db, ticket: board.assign(db, ticket, agent))
    if scripted:
        also = "" if wrong else toast(f"{key.upper()} assigned to {agent}", undo=Undo(f"/tickets/{key}/withdraw"))
        return changed(site, key, wrong or NOTHING, renewed=() if wrong else ("actions",), also=also)
    if "back" in form and not wrong:
        return to(sent_from(request, form).address())
    return after(site, key, wrong)


@router.post("/tickets/{key}/withdraw")
def withdraw(site: Here, key: str, form: Fields, scripted: Scripted) -> Response:
    """Back to the backlog."""
    return _act(site, key, "withdraw", form, board.withdraw, scripted, f"{key.upper()} is back in the backlog")


@router.post("/tickets/{key}/accept")
def accept(site: Here, key: str, form: Fields, scripted: Scripted) -> Response:
    """Take a blocked ticket into review as it is."""
    return _act(site, key, "accept", form, board.accept, scripted, f"{key.upper()} is in review")


@router.post("/tickets/{key}/reopen")
def reopen(site: Here, key: str, form: Fields, scripted: Scripted) -> Response:
    """Reopen the ticket."""
    return _act(site, key, "reopen", form, board.reopen, scripted, f"{key.upper()} is back in the backlog")


@router.post("/tickets/{key}/stop")
def stop(site: Here, key: str, form: Fields, scripted: Scripted) -> Response:
    """Ask the ticket's run to stop."""

    def ask(db: Session, ticket: Ticket) -> None:
        run = runs.live_run(db, ticket)
        if run is None:
            raise Conflict(f"{ticket.key} has no run under way", "there is nothing to stop")
        runs.request_stop(db, run)

    return _act(site, key, "stop", form, ask, scripted, f"{key.upper()} is asked to stop")


def _ask(site: Site, key: str, entered: Entered = NOTHING, *, part: str | None = None) -> Response:
    with site.database.reading() as db:
        _, context = frame(db, key)
    offer = next((one for one in context["offers"] if one.name == "cancel"), None)
    return page("ticket/cancel.html", entered.status, part=part, offer=offer, entered=entered, **context)


def _act(  # noqa: PLR0917 - what every action has
    site: Site,
    key: str,
    at: str,
    form: dict[str, str],
    use_case: Callable[[Session, Ticket], object],
    scripted: bool,
    words: str,
    undo: Undo | None = None,
) -> Response:
    wrong = do(site, key, at, form, use_case)
    if scripted:
        return changed(site, key, wrong or NOTHING, also="" if wrong else toast(words, undo=undo))
    return after(site, key, wrong)
