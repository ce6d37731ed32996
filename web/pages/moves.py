"""Moving a ticket: what can be done with it, what that will do, and doing it; by its menu, by key and by drag alike."""

from __future__ import annotations

from typing import Any

from fastapi import APIRouter, Request
from sqlmodel import Session
from starlette.responses import HTMLResponse, Response

from dispatcher import agents, board, moves, ordering, review, search
from dispatcher.errors import Conflict, DispatcherError, Invalid
from dispatcher.github import pulls
from dispatcher.merging import METHODS
from dispatcher.models import Agent, Project, Ticket
from dispatcher.moves import Move
from web.errors import problem_of
from web.pages.filters import sent_from
from web.pages.forms import NOTHING, Entered, Fields, Scripted, blocker_of, to
from web.pages.toasts import Undo, toast
from web.render import page
from web.site import Here, Site
from web.views import ticket_detail

router = APIRouter()

_SAID = {
    "assign": "{key} assigned to {agent}",
    "withdraw": "{key} is back in the backlog",
    "answer": "{key} goes on with {agent}",
    "accept": "{key} is in review as it is",
    "change": "{key} goes back to {agent}",
    "merge": "{key} is merged",
    "cancel": "{key} is cancelled",
    "reopen": "{key} is back in the backlog",
}


@router.get("/tickets/{key}/move", name="move")
def move_page(request: Request, site: Here, key: str, part: str | None = None) -> Response:
    """What can be done with a ticket; with `to` in the address the one move there, and what it needs."""
    return _show(site, key, dict(request.query_params), part=part, back=sent_from(request, request.query_params).query())


@router.post("/tickets/{key}/move")
def move_ticket(request: Request, site: Here, key: str, form: Fields, scripted: Scripted) -> Response:
    """Move it to the column `to`, and there below the ticket `after` or above the ticket `before`."""
    shown = sent_from(request, form)
    try:
        words, undo = _merged(site, key, form) if form.get("to") == "done" else _moved(site, key, form)
    except DispatcherError as error:
        entered = Entered(problem_of(error), "move", form)
        return _show(site, key, form, entered, part="move" if scripted else None, back=shown.query())
    if not scripted:
        return to(shown.address())
    return HTMLResponse(toast(words, undo=undo))


def _moved(site: Site, key: str, form: dict[str, str]) -> tuple[str, Undo | None]:
    """Do a move as one transaction; what to say, and what undoes it."""
    target, after, before = form.get("to", ""), form.get("after"), form.get("before")
    with site.database.transaction() as db:
        ticket = board.get_ticket(db, key)
        above, below = ordering.neighbours(db, ticket)
        url, old = f"/tickets/{ticket.key}/move", {"after": above or "", "before": below or ""}
        if target == ticket.state and target not in search.CLOSED:
            ordering.place(db, ticket, after=after, before=before)
            return f"{ticket.key} moved within its column", Undo(url, {"to": target, **old}) if above or below else None
        move = _allowed(ticket, target)
        agent = _agent(db, ticket)
        _do(db, ticket, move, form)
        if (after or before) and target not in search.CLOSED:
            ordering.place(db, ticket, after=after, before=before)
        words = _SAID[move.trigger].format(key=ticket.key, agent=_agent(db, ticket))
    if move.undo is None:
        return words, None
    return words, Undo(url, {"to": move.undo, **old, **({"agent": agent} if move.trigger == "withdraw" else {})})


def _allowed(ticket: Ticket, target: str) -> Move:
    move = moves.move_of(ticket.state, target)
    if move is None:
        raise Conflict(
            f"{ticket.key} is {ticket.state} and cannot be moved to {target or 'nowhere'}", moves.refusal(ticket.state, target)
        )
    return move


def _do(db: Session, ticket: Ticket, move: Move, form: dict[str, str]) -> None:
    if move.needs == "confirm" and form.get("confirm") != "yes":
        raise Invalid(f"moving {ticket.key} to {move.target} was not confirmed", move.says, "confirm")
    if move.trigger == "assign":
        board.assign(db, ticket, form.get("agent") or _only_agent(db, ticket))
    elif move.trigger == "answer":
        board.answer(db, ticket, form.get("text", ""), agent=form.get("agent") or None, blocker_id=blocker_of(form))
    elif move.trigger == "change":
        review.request_changes(db, ticket, form.get("text", ""))
    else:
        plain = {"withdraw": board.withdraw, "accept": board.accept, "cancel": board.cancel, "reopen": board.reopen}
        plain[move.trigger](db, ticket)


def _only_agent(db: Session, ticket: Ticket) -> str:
    """The ticket's own agent, or the only one that there is."""
    offered = [agent.name for agent in agents.list_agents(db)]
    own = _agent(db, ticket)
    if own in offered:
        return own
    if len(offered) == 1:
        return offered[0]
    hint = "choose one" if offered else "add an agent first: dispatcher agent add"
    raise Invalid(f"{ticket.key} needs an agent", hint, "agent")


def _agent(db: Session, ticket: Ticket) -> str:
    agent = db.get(Agent, ticket.agent_id) if ticket.agent_id is not None else None
    return agent.name if agent is not None else ""


def _merged(site: Site, key: str, form: dict[str, str]) -> tuple[str, Undo | None]:
    """Approve and merge, which makes transactions of its own."""
    with site.database.reading() as db:
        ticket = board.get_ticket(db, key)
        _allowed(ticket, "done")
    if form.get("confirm") != "yes":
        raise Invalid(f"the merge of {ticket.key} was not confirmed", "look at what it will do, then confirm it", "confirm")
    ticket = review.approve(
        site.database,
        key,
        method=form.get("method") or None,
        message=form.get("text") or None,
        head=form.get("head") or None,
    )
    said = _SAID["merge"] if ticket.state == "done" else "{key} is approved; its pull request is being opened"
    return said.format(key=ticket.key), None


def _show(site: Site, key: str, given: dict[str, str], entered: Entered = NOTHING, *, part: str | None, back: str) -> Response:
    """The page, or the part of it that a dialog shows."""
    with site.database.reading() as db:
        row = board.get_ticket(db, key)
        ticket = ticket_detail(db, row)
        above, below = ordering.neighbours(db, row)
        context: dict[str, Any] = {
            "ticket": ticket,
            "offered_to": pulls.offered_to(db, row),
            "project": db.get_one(Project, row.project_id),
            "agents": agents.list_agents(db),
            "moves": [move for move in moves.moves_from(row.state) if _useful(move, ticket)],
            "move": moves.move_of(row.state, given.get("to", "")),
            "place": {name: given.get(name, "") for name in ("after", "before")},
            "above": above,
            "below": below,
        }
    return page(
        "board/move.html", entered.status, part=part, entered=entered, given=given, back=back, methods=METHODS, **context
    )


def _useful(move: Move, ticket: Any) -> bool:
    """Accepting is offered where there is something to accept."""
    place = ticket.workspace
    return move.trigger != "accept" or (place is not None and place.head_sha != place.base_sha)
