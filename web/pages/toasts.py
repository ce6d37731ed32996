"""Messages that an answer for htmx carries beside its parts; js/toasts.js shows them, with Undo where there is one.

Without scripts there is no such answer: a form leads to a page, which shows what has become of the ticket.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field

from web.render import render


@dataclass(frozen=True)
class Undo:
    """A form that takes back what was done: its address and fields."""

    url: str
    fields: Mapping[str, str] = field(default_factory=dict)


def toast(text: str, *, undo: Undo | None = None, hint: str = "", error: bool = False, words: str = "") -> str:
    """One message as HTML of a part that goes to #toasts: append it to what `render` gives, and answer both.

    `words` are what somebody had written, where there is no field for them any more.
    """
    return render("shell/toast.html", text=text, hint=hint, undo=undo, error=error, words=words, partial=True)
