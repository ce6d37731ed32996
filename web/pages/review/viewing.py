"""The page of a ticket's changes, whole or by its parts."""

from __future__ import annotations

from typing import Annotated, Any

from fastapi import APIRouter, Query
from markupsafe import Markup
from starlette.responses import Response

from dispatcher import board
from dispatcher.github import pulls
from web.pages.forms import NOTHING, Entered
from web.pages.frame import frame
from web.pages.review.model import Asked, fill, gather
from web.render import page, render
from web.site import Here, Site
from web.views import ticket_detail

router = APIRouter()

Point = Annotated[str, Query(max_length=100)]


@router.get("/tickets/{key}/changes", name="changes")
def changes_page(
    site: Here,
    key: str,
    *,
    since: Point = "",
    until: Point = "",
    w: bool = False,
    all: bool = False,
    seen: Point = "",
    part: str | None = None,
) -> Response:
    """What the branch changes; `seen` is the head that is on the reader's screen."""
    return show_changes(site, key, asked=Asked(since, until, w, all), part=part, seen=seen)


@router.get("/tickets/{key}/discard", name="discard")
def discard_page(site: Here, key: str) -> Response:
    """Asks whether branch and worktree shall really go."""
    return show_discard(site, key)


def show_changes(
    site: Site, key: str, entered: Entered = NOTHING, *, asked: Asked | None = None, part: str | None = None, seen: str = ""
) -> Response:
    """The review, with a form that was refused where there is one."""
    context = changes_context(site, key, asked or Asked(), part=part)
    status = entered if entered.problem or not context["view"] else Entered(context["view"].problem)
    context["entered"] = entered
    return page(
        "review/changes.html", status.status, part=part, tab="changes", pane=part == "pane", seen=seen or None, **context
    )


def show_discard(site: Site, key: str, entered: Entered = NOTHING) -> Response:
    """The question before a discard."""
    with site.database.reading() as db:
        ticket = ticket_detail(db, board.get_ticket(db, key))
    return page("review/discard.html", entered.status, ticket=ticket, entered=entered)


def changes_context(site: Site, key: str, asked: Asked, *, part: str | None = None) -> dict[str, Any]:
    """What the templates of a review are given; git is read after the transaction."""
    with site.database.reading() as db:
        row, context = frame(db, key)
        rows = gather(db, row)
        offered = pulls.offered_to(db, row)
    view = fill(rows, asked, foresee=part not in ("moved", "threads", "progress"))
    return context | {"view": view, "asked": asked, "offered_to": offered}


def parts(
    site: Site, key: str, asked: Asked, *names: str, entered: Entered = NOTHING, renewed: bool = False, seen: str = ""
) -> Markup:
    """Parts of the page now, for htmx; `renewed` ones forget what was typed, `seen` is the head that the page shows."""
    context = changes_context(site, key, asked) | {"entered": entered, "seen": seen or None, "tab": "changes", "pane": False}
    how = "outerHTML" if renewed else "outerMorph"
    if context["ticket"].state != "review":  # the form that they go with is not there
        names = tuple(name for name in names if name != "pending")
    made = (
        Markup('<hx-partial hx-target="#part-{}" hx-swap="{}">{}</hx-partial>').format(
            name, how, Markup(render("review/changes.html", part=name, **context))
        )
        for name in names
    )
    return Markup("").join(made)
