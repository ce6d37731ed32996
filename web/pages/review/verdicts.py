"""The three verdicts, by forms: approve, request changes, discard."""

from __future__ import annotations

from fastapi import APIRouter
from markupsafe import Markup
from starlette.responses import HTMLResponse, Response

from dispatcher.errors import DispatcherError
from web.api.review import approved, discarded, sent_back
from web.errors import problem_of
from web.pages.answers import changed
from web.pages.forms import Entered, Fields, Scripted, to
from web.pages.review.drafting import asked_of
from web.pages.review.viewing import parts, show_changes, show_discard
from web.pages.toasts import toast
from web.site import Here, Site

router = APIRouter()


@router.post("/tickets/{key}/approve")
def approve(site: Here, key: str, form: Fields, scripted: Scripted) -> Response:
    """Merge the branch, or offer it to GitHub."""
    try:
        ticket = approved(site, key, form.get("method") or None, form.get("message") or None, form.get("head") or None)
    except DispatcherError as error:
        return _refused(site, key, "approve", form, error, scripted=scripted)
    if ticket.state == "review":
        return _done(site, key, form, f"{ticket.key} is approved; its pull request is being opened", scripted=scripted)
    at = f" as {ticket.merged_sha[:10]}" if ticket.merged_sha else ""
    return _done(site, key, form, f"{ticket.key} is merged{at}", scripted=scripted)


@router.post("/tickets/{key}/changes")
def changes(site: Here, key: str, form: Fields, scripted: Scripted) -> Response:
    """Send the agent back, with the drafts."""
    head = form.get("head") or None
    try:
        ticket = sent_back(site, key, form.get("body", ""), [], with_drafts=form.get("drafts") == "1", head=head)
    except DispatcherError as error:
        return _refused(site, key, "changes", form, error, scripted=scripted)
    return _done(site, key, form, f"{ticket.key} goes back to {ticket.agent}", scripted=scripted)


@router.post("/tickets/{key}/discard")
def discard(site: Here, key: str, form: Fields) -> Response:
    """Remove branch and worktree, after the question."""
    try:
        discarded(site, key, form.get("confirm", ""))
    except DispatcherError as error:
        return show_discard(site, key, Entered(problem_of(error), "discard", form))
    return to(f"/tickets/{key}")


def _refused(site: Site, key: str, at: str, form: dict[str, str], error: DispatcherError, *, scripted: bool) -> Response:
    entered = Entered(problem_of(error), at, form)
    if not scripted:
        return show_changes(site, key, entered, asked=asked_of(form))
    shown = parts(site, key, asked_of(form), "verdict", entered=entered, renewed=True, seen=form.get("head", ""))
    return HTMLResponse(shown, entered.status)


def _done(site: Site, key: str, form: dict[str, str], words: str, *, scripted: bool) -> Response:
    if not scripted:
        return to(f"/tickets/{key}")
    shown = parts(site, key, asked_of(form), "verdict", "threads", renewed=True, seen=form.get("head", ""))
    return changed(site, key, renewed=("actions", "blocker"), also=shown + Markup(toast(words)))
