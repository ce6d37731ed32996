"""The inner parts of a Markdown text: where links lead, what becomes one, and images, which are never fetched."""

from __future__ import annotations

import re

from markdown_it.rules_core import StateCore
from markdown_it.token import Token

_EXTERNAL = re.compile(r"https?://[^/]|mailto:.", re.IGNORECASE)
_WITHIN = re.compile(r"(?!//)[^:\\]*")
"""An address without a scheme or host: of a file in the repository, mostly."""
_FOUND = re.compile(
    r"""(?<![\w/])(?P<url>(?i:https?)://[^\s<>"`]{1,2000})
    | (?<![\w/.\-])(?P<key>[A-Z][A-Z0-9]{1,9})-(?P<number>[1-9][0-9]{0,8})(?![\w\-]|\.\w)
    | (?<![\w\#&/])\#(?P<own>[1-9][0-9]{0,8})(?!\w)""",
    re.VERBOSE | re.ASCII,
)
_PAIRS = {")": "(", "]": "["}


def follows(address: str) -> bool:
    """Whether the text's link is taken as one: to the web or to a mailbox, or to a file; else it stays as it was typed."""
    return bool(_EXTERNAL.match(address) or _WITHIN.fullmatch(address))


def inline(tokens: list[Token], state: StateCore) -> list[Token]:
    """The tokens of a paragraph, with their links made sure of.

    Links to files name the file, as there is no page for it; images are links; bare addresses, keys and numbers of tickets
    become links, but not within another one or within code.
    """
    out: list[Token] = []
    link: Token | None = None
    label = 0
    for token in tokens:
        if token.type == "link_open":
            link, label = token, len(out) + 1
            out.append(token)
        elif token.type == "link_close" and link is not None:
            out.append(token)
            if not _goes(link):
                out[label - 1 :] = _named(out[label:-1], str(link.attrs["href"]))
            out += _title(link)
            link = None
        elif token.type == "image":
            out += _picture(token, state, within=link is not None)
        elif token.type == "text" and link is None:
            out += _linked(token.content, state)
        else:
            out.append(token)
    return out


def _goes(link: Token) -> bool:
    return bool(_EXTERNAL.match(str(link.attrs["href"])))


def _named(label: list[Token], address: str) -> list[Token]:
    said = "".join(token.content for token in label)
    return label if not address or said == address else [*label, _text(" ("), _code(address), _text(")")]


def _picture(token: Token, state: StateCore, *, within: bool) -> list[Token]:
    address = str(token.attrs["src"])
    said = "".join(child.content for child in token.children or []) or "image"
    if within:
        return [_text(said), *_title(token)]
    shown = _link(address, said) if _EXTERNAL.match(address) else _named([_text(said)], address)
    return [*shown, *_title(token)]


def _title(token: Token) -> list[Token]:
    title = token.attrs.pop("title", "")
    return [_text(f" ({title})")] if title else []


def _linked(text: str, state: StateCore) -> list[Token]:
    out: list[Token] = []
    at = 0
    for found in _FOUND.finditer(text):
        shown, address = _address(found, state)
        if not address:
            continue
        out += [_text(text[at : found.start()]), *_link(address, shown)]
        at = found.start() + len(shown)
    return [*out, _text(text[at:])]


def _address(found: re.Match[str], state: StateCore) -> tuple[str, str]:
    """What is shown of a find, and where it leads; nowhere for what only looks like it."""
    if found["url"]:
        shown = _trimmed(found["url"])
        address = state.md.normalizeLink(shown)
        return shown, address if _EXTERNAL.match(address) else ""
    key, number = (found["key"], found["number"]) if found["key"] else (state.env["here"], found["own"])
    known = key in state.env["keys"] if found["key"] else bool(key)
    return found[0], f"/tickets/{key}-{number}" if known else ""


def _trimmed(url: str) -> str:
    """An address without the punctuation that follows it in a sentence."""
    while url:
        last = url[-1]
        if last not in ".,;:!?'\"*_~" and not (last in _PAIRS and url.count(last) > url.count(_PAIRS[last])):
            return url
        url = url[:-1]
    return url


def _link(address: str, said: str) -> list[Token]:
    return [Token("link_open", "a", 1, attrs={"href": address}), _text(said), Token("link_close", "a", -1)]


def _text(content: str) -> Token:
    return Token("text", "", 0, content=content)


def _code(content: str) -> Token:
    return Token("code_inline", "code", 0, content=content)
