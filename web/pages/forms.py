"""What the forms of all pages share: their fields, one use case each, and a refusal that keeps what was typed."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Annotated

from fastapi import Depends, Request
from sqlmodel import Session
from starlette.responses import RedirectResponse, Response

from dispatcher import board
from dispatcher.errors import DispatcherError
from dispatcher.models import Ticket
from web.errors import Problem, problem_of
from web.site import Site


@dataclass(frozen=True)
class Entered:
    """A form that was refused: why, which one, and what was typed."""

    problem: Problem | None = None
    at: str = ""
    values: Mapping[str, str] = field(default_factory=dict)

    @property
    def status(self) -> int:
        """The status of the page that shows it."""
        return self.problem.status if self.problem else 200

    def value(self, at: str, name: str, otherwise: str = "") -> str:
        """What was typed into a field of that form, for showing it again."""
        return self.values.get(name, otherwise) if self.at == at else otherwise


NOTHING = Entered()


async def _fields(request: Request) -> dict[str, str]:
    """The form's fields; line ends as one character, browsers send two."""
    async with request.form(max_files=0, max_fields=2100) as form:
        return {name: value.replace("\r\n", "\n") for name, value in form.items() if isinstance(value, str)}


def _scripted(request: Request) -> bool:
    return request.headers.get("hx-request") == "true"


Fields = Annotated[dict[str, str], Depends(_fields)]

Scripted = Annotated[bool, Depends(_scripted)]
"""Whether htmx asks, which takes a part of a page instead of a redirect to a whole one."""


def blocker_of(form: Mapping[str, str]) -> int | None:
    """The blocker that a form for an answer was shown with."""
    number = form.get("blocker", "")
    return int(number) if number.isascii() and number.isdigit() and len(number) < 19 else None


def do(site: Site, key: str, at: str, form: dict[str, str], use_case: Callable[[Session, Ticket], object]) -> Entered | None:
    """Do a use case on a ticket as one transaction; what was refused, for showing the form again."""
    try:
        with site.database.transaction() as db:
            use_case(db, board.get_ticket(db, key))
    except DispatcherError as error:
        return Entered(problem_of(error), at, form)
    return None


def to(place: str) -> Response:
    """See other: a reload does not post again."""
    return RedirectResponse(place, 303)
