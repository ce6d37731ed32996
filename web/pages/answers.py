"""What htmx is answered after a form of a ticket's page: the parts that it changed, and a message."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

from markupsafe import Markup
from starlette.responses import HTMLResponse, Response

from web.pages.forms import NOTHING, Entered
from web.pages.frame import frame
from web.pages.story import story
from web.render import render
from web.site import Site

FRAME = ("head", "actions", "blocker")
"""Parts that every tab has."""


def changed(
    site: Site, key: str, entered: Entered = NOTHING, *, renewed: Iterable[str] = (), more: Iterable[str] = (), also: str = ""
) -> Response:
    """The frame's parts as they are now, and `more` parts of the conversation; with a refused form where there is one.

    `renewed` parts forget what was typed into them. `also` is a message, as HTML.
    """
    with site.database.reading() as db:
        row, context = frame(db, key)
        if "story" in more:
            context["story"] = story(db, row)
    context |= {"entered": entered, "tab": ""}
    parts = [_partial(name, context, anew=name in renewed) for name in (*FRAME, *more)]
    return HTMLResponse(Markup("").join([*parts, Markup(also)]), entered.status)


def _partial(name: str, context: dict[str, Any], *, anew: bool) -> Markup:
    """A part for htmx to put in the place of the same part: morphed, or as it is."""
    html = Markup(render("ticket/conversation.html", part=name, **context))
    how = "outerHTML" if anew else "outerMorph"
    return Markup('<hx-partial hx-target="#part-{}" hx-swap="{}">{}</hx-partial>').format(name, how, html)
