"""What an address asks for and cannot be: told at its field, with the ways out, and never in place of the page."""

from __future__ import annotations

from collections.abc import Iterable
from typing import NamedTuple

from sqlmodel import Session

from dispatcher import agents, projects, search
from web.pages.filters import LONGEST, Filter

OFFERED = 8
"""Names that are offered in the place of an unknown one."""

_FIELDS = {"project": "The project", "q": "The filter", "agent": "The agent", "label": "The label", "show": "The field show"}
_ALL = {"project": "All projects", "q": "Without these words", "agent": "Any agent", "label": "Any label", "show": "The board"}
_UNKNOWN = {"project": "There is no project", "agent": "There is no agent", "label": "No ticket has the label"}


class Wrong(NamedTuple):
    """A field of the address, what is wrong with it as a sentence, and links that lead on: words and address."""

    field: str
    message: str
    ways: list[tuple[str, str]]


def in_filter(db: Session, shown: Filter, *, empty: bool) -> list[Wrong]:
    """What is wrong with the board's filter; names that there are not, where it finds nothing: `empty`."""
    found = [Wrong(name, _too_long(name, getattr(shown, name)), _ways(shown, name)) for name in shown.long]
    if shown.show not in {"", "cancelled"} and "show" not in shown.long:
        found.append(Wrong("show", f"{cut(shown.show)} is nothing to show; cancelled is.", _ways(shown, "show")))
    wanted = shown.wanted
    found += [Wrong("q", sentence(words), _ways(shown, "q")) for words in wanted.wrong[len(shown.long) :]]
    if empty:
        for name, value in search.unknown(db, wanted):
            field = name if getattr(shown, name) == value else "q"
            instead = _names(db, name, shown) if field == name else []
            found.append(Wrong(field, f"{_UNKNOWN[name]} {cut(value)}.", _ways(shown, field, instead)))
    return found


def unknown_project(db: Session, key: str, place: str) -> Wrong:
    """Where a page of one project is asked for and there is none of that key; `place` is the page's address."""
    ways = [(project.key, f"{place}?project={project.key}") for project in projects.list_projects(db)[:OFFERED]]
    return Wrong("project", f"There is no project {cut(key)}.", [*ways, (_ALL["project"], place)])


def cut(value: str) -> str:
    """A value as a message names it."""
    return repr(value if len(value) <= 60 else f"{value[:60]}…")


def sentence(words: str) -> str:
    """An error's words as a sentence."""
    return f"{words[:1].upper()}{words[1:]}."


def _too_long(name: str, value: str) -> str:
    return f"{_FIELDS[name]} has {len(value):,} characters; {LONGEST} is the limit."


def _ways(shown: Filter, field: str, instead: Iterable[str] = ()) -> list[tuple[str, str]]:
    return [*((name, shown.address(**{field: name})) for name in instead), (_ALL[field], shown.address(**{field: ""}))]


def _names(db: Session, name: str, shown: Filter) -> list[str]:
    if name == "project":
        found = [project.key for project in projects.list_projects(db)]
    elif name == "agent":
        found = [agent.name for agent in agents.list_agents(db)]
    else:
        found = search.labels_in_use(db, shown.project)
    return found[:OFFERED]
