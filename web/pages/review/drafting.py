"""What a reviewer keeps until the verdict: drafts of comments on lines, marks of the files that were viewed."""

from __future__ import annotations

from fastapi import APIRouter
from pydantic import ValidationError
from starlette.responses import HTMLResponse, Response

from dispatcher import board, drafts
from dispatcher.errors import DispatcherError, Invalid
from dispatcher.remarks import LineComment
from web.errors import problem_of
from web.pages.forms import Entered, Fields, Scripted, to
from web.pages.review.model import Asked
from web.pages.review.viewing import parts, show_changes
from web.render import page
from web.site import Here, Number, Site

router = APIRouter()


@router.post("/tickets/{key}/drafts")
def save(site: Here, key: str, form: Fields, scripted: Scripted) -> Response:
    """Keep a comment on lines until the verdict, or say it at once."""
    try:
        comment = comment_of(form)
        if form.get("now"):
            drafts.say_now(site.database, key, comment)
        else:
            drafts.save_draft(site.database, key, comment)
    except DispatcherError as error:
        return _refused(site, key, form, error, scripted=scripted)
    return _changed(site, key, form, scripted=scripted)


@router.post("/tickets/{key}/drafts/{number}")
def edit(site: Here, key: str, number: Number, form: Fields, *, scripted: Scripted) -> Response:
    """Say it otherwise, or take it back."""
    try:
        with site.database.transaction() as db:
            ticket = board.get_ticket(db, key)
            if form.get("delete"):
                drafts.delete_draft(db, ticket, number)
            else:
                drafts.edit_draft(db, ticket, number, form.get("body", ""))
    except DispatcherError as error:
        return _refused(site, key, form, error, scripted=scripted)
    return _changed(site, key, form, scripted=scripted)


@router.post("/tickets/{key}/viewed")
def viewed(site: Here, key: str, form: Fields, scripted: Scripted) -> Response:
    """Mark a file as viewed, or as not."""
    name = form.get("file", "")
    try:
        drafts.set_viewed(site.database, key, name, form.get("viewed") == "1", form.get("blob") or None)
    except DispatcherError as error:
        return _refused(site, key, form, error, scripted=scripted)
    if scripted:
        return HTMLResponse(parts(site, key, asked_of(form), "progress"))
    return to(f"{asked_of(form).url(key)}#f-{name}")


def comment_of(form: dict[str, str]) -> LineComment:
    """The comment that a form has; raises `Invalid`."""
    side = form.get("side", "new")
    try:
        return LineComment(
            path=form.get("path", ""),
            line=_number(form, "line"),
            start_line=_number(form, "start_line"),
            side="old" if side == "old" else "new",
            body=form.get("body", ""),
        )
    except ValidationError as error:
        first = error.errors()[0]
        field = str(first["loc"][0]) if first["loc"] else "start_line"
        if field == "body":
            raise Invalid("the comment is empty", "write what the agent should know", "body") from error
        told = {"path": "choose a file that the diff has"}.get(field, "the first line of several stands before the last")
        raise Invalid(f"{field.replace('_', ' ')} cannot be taken", told, field) from error


def asked_of(form: dict[str, str]) -> Asked:
    """What of the changes the page showed that sent the form."""
    return Asked(form.get("since", "")[:100], form.get("until", "")[:100], form.get("w") == "1", form.get("all") == "1")


def _number(form: dict[str, str], name: str) -> int | None:
    text = form.get(name, "").strip()
    if not text:
        return None
    if not text.isascii() or not text.isdigit() or not 0 < int(text[:10]) < 2**31:
        raise Invalid(f"{text[:20]!r} is no line number", "give the number at the line, as in 12", name)
    return int(text[:10])


def _refused(site: Site, key: str, form: dict[str, str], error: DispatcherError, *, scripted: bool) -> Response:
    entered = Entered(problem_of(error), form.get("at", "line"), form)
    if scripted:
        return page("review/problem.html", entered.status, entered=entered)
    return show_changes(site, key, entered, asked=asked_of(form))


def _changed(site: Site, key: str, form: dict[str, str], *, scripted: bool) -> Response:
    if scripted:
        return HTMLResponse(parts(site, key, asked_of(form), "threads", "pending", "progress"))
    return to(f"{asked_of(form).url(key)}#part-threads")
