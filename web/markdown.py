"""Markdown that people and agents wrote, as HTML in which nothing of theirs acts.

Two belts. The parser takes no HTML at all, makes a link of an image, and a link only to where a browser may go; then a
sanitiser lets through the few tags and attributes that are left. Neither ids nor free classes come out, so that a text can
take no place of the page's own.

An agent reads the source, so what the usual rendering leaves out is shown: control and bidirectional characters (before, in
the source, and after, since entities and percent signs bring them back), comments, titles of links, words behind the language
of a code block, definitions of references, and what is nested too deep.
"""

from __future__ import annotations

import re
from collections.abc import Set as AbstractSet
from functools import lru_cache
from typing import Any

import nh3
from jinja2 import pass_context
from jinja2.runtime import Context
from markdown_it import MarkdownIt
from markdown_it.rules_core import StateCore
from markdown_it.token import Token
from markupsafe import Markup

from web.inert import visible
from web.inlines import follows, inline

LIMIT = 50_000
"""Characters that are read as Markdown; what follows is shown as it is written."""
PLAIN_LIMIT = 400_000
"""Characters that are shown at all."""
KEPT = 8_000
"""Characters of the longest text whose HTML is kept."""
DEEPEST = 6
"""Of the headings."""
NESTING = 20
"""Lists in quotes in lists: the parser leaves out what lies deeper, so that such a text is shown as it is written."""

TAGS = {
    *("p", "br", "hr", "h3", "h4", "h5", "h6", "em", "strong", "s", "code", "pre", "blockquote", "a", "span"),
    *("ul", "ol", "li", "div", "table", "thead", "tbody", "tr", "th", "td"),
}
_LANGUAGE = re.compile(r"language-[\w+#.-]{1,30}", re.ASCII)
_OURS = re.compile(r"/tickets/[A-Z][A-Z0-9]{1,9}-[1-9][0-9]{0,8}", re.ASCII)
_SIDED = ("bullet_list_open", "ordered_list_open", "blockquote_open")
"""Blocks with a mark on one side: it stands where their text begins, also when that is read from the right."""
_TASK = re.compile(r"\[([ xX])\](?=\s)")


def markdown(text: str, keys: AbstractSet[str] = frozenset(), here: str = "") -> Markup:
    """`text` as HTML that may stand in a page as it is.

    Ticket keys of the projects `keys` become links, and so do numbers like #12 of the project `here`.
    """
    if len(text) <= KEPT:
        return _kept(text, frozenset(keys), here)
    return _make(text, frozenset(keys), here)


@pass_context
def markdown_filter(context: Context, text: str) -> Markup:
    """`markdown` for templates: `project_keys` and `project_key` of their context say what becomes a link."""
    return markdown(text, context.get("project_keys") or frozenset(), context.get("project_key") or "")


def line(text: str) -> Markup:
    """A line of a text, as cards and lists show it: code between backticks is code, everything else stays as it was typed."""
    made: str = _line_parser.renderInline(visible(text))
    return Markup(made)


@lru_cache(maxsize=512)
def _kept(text: str, keys: frozenset[str], here: str) -> Markup:
    return _make(text, keys, here)


def _make(text: str, keys: frozenset[str], here: str) -> Markup:
    text = visible(text)
    head, rest = _cut(text, LIMIT)
    env: dict[str, Any] = {"keys": keys, "here": here, "deep": False}
    html = _parser.render(head, env)
    if env["deep"]:
        return _plain("", text)
    made = Markup(visible(_cleaner.clean(html))) + _references(env)
    return made + _plain("The text is long; from here on it stands as it was written.", rest) if rest else made


def _cut(text: str, limit: int) -> tuple[str, str]:
    if len(text) <= limit:
        return text, ""
    at = text.rfind("\n", 0, limit) + 1 or limit
    return text[:at], text[at:]


def _plain(note: str, text: str) -> Markup:
    left = len(text) - PLAIN_LIMIT
    shown = Markup("<pre>{}</pre>").format(text[:PLAIN_LIMIT])
    if left > 0:
        shown += _note(f"{left:,} more characters are left out.")
    return _note(note) + shown if note else shown


def _note(text: str) -> Markup:
    return Markup('<p class="md-note">{}</p>').format(text)


