"""Pages: the Jinja2 environment, in which everything that a ticket, an agent or a repository wrote is inert.

Autoescape makes text of markup; `visible` turns into escapes what would steer a terminal, or turn the reading direction
and so show other code than there is. It is the environment's `finalize`: no template can forget it.
"""

from __future__ import annotations

import json
import re
import unicodedata
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from jinja2 import Environment, FileSystemLoader, StrictUndefined
from markupsafe import Markup
from starlette.responses import HTMLResponse

from adapters.decode import plain
from dispatcher.errors import NotFound
from dispatcher.states import TICKET_STATES
from web.assets import static

OUTPUT_CHARACTERS = 20_000
"""Of one output on a page; the whole is in the API."""

_HIDDEN = [
    *(code for code in range(0xA0) if unicodedata.category(chr(code)) == "Cc" and chr(code) not in "\n\t"),
    # Marks, embeddings, overrides and isolates of direction: https://trojansource.codes
    *(0x061C, 0x200E, 0x200F, *range(0x202A, 0x202F), *range(0x2066, 0x206A)),
]
_ESCAPES = {code: f"\\x{code:02x}" if code < 0x100 else f"\\u{code:04x}" for code in _HIDDEN}
_SURROGATES = re.compile("[\ud800-\udfff]")

STATE_WORDS = {state: state.capitalize() for state in TICKET_STATES}


def visible(text: str) -> str:
    """`text` with control characters and lone surrogates as escapes that can be seen; line ends and tabs stay."""
    text = text.replace("\r\n", "\n").translate(_ESCAPES)
    return _SURROGATES.sub(lambda match: f"\\u{ord(match[0]):04x}", text)


def output(text: str | None, limit: int = OUTPUT_CHARACTERS) -> str:
    """What a program printed: without ANSI colours, its end kept where it is too long."""
    shown = plain(text or "")
    left = len(shown) - limit
    return f"[{left:,} characters before this are left out]\n{shown[-limit:]}" if left > 0 else shown


def span(seconds: float | None) -> str:
    """A duration in words: "42 s", "3 min 5 s", "2 h 10 min"."""
    if seconds is None:
        return ""
    whole = round(seconds)
    if whole < 60:
        return f"{seconds:.1f} s" if seconds < 10 else f"{whole} s"
    minutes, rest = divmod(whole, 60)
    if minutes < 60:
        return f"{minutes} min {rest} s" if rest else f"{minutes} min"
    return f"{minutes // 60} h {minutes % 60} min"


def count(number: int | None) -> str:
    """A number of tokens: 950, 12.3k, 4.5M."""
    number = number or 0
    if number < 1000:
        return str(number)
    return f"{number / 1000:.1f}k" if number < 999_950 else f"{number / 1_000_000:.1f}M"


def when(at: datetime | None) -> Markup:
    """A time, in UTC for those without scripts; the script shows it in the reader's own zone."""
    if at is None:
        return Markup("")
    utc = at.astimezone(UTC)
    return Markup('<time datetime="{}">{}</time>').format(utc.isoformat(timespec="seconds"), f"{utc:%Y-%m-%d %H:%M} UTC")


def pretty(data: object) -> str:
    """Data as text: strings as they are, the rest as indented JSON."""
    return data if isinstance(data, str) else json.dumps(data, indent=2, ensure_ascii=False, default=str)


def snake(name: str) -> str:
    """MergeConflict as merge_conflict."""
    return re.sub(r"(?<=[a-z0-9])(?=[A-Z])", "_", name).lower()


def page(template: str, status: int = 200, /, part: str | None = None, **context: Any) -> HTMLResponse:
    """A page, or only that block of its template."""
    return HTMLResponse(render(template, part=part, **context), status)


def render(template: str, /, part: str | None = None, **context: Any) -> str:
    """A template as text, or only that block of it; raises `NotFound` where it has no such block."""
    found = _environment.get_template(template)
    if part is None:
        return found.render(context)
    block = found.blocks.get(part)
    if block is None:
        raise NotFound(f"this page has no part {part!r}", "open the whole page", "part")
    return "".join(block(found.new_context(context)))


def _finalize(value: Any) -> Any:
    return visible(value) if isinstance(value, str) and not isinstance(value, Markup) else value


def _make_environment() -> Environment:
    environment = Environment(
        loader=FileSystemLoader(Path(__file__).parent / "templates"),
        autoescape=True,
        undefined=StrictUndefined,
        finalize=_finalize,
        trim_blocks=True,
        lstrip_blocks=True,
        auto_reload=False,
    )
    environment.filters.update(output=output, span=span, count=count, when=when, pretty=pretty)
    environment.globals.update(state_words=STATE_WORDS, static=static)
    return environment


_environment = _make_environment()
