"""Numbers and choices that forms of the fleet send as text, and one use case with its refusal."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import TypeVar

from sqlmodel import Session

from dispatcher.errors import DispatcherError, Invalid
from web.errors import problem_of
from web.pages.forms import Entered
from web.site import Site

T = TypeVar("T")


def whole(form: Mapping[str, str], name: str) -> int | None:
    """A whole number, None where the field is empty or missing; raises `Invalid`."""
    text = form.get(name, "").strip().replace(",", "").replace("_", "")
    if not text:
        return None
    if not text.isascii() or not text.lstrip("-").isdigit() or len(text) > 12:
        raise Invalid(f"{text[:20]!r} is no whole number", "give digits alone, as in 32768", name)
    return int(text)


def seconds(form: Mapping[str, str], name: str) -> float | None:
    """A time, given in minutes, as seconds; None where the field is empty or missing; raises `Invalid`."""
    text = form.get(name, "").strip().replace(",", ".")
    if not text:
        return None
    try:
        return float(text) * 60
    except ValueError:
        raise Invalid(f"{text[:20]!r} is no number of minutes", "give digits, as in 60 or 1.5", name) from None


def attempt(site: Site, at: str, form: Mapping[str, str], use_case: Callable[[Session], T]) -> T | Entered:
    """Do a use case as one transaction; what was refused, for showing the form again."""
    try:
        with site.database.transaction() as db:
            return use_case(db)
    except DispatcherError as error:
        return Entered(problem_of(error), at, form)
