"""The inbox: all that waits for a person, to be answered in place."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any
from urllib.parse import urlencode

from fastapi import APIRouter
from sqlmodel import Session
from starlette.responses import HTMLResponse, Response

from dispatcher import activity, agents, board, inbox
from dispatcher.models import Ticket
from web.pages.forms import NOTHING, Fields, Scripted, blocker_of, do, to
from web.pages.toasts import toast
from web.pages.wrong import unknown_project
from web.render import page, render
from web.shell import PLACES
from web.site import Here, Site
from web.waiting import inbox_out

router = APIRouter(prefix=PLACES[0])

TEMPLATE = "shell/inbox.html"


@router.get("", name="inbox")
def inbox_page(site: Here, project: str = "", part: str | None = None) -> Response:
    """What waits, of one project or of all; its list alone as `?part=waiting`."""
    return page(TEMPLATE, part=part, entered=NOTHING, **_context(site, project))


@router.post("/{key}/answer")
def answer(site: Here, key: str, form: Fields, scripted: Scripted) -> Response:
    """Answer the blocker; an empty answer tries again."""
    text = form.get("text", "")
    words = "answered" if text.strip() else "tries again"
    return _done(
        site, key, form, scripted, lambda db, ticket: board.answer(db, ticket, text, blocker_id=blocker_of(form)), words
    )


@router.post("/{key}/accept")
def accept(site: Here, key: str, form: Fields, scripted: Scripted) -> Response:
    """Take a blocked ticket into review as it is."""
    return _done(site, key, form, scripted, board.accept, "taken into review")


@router.post("/{key}/assign")
def assign(site: Here, key: str, form: Fields, scripted: Scripted) -> Response:
    """Give a blocked ticket to another agent, which takes it up again."""
    agent = form.get("agent", "")
    return _done(site, key, form, scripted, lambda db, ticket: board.assign(db, ticket, agent), f"given to {agent}")


def _done(  # noqa: PLR0917 - what a form's handler has
    site: Site, key: str, form: dict[str, str], scripted: bool, use_case: Callable[[Session, Ticket], object], words: str
) -> Response:
    project = form.get("project", "")
    refused = do(site, key, key.upper(), form, use_case)
    if not scripted:
        if refused is None:
            return to(f"{PLACES[0]}?{urlencode({'project': project})}" if project else PLACES[0])
        return page(TEMPLATE, refused.status, entered=refused, **_context(site, project))
    entered = refused or NOTHING
    context = _context(site, project)
    if refused is None or not any(one.ticket.key == key.upper() for one in context["inbox"].blocked):
        # Refused, and no longer here: somebody was quicker, and there is no place for the problem but a message.
        gone = refused.problem if refused else None
        wrote = form.get("text", "").strip()
        message = toast(gone.message, hint=gone.hint, error=True, words=wrote) if gone else toast(f"{key.upper()} {words}")
        return HTMLResponse(render(TEMPLATE, part="waiting", entered=NOTHING, **context) + message)
    return page(TEMPLATE, entered.status, part="waiting", entered=entered, **context)


def _context(site: Site, project: str) -> dict[str, Any]:
    with site.database.reading() as db:
        # The cursor first: what happens while the rest is read, the page is then told of.
        cursor = activity.newest(db)
        known = inbox.count_projects(db)
        shown = project.strip().upper()
        wrong = [unknown_project(db, project, PLACES[0])] if shown and shown not in known else []
        shown = "" if wrong else shown
        return {
            "cursor": cursor,
            "project": shown,
            "asked": project[:100],
            "wrong": wrong,
            "projects": known,
            "inbox": inbox_out(db, shown or None),
            "agents": agents.list_agents(db),
        }