def _references(env: dict[str, Any]) -> Markup:
    """What the text defines for its links: it stands in no paragraph, and is shown all the same."""
    found = [{"label": label, **it} for label, it in env.get("references", {}).items()] + env.get("duplicate_refs", [])
    lines = [" ".join(filter(None, (f"[{it['label']}]: {it['href']}", it["title"]))) for it in found]
    return Markup("").join(_note(visible(line)) for line in lines)


def _rewrite(state: StateCore) -> None:
    outline: list[int] = []
    tag = ""
    state.env["deep"] = any(token.level >= NESTING - 1 for token in state.tokens)
    for at, token in enumerate(state.tokens):
        if token.type == "heading_open":
            tag = token.tag = _heading(outline, int(token.tag[1]))
        elif token.type == "heading_close":
            token.tag = tag
        elif token.type in _SIDED:
            token.attrs["dir"] = "auto"
        elif token.type in ("th_open", "td_open"):
            _align(token)
        elif token.type == "inline" and token.children is not None:
            token.children = inline(token.children, state)
            if at > 1 and state.tokens[at - 2].type == "list_item_open":
                _task(token.children, state.tokens[at - 2])
        elif token.type == "fence":
            _info(token)


def _heading(outline: list[int], level: int) -> str:
    """The first heading is an h3, and none skips a level, whatever the text begins with: the page has its own outline."""
    while outline and outline[-1] >= level:
        outline.pop()
    outline.append(level)
    return f"h{min(DEEPEST, 2 + len(outline))}"


def _align(token: Token) -> None:
    side = str(token.attrs.pop("style", "")).removeprefix("text-align:")
    if side in ("center", "right"):
        token.attrs["class"] = f"align-{side}"


def _info(token: Token) -> None:
    """The words behind the language stand above the code."""
    language, _, words = token.info.strip().partition(" ")
    if words.strip():
        token.info, token.content = language, f"{words.strip()}\n{token.content}"


def _task(children: list[Token], item: Token) -> None:
    found = _TASK.match(children[0].content) if children and children[0].type == "text" else None
    if found is None:
        return
    children[0].content = children[0].content[found.end() :]
    done = found[1] != " "
    children.insert(0, Token("task", "", 0, meta={"done": done}))
    item.attrs["class"] = "task-item"


def _task_html(tokens: list[Token], at: int) -> str:
    done = tokens[at].meta["done"]
    return f'<span class="task{" task-done" * done}" role="img" aria-label="{"done" if done else "to do"}"></span>'


class _Parser(MarkdownIt):
    def validateLink(self, url: str) -> bool:
        return follows(url)


def _make_parser() -> MarkdownIt:
    parser = _Parser("commonmark", {"html": False, "breaks": True, "maxNesting": NESTING}).enable(["table", "strikethrough"])
    parser.core.ruler.push("dispatcher", _rewrite)
    parser.add_render_rule("task", lambda _, tokens, at, options, env: _task_html(tokens, at))
    # A wide table scrolls, by keyboard too.
    opening = '<div class="md-table" role="group" tabindex="0" aria-label="Table"><table>'
    parser.add_render_rule("table_open", lambda *_: opening)
    parser.add_render_rule("table_close", lambda *_: "</table></div>")
    return parser


def _attribute(tag: str, name: str, value: str) -> str | None:
    if tag == "code" and name == "class":
        return value if _LANGUAGE.fullmatch(value) else None
    return value


def _make_cleaner() -> nh3.Cleaner:
    return nh3.Cleaner(
        tags=TAGS,
        clean_content_tags=set(),
        attributes={"a": {"href"}, "ol": {"start"}, "code": {"class"}},
        attribute_filter=_attribute,
        allowed_classes={
            "span": {"task", "task-done"},
            "li": {"task-item"},
            "th": {"align-center", "align-right"},
            "td": {"align-center", "align-right"},
            "div": {"md-table"},
        },
        tag_attribute_values={
            **{tag: {"dir": {"auto"}} for tag in ("ul", "ol", "blockquote")},
            "span": {"role": {"img"}, "aria-label": {"done", "to do"}},
            "div": {"role": {"group"}, "tabindex": {"0"}, "aria-label": {"Table"}},
        },
        link_rel="noopener noreferrer nofollow ugc",
        url_schemes={"http", "https", "mailto"},
        url_relative=lambda url: url if _OURS.fullmatch(url) else None,
    )


_parser = _make_parser()
_line_parser = MarkdownIt("zero").enable("backticks")
_cleaner = _make_cleaner()
