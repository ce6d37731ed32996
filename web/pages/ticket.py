"""A ticket's page and what its forms do: one use case each, then back to the page."""

from __future__ import annotations

from collections.abc import Callable
from itertools import zip_longest
from typing import Any, NamedTuple
from urllib.parse import urlencode

from fastapi import APIRouter
from sqlmodel import Session, col, func, select
from starlette.responses import Response

from adapters.session import Item
from dispatcher import activity, agents, board, projects, review, runs, transcripts
from dispatcher.errors import DispatcherError, Invalid
from dispatcher.models import ItemRow, Run, SessionRow, Ticket
from dispatcher.states import LIVE_RUN
from web.api.review import approved, discarded
from web.diffs import sections
from web.errors import problem_of
from web.pages.board import filter_of, show_board
from web.pages.forms import NOTHING, Entered, Fields, do, to
from web.render import page
from web.schemas import RunOut, TicketDetail
from web.site import Here, Site
from web.views import ticket_detail

router = APIRouter()


ITEMS = 200
"""Items of a transcript on one page."""


class Transcript(NamedTuple):
    """A page of a run's items; `before` leads to the earlier ones."""

    run: RunOut
    items: list[dict[str, Any]]
    before: int | None
    newest: bool


@router.get("/tickets/{key}", name="ticket")
def ticket_page(site: Here, key: str, run: int | None = None, before: int | None = None) -> Response:
    """A ticket, with the transcript of its newest run, or of the run that is asked for."""
    return show_ticket(site, key, run_id=run, before=before)


@router.get("/tickets/{key}/discard", name="discard")
def discard_page(site: Here, key: str) -> Response:
    """Asks whether branch and worktree shall really go."""
    return show_discard(site, key)


def show_ticket(
    site: Site, key: str, entered: Entered = NOTHING, *, run_id: int | None = None, before: int | None = None
) -> Response:
    """A ticket's page, with a form that was refused where there is one."""
    with site.database.reading() as db:
        cursor = activity.newest(db)
        row = board.get_ticket(db, key)
        ticket = ticket_detail(db, row)
        context: dict[str, Any] = {
            "cursor": cursor,
            "ticket": ticket,
            "project": projects.get_project(db, ticket.project),
            "agents": agents.list_agents(db),
            "live": next((run for run in ticket.runs if run.state in LIVE_RUN), None),
            "story": _story(ticket),
            "transcript": _transcript(db, ticket, run_id, before),
            "changes": _changes(db, row, ticket),
        }
    return page("ticket/ticket.html", entered.status, entered=entered, **context)


def show_discard(site: Site, key: str, entered: Entered = NOTHING) -> Response:
    """The question before a discard."""
    with site.database.reading() as db:
        ticket = ticket_detail(db, board.get_ticket(db, key))
    return page("review/discard.html", entered.status, ticket=ticket, entered=entered)


def _story(ticket: TicketDetail) -> list[dict[str, Any]]:
    """Comments, blockers, verdicts and runs in one line of time."""
    entries = [
        *({"kind": "comment", "at": entry.created_at, "it": entry} for entry in ticket.comments),
        *({"kind": "blocker", "at": entry.created_at, "it": entry} for entry in ticket.blockers),
        *({"kind": "review", "at": entry.created_at, "it": entry} for entry in ticket.reviews),
        *({"kind": "run", "at": entry.created_at, "it": entry} for entry in ticket.runs),
    ]
    return sorted(entries, key=lambda entry: entry["at"])


def _transcript(db: Session, ticket: TicketDetail, run_id: int | None, before: int | None) -> Transcript | None:
    wanted = next((run for run in ticket.runs if run.id == run_id), None) or (ticket.runs[0] if ticket.runs else None)
    if wanted is None:
        return None
    end = _end(db, runs.get_run(db, wanted.id))
    until = end if before is None else max(0, min(before, end))
    begin = max(0, until - ITEMS)
    items = transcripts.items_after(db, runs.get_run(db, wanted.id), begin - 1, until - begin) if until else []
    first = items[0]["seq"] if items else 0
    # Items leave out what they do not use; templates may name it all the same.
    whole = [dict.fromkeys(Item.model_fields) | item for item in items]
    return Transcript(wanted, whole, begin if begin and first else None, until == end)


def _end(db: Session, run: Run) -> int:
    """The `seq` behind the last item of the run's own session."""
    query = (
        select(func.max(ItemRow.seq))
        .join(SessionRow, col(ItemRow.session_id) == col(SessionRow.id))
        .where(SessionRow.run_id == run.id, col(SessionRow.parent_id).is_(None))
    )
    last = db.exec(query).first()
    return 0 if last is None else last + 1


