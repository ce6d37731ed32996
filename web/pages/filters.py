"""What of the board is shown, as its address says it."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict, dataclass, fields, replace
from typing import Annotated
from urllib.parse import parse_qsl, urlencode, urlsplit

from fastapi import Depends, Request

from dispatcher import search

LONGEST = 500
"""Characters of one of its values."""


@dataclass(frozen=True)
class Filter:
    """What of the board is shown; `show` is `cancelled` where those have a column too."""

    project: str = ""
    q: str = ""
    agent: str = ""
    label: str = ""
    show: str = ""

    @property
    def wanted(self) -> search.Wanted:
        """As the search takes it; a value that is too long finds nothing."""
        taken = {name: value for name, value in asdict(self).items() if name not in self.long}
        found = search.wanted(
            taken.get("q", ""), project=taken.get("project", ""), agent=taken.get("agent", ""), label=taken.get("label", "")
        )
        return replace(found, wrong=(*(f"{name} is too long" for name in self.long), *found.wrong)) if self.long else found

    @property
    def long(self) -> list[str]:
        """The fields whose values are too long."""
        return [name for name, value in asdict(self).items() if len(value) > LONGEST]

    @property
    def narrow(self) -> bool:
        """Whether anything but a project is chosen."""
        return bool(self.q.strip() or self.agent or self.label)

    def query(self, **more: str) -> str:
        """The query of its address, with more in it; what is empty is left out."""
        return urlencode({name: value for name, value in (asdict(self) | more).items() if value})

    def address(self, **more: str) -> str:
        """The board's address with this filter."""
        query = self.query(**more)
        return f"/?{query}" if query else "/"


def filter_of(values: Mapping[str, str]) -> Filter:
    """A filter from the values of a query or a form; what is too long is left out."""
    named = {one.name: values.get(one.name, "") for one in fields(Filter)}
    return Filter(**{name: value for name, value in named.items() if len(value) <= LONGEST})


def sent_from(request: Request, form: Mapping[str, str]) -> Filter:
    """The filter of the board that a form was sent from: by its field `back`, else by the page that the browser names."""
    query = form.get("back")
    if query is None:
        referer = urlsplit(request.headers.get("referer", ""))
        query = referer.query if referer.path == "/" else ""
    return filter_of(dict(parse_qsl(query[:4000], max_num_fields=50))) if query.count("&") < 50 else Filter()


def _shown(
    project: str = "",
    q: str = "",
    agent: str = "",
    label: str = "",
    show: str = "",
) -> Filter:
    return Filter(project, q, agent, label, show)


Shown = Annotated[Filter, Depends(_shown)]
"""The filter in a request's address."""
