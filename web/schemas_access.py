"""What the API takes and gives about users, sessions and tokens."""

from __future__ import annotations

from typing import Literal

from pydantic import AwareDatetime, BaseModel, ConfigDict, Field

from dispatcher.credentials import LABEL_LIMIT, MOST_DAYS, MOST_HOURS, SENT_LINK
from web.schemas import Out

Role = Literal["viewer", "member", "admin"]
_HOURS = int(SENT_LINK.total_seconds() // 3600)


class MeOut(Out):
    """Who asks, and what it proves that with."""

    name: str
    role: Role
    by: Literal["session", "token", "machine"]


class UserOut(Out):
    """A person or a program; `sessions` are the browsers that it is logged in with."""

    name: str
    role: Role
    created_at: AwareDatetime
    login_at: AwareDatetime | None
    disabled_at: AwareDatetime | None
    sessions: int = 0


class LinkOut(Out):
    """A login link: its path at this site, which works once."""

    user: str
    path: str
    expires_at: AwareDatetime | None


class UserAdded(UserOut):
    """A new user, and the link by which it logs in for the first time."""

    link: LinkOut


class CredentialOut(Out):
    """A session or a token; the secret is shown when it is made, and never again."""

    id: int
    kind: Literal["session", "token"]
    label: str
    made_by: str
    created_at: AwareDatetime
    seen_at: AwareDatetime | None
    expires_at: AwareDatetime | None
    current: bool = False


class TokenMade(CredentialOut):
    """A new token with its secret."""

    token: str


class _Taken(BaseModel):
    model_config = ConfigDict(extra="forbid")


class NewUser(_Taken):
    """A user to add; its login link lasts `hours`."""

    name: str = Field(max_length=200)
    role: Role = "member"
    hours: int = Field(_HOURS, ge=1, le=MOST_HOURS)


class EditUser(_Taken):
    """What is to change of a user."""

    role: Role | None = None
    disabled: bool | None = None


class NewLink(_Taken):
    """How long the login link lasts."""

    hours: int = Field(_HOURS, ge=1, le=MOST_HOURS)


class NewToken(_Taken):
    """A token to make; without `days` it lasts until it is revoked."""

    label: str = Field(max_length=LABEL_LIMIT)
    days: int | None = Field(None, ge=1, le=MOST_DAYS)