def _changes(db: Session, row: Ticket, ticket: TicketDetail) -> dict[str, Any] | None:
    """The ticket's diff, ready for the page; None where it has none yet."""
    place = ticket.workspace
    if place is None or place.head_sha == place.base_sha:
        return None
    try:
        diff = review.diff(db, row)
    except DispatcherError as error:
        return {"diff": None, "files": [], "error": error}
    # Files and text come from the same walk of git's, in the same order; a text that was cut ends before the files do.
    return {"diff": diff, "files": list(zip_longest(diff.files, sections(diff.text)[: len(diff.files)])), "error": None}


@router.post("/tickets/{key}/assign")
def assign(site: Here, key: str, form: Fields) -> Response:
    """Assign to an agent; from the board, back to the board."""
    back = form.get("back") == "board"

    def refused(entered: Entered) -> Response:
        return show_board(site, filter_of(form), entered) if back else show_ticket(site, key, entered)

    if (wrong := do(site, key, "assign", form, lambda db, ticket: board.assign(db, ticket, form.get("agent", "")))) is not None:
        return refused(wrong)
    query = urlencode({name: form[name] for name in ("project", "q") if form.get(name)})
    return to(f"/?{query}" if back else f"/tickets/{key}")


@router.post("/tickets/{key}/withdraw")
def withdraw(site: Here, key: str, form: Fields) -> Response:
    """Back to the backlog."""
    return _act(site, key, "withdraw", form, board.withdraw)


@router.post("/tickets/{key}/comment")
def comment(site: Here, key: str, form: Fields) -> Response:
    """Say something, on a line of the diff where one is given."""

    def say(db: Session, ticket: Ticket) -> None:
        path, line = form.get("path") or None, _line(form.get("line", ""))
        board.comment(db, ticket, form.get("body", ""), path=path, line=line if path else None)

    return _act(site, key, form.get("at", "comment"), form, say)


@router.post("/tickets/{key}/answer")
def answer(site: Here, key: str, form: Fields) -> Response:
    """Answer the blocker."""
    return _act(site, key, "answer", form, lambda db, ticket: board.answer(db, ticket, form.get("text", "")))


@router.post("/tickets/{key}/accept")
def accept(site: Here, key: str, form: Fields) -> Response:
    """Take a blocked ticket into review as it is."""
    return _act(site, key, "accept", form, board.accept)


@router.post("/tickets/{key}/cancel")
def cancel(site: Here, key: str, form: Fields) -> Response:
    """Cancel the ticket."""
    return _act(site, key, "cancel", form, board.cancel)


@router.post("/tickets/{key}/reopen")
def reopen(site: Here, key: str, form: Fields) -> Response:
    """Reopen the ticket."""
    return _act(site, key, "reopen", form, board.reopen)


@router.post("/tickets/{key}/stop")
def stop(site: Here, key: str, form: Fields) -> Response:
    """Ask the ticket's run to stop."""

    def ask(db: Session, ticket: Ticket) -> None:
        run = runs.live_run(db, ticket)
        if run is not None:
            runs.request_stop(db, run)

    return _act(site, key, "stop", form, ask)


@router.post("/tickets/{key}/approve")
def approve(site: Here, key: str, form: Fields) -> Response:
    """Merge the branch."""
    try:
        approved(site, key, form.get("method") or None, form.get("message") or None, form.get("head") or None)
    except DispatcherError as error:
        return show_ticket(site, key, Entered(problem_of(error), "approve", form))
    return to(f"/tickets/{key}")


@router.post("/tickets/{key}/changes")
def changes(site: Here, key: str, form: Fields) -> Response:
    """Send the agent back."""
    return _act(site, key, "changes", form, lambda db, ticket: review.request_changes(db, ticket, form.get("body", "")))


@router.post("/tickets/{key}/discard")
def discard(site: Here, key: str, form: Fields) -> Response:
    """Remove branch and worktree, after the question."""
    try:
        discarded(site, key, form.get("confirm", ""))
    except DispatcherError as error:
        return show_discard(site, key, Entered(problem_of(error), "discard", form))
    return to(f"/tickets/{key}")


def _act(site: Site, key: str, at: str, form: dict[str, str], use_case: Callable[[Session, Ticket], object]) -> Response:
    wrong = do(site, key, at, form, use_case)
    return show_ticket(site, key, wrong) if wrong else to(f"/tickets/{key}")


def _line(text: str) -> int | None:
    text = text.strip()
    if not text:
        return None
    if not text.isascii() or not text.isdigit() or not int(text[:10]) > 0:
        raise Invalid(f"{text[:20]!r} is no line number", "give the number at the line, as in 12", "line")
    return int(text[:10])
