"""A ticket's page: its first tab, the conversation, and what is said there: comments, answers, better words."""

from __future__ import annotations

from fastapi import APIRouter
from sqlmodel import Session
from starlette.responses import Response

from dispatcher import board, search
from dispatcher.errors import Conflict, Invalid
from dispatcher.models import Ticket
from web.pages.answers import FRAME, changed
from web.pages.forms import NOTHING, Entered, Fields, Scripted, blocker_of, do, to
from web.pages.frame import frame, show
from web.pages.review import show_changes
from web.pages.story import story
from web.pages.toasts import toast
from web.site import Here, Site

router = APIRouter()

LABELS = 12
"""Of those in use, as many are named where labels are edited."""
WHOLE = (None, "pane")


@router.get("/tickets/{key}", name="ticket")
def ticket_page(site: Here, key: str, part: str | None = None, all: bool = False) -> Response:
    """The conversation on a ticket, `all` of it or the newest."""
    return show_ticket(site, key, part=part, everything=all)


def show_ticket(
    site: Site, key: str, entered: Entered = NOTHING, *, part: str | None = None, everything: bool = False
) -> Response:
    """The conversation, with a form that was refused where there is one."""
    with site.database.reading() as db:
        row, context = frame(db, key)
        if part not in FRAME:
            context["story"] = story(db, row, everything=everything)
        if part in WHOLE:
            context["labels"] = search.labels_in_use(db, context["project_key"])[:LABELS]
    return show("ticket/conversation.html", "", context, entered, part)


def after(site: Site, key: str, wrong: Entered | None) -> Response:
    """The answer to a form of a ticket's page without scripts: back to the page, or the page with what was refused."""
    return show_ticket(site, key, wrong) if wrong else to(f"/tickets/{key}")


@router.post("/tickets/{key}/edit")
def edit(site: Here, key: str, form: Fields, scripted: Scripted) -> Response:
    """Change title, description or labels: those that the form has."""
    at = form.get("at", "edit")

    def change(db: Session, ticket: Ticket) -> None:
        labels = [label.strip() for label in form["labels"].split(",")] if "labels" in form else None
        kept = None if labels is None else [label for label in labels if label]
        was: dict[str, str] = {field: form["was"] for field in ("title", "body", "labels") if field in form and "was" in form}
        try:
            board.edit_ticket(db, ticket, title=form.get("title"), body=form.get("body"), labels=kept, was=was)
        except Conflict as error:
            if error.field != "body":
                raise
            hint = "what you wrote is kept here, and the other text stands above; to replace it, save again"
            raise Conflict(error.message, hint, error.field) from error

    wrong = do(site, key, at, form, change)
    if not scripted:
        return after(site, key, wrong)
    more = ("story",) if at == "body" else ()
    return changed(site, key, wrong or NOTHING, more=more, renewed=() if wrong else ("head", "story"))


@router.post("/tickets/{key}/comment")
def comment(site: Here, key: str, form: Fields, scripted: Scripted) -> Response:
    """Say something, on a line of the diff where one is given."""

    def say(db: Session, ticket: Ticket) -> None:
        path, line = form.get("path") or None, _line(form.get("line", ""))
        board.comment(db, ticket, form.get("body", ""), path=path, line=line if path else None)

    at = form.get("at", "comment")
    wrong = do(site, key, at, form, say)
    if at == "line":
        return show_changes(site, key, wrong) if wrong else to(f"/tickets/{key}")
    if scripted:
        return changed(site, key, wrong or NOTHING, more=("story", "say"), renewed=() if wrong else ("say",))
    return after(site, key, wrong)


@router.post("/tickets/{key}/answer")
def answer(site: Here, key: str, form: Fields, scripted: Scripted) -> Response:
    """Answer the blocker; the ticket's agent goes on, or the one that is chosen."""
    agent = form.get("agent") or None
    wrong = do(
        site,
        key,
        "answer",
        form,
        lambda db, ticket: board.answer(db, ticket, form.get("text", ""), agent=agent, blocker_id=blocker_of(form)),
    )
    if not scripted:
        return after(site, key, wrong)
    if wrong:
        return changed(site, key, wrong)
    return changed(site, key, renewed=("blocker",), also=toast(f"{key.upper()} goes on with your answer"))


def _line(text: str) -> int | None:
    text = text.strip()
    if not text:
        return None
    if not text.isascii() or not text.isdigit() or not int(text[:10]) > 0:
        raise Invalid(f"{text[:20]!r} is no line number", "give the number at the line, as in 12", "line")
    return int(text[:10])
