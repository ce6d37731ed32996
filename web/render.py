"""Pages: the Jinja2 environment, in which everything that a ticket, an agent or a repository wrote is inert.

Autoescape makes text of markup; `visible` turns into escapes what would steer a terminal, or turn the reading direction
and so show other code than there is. It is the environment's `finalize`: no template can forget it.
"""

from __future__ import annotations

import json
import re
from datetime import UTC, datetime
from functools import cache
from pathlib import Path
from typing import Any

from jinja2 import Environment, FileSystemLoader, StrictUndefined, Template, nodes
from markupsafe import Markup, escape
from starlette.responses import HTMLResponse

from adapters.decode import plain
from dispatcher.errors import NotFound
from dispatcher.search import order
from dispatcher.states import TICKET_STATES
from dispatcher.text import digest
from web import inert, shell
from web.ansi import pieces
from web.assets import modules, static
from web.markdown import line, markdown_filter
from web.who import me

visible = inert.visible

OUTPUT_CHARACTERS = 20_000
"""Of one output on a page; the whole is in the API."""

STATE_WORDS = {state: state.capitalize() for state in TICKET_STATES}


def output(text: str | None, limit: int = OUTPUT_CHARACTERS) -> str:
    """What a program printed: without ANSI colours, its end kept where it is too long."""
    shown = plain(text or "")
    left = len(shown) - limit
    return f"[{left:,} characters before this are left out]\n{shown[-limit:]}" if left > 0 else shown


def coloured(text: str | None, limit: int = OUTPUT_CHARACTERS) -> Markup:
    """What a program printed, with its colours as classes; its end is kept where it is too long."""
    text = text or ""
    left = len(text) - limit
    said = [Markup("[{} characters before this are left out]\n").format(f"{left:,}")] if left > 0 else []
    for style, part in pieces(text[-limit:]):
        shown = escape(visible(part))
        said.append(Markup('<span class="{}">{}</span>').format(style, shown) if style else shown)
    return Markup("").join(said)


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
    return _time(at, Markup("<time"))


def ago(at: datetime | None) -> Markup:
    """A time that the script shows as how long ago it was, with the time itself as its title."""
    return _time(at, Markup('<time class="ago"'))


def _time(at: datetime | None, tag: Markup) -> Markup:
    if at is None:
        return Markup("")
    utc = at.astimezone(UTC)
    return tag + Markup(' datetime="{}">{}</time>').format(utc.isoformat(timespec="seconds"), f"{utc:%Y-%m-%d %H:%M} UTC")


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
    if part is None:
        return _environment.get_template(template).render(context)
    first, *parents = _chain(template)
    scope = first.new_context(context)
    for parent in parents:  # as rendering the whole does for a template that extends others
        for name, block in parent.blocks.items():
            scope.blocks.setdefault(name, []).append(block)
    if part not in scope.blocks:
        raise NotFound(f"this page has no part {part!r}", "open the whole page", "part")
    return "".join(scope.blocks[part][0](scope))


@cache
def _chain(name: str) -> list[Template]:
    """A template and those that it extends."""
    loader = _environment.loader
    assert loader is not None
    extends = _environment.parse(loader.get_source(_environment, name)[0]).find(nodes.Extends)
    above = _chain(extends.template.as_const()) if extends is not None else []
    return [_environment.get_template(name), *above]


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
    environment.filters.update(
        output=output, span=span, count=count, when=when, ago=ago, pretty=pretty, digest=digest, order=order
    )
    environment.filters.update(markdown=markdown_filter, line=line, coloured=coloured)
    environment.globals.update(me=me, here=shell.here, waiting=shell.waiting, state_words=STATE_WORDS)
    environment.globals.update(static=static, modules=modules)
    # A part of a page is rendered without what stands before it in its template, so the macros are everywhere.
    environment.globals["m"] = environment.get_template("macros.html").module
    return environment


_environment = _make_environment()
