"""Who acts: the person in whose name the running use case does what it does.

The web app sets it for each request; threads and tasks that a request starts inherit it. Workers have nobody: what they
record, the dispatcher did by itself.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from contextvars import ContextVar

YOU = "you"
"""Whoever works with the database directly: on this machine, without the web app."""

_acting: ContextVar[str | None] = ContextVar("acting", default=None)


def acting(otherwise: str = YOU) -> str:
    """The name of the person who acts; `otherwise` where nobody was named."""
    return _acting.get() or otherwise


@contextmanager
def acting_as(name: str) -> Iterator[None]:
    """Everything within is done in that person's name."""
    before = _acting.set(name)
    try:
        yield
    finally:
        _acting.reset(before)


LOCAL = "dispatcher.local"
"""The key of an ASGI request that comes from within this process, as the command line's do where no server runs."""
