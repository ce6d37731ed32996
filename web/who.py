"""Who asks: the person of the running request, for handlers (`Me` in web.access), templates (`me()`) and what they call.

What is made for everybody at once, as the cards of the live board, is made for nobody: there `me()` is None.
"""

from __future__ import annotations

from contextvars import ContextVar
from dataclasses import dataclass
from typing import Literal

from dispatcher.access import ROLES

By = Literal["session", "token", "machine"]
"""What a request proves itself with: a browser's session, an API token, or that it comes from this machine's data folder."""


@dataclass(frozen=True)
class Who:
    """A person and what it may do."""

    name: str
    role: str
    user_id: int
    by: By = "session"
    credential_id: int | None = None

    def may(self, role: str) -> bool:
        """Whether this person may do what needs that role: each role may all that those before it may."""
        return ROLES.index(self.role) >= ROLES.index(role)


asking: ContextVar[Who | None] = ContextVar("asking", default=None)


def me() -> Who | None:
    """The person of the running request; None outside of one, and where nobody has logged in."""
    return asking.get()
