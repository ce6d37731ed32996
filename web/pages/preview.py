"""What a text will look like: the Preview of every Markdown field."""

from __future__ import annotations

from fastapi import APIRouter
from markupsafe import Markup
from starlette.responses import HTMLResponse, Response

from dispatcher.board import BODY_LIMIT
from dispatcher.errors import Invalid
from web.markdown import markdown
from web.mentions import project_keys
from web.pages.forms import Fields
from web.site import Here

router = APIRouter()


@router.post("/preview")
def preview(site: Here, form: Fields) -> Response:
    """The field `text` as HTML; `project` is the key of the project whose numbers (#12) become links."""
    text = form.get("text", "")
    if len(text) > BODY_LIMIT:
        raise Invalid(f"the text has {len(text):,} characters; {BODY_LIMIT:,} is the limit", "shorten it", "text")
    if not text.strip():
        return HTMLResponse('<p class="quiet">Nothing to preview.</p>')
    with site.database.reading() as db:
        keys = project_keys(db)
    here = form.get("project", "")
    return HTMLResponse(Markup('<div class="md">{}</div>').format(markdown(text, keys, here if here in keys else "")))
