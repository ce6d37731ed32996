"""Sessions, login links, API tokens, and the machine's own token: made, found by their secret, and ended.

A secret is shown once, when it is made. A login link works once and for minutes or hours, and is exchanged for a session;
sessions end when they have not been used for SESSION; tokens last until they are revoked, or to their day.
"""

from __future__ import annotations

import hashlib
import hmac
import secrets
from collections.abc import Sequence
from datetime import datetime, timedelta
from typing import Literal, NamedTuple

from sqlalchemy import ColumnElement, delete, or_
from sqlmodel import Session, col, select, update

from dispatcher import access, activity
from dispatcher.actor import acting, acting_as
from dispatcher.errors import Conflict, Invalid, LoginRefused, NotFound
from dispatcher.models import Credential, User, utcnow
from dispatcher.text import storable

Kind = Literal["session", "link", "token", "machine"]

PREFIX = "dsp_"
"""So that scanners, and people, know a secret of ours when they find one."""
SESSION = timedelta(days=30)
OWN_LINK = timedelta(minutes=10)
"""For the person at the machine, who follows it at once."""
SENT_LINK = timedelta(hours=24)
"""For somebody to whom it is sent."""
KEPT = timedelta(days=30)
"""How long what has ended is still listed."""
LABEL_LIMIT = 100
MOST_DAYS = 3650
MOST_HOURS = 24 * 7
_ALPHABET = frozenset("ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_")
_LENGTH = len(PREFIX) + 43


class Made(NamedTuple):
    """A new credential, and its secret, which is nowhere else."""

    credential: Credential
    secret: str


class Found(NamedTuple):
    """A credential that holds, and whose it is."""

    credential: Credential
    user: User


def looks_right(secret: str) -> bool:
    """Whether it has the form of one of our secrets; what has not, need not be looked for."""
    return len(secret) == _LENGTH and secret.startswith(PREFIX) and _ALPHABET.issuperset(secret)


def digest(secret: str) -> str:
    """What is kept of a secret."""
    return hashlib.sha256(secret.encode()).hexdigest()


def find(db: Session, secret: str, kinds: Sequence[Kind]) -> Found | None:
    """The credential of one of those kinds with that secret, if it holds; one query."""
    found = _look(db, secret, kinds)
    return found if found is not None and not why_not(found) else None


def why_not(found: Found) -> str:
    """Why a credential holds no more; empty where it does."""
    credential, user = found
    if user.disabled_at is not None:
        return f"{user.name} is disabled"
    if credential.ended_at is not None:
        return _ended(credential)
    if credential.expires_at is not None and credential.expires_at <= utcnow():
        return "is too old"
    return ""


def _ended(credential: Credential) -> str:
    if credential.kind != "link":
        return "was revoked"
    return "was used already" if credential.seen_at is not None else "was taken back, as by a newer one"


def make_link(db: Session, user: User, lasts: timedelta = OWN_LINK) -> Made:
    """A link that logs in once, as that user; those made before for the user stop working. Raises `Conflict`, `Invalid`."""
    _enabled(user)
    if not timedelta(0) < lasts <= timedelta(hours=MOST_HOURS):
        raise Invalid(f"a login link lasts 1 to {MOST_HOURS} hours", "a new one can be made at any time", "hours")
    _end(db, _open(user, "link"))
    made = _make(db, user, "link", "", lasts)
    activity.record(db, "access.link_made", user=user.name)
    return made


def inspect_link(db: Session, secret: str) -> User:
    """Who the link would log in; it is not used up. Raises `LoginRefused`."""
    return _link(db, secret).user


def redeem(db: Session, secret: str, browser: str) -> Made:
    """Log in by a link, once; gives the new session. Raises `LoginRefused`."""
    credential, user = _link(db, secret)
    now = utcnow()
    used = update(Credential).where(col(Credential.id) == credential.id, col(Credential.ended_at).is_(None))
    if getattr(db.execute(used.values(ended_at=now, seen_at=now)), "rowcount", 0) != 1:
        raise _refused("was used already")
    user.login_at = now
    db.add(user)
    made = _make(db, user, "session", browser, SESSION)
    with acting_as(user.name):
        activity.record(db, "access.login", user=user.name, browser=made.credential.label)
    _forget_old(db, now)
    return made


def make_token(db: Session, user: User, label: str, days: int | None = None) -> Made:
    """An API token with that user's rights, for ever or for so many days. Raises `Invalid` and `Conflict`."""
    _enabled(user)
    label = " ".join(label.split())
    if not 0 < len(label) <= LABEL_LIMIT:
        raise Invalid("the token needs a label", f"say in up to {LABEL_LIMIT} characters what it is for", "label")
    if days is not None and not 1 <= days <= MOST_DAYS:
        raise Invalid(f"{days} days are not possible", f"1 to {MOST_DAYS}, or none for a token that lasts", "days")
    made = _make(db, user, "token", label, timedelta(days=days) if days is not None else None)
    activity.record(db, "access.token_made", user=user.name, label=made.credential.label)
    return made


def make_machine_token(db: Session, place: str) -> Made:
    """The token by which the commands of a data folder's owner reach its web app; the place's earlier one ends."""
    _end(db, [col(Credential.kind) == "machine", col(Credential.label) == place, col(Credential.ended_at).is_(None)])
    return _make(db, access.administrators(db)[0], "machine", place, None)


def end_machine_token(db: Session, made: Credential) -> None:
    """Its web app ends."""
    _end(db, [col(Credential.id) == made.id, col(Credential.ended_at).is_(None)])


def seen(db: Session, credential_id: int) -> None:
    """Note that it was used; a session lasts anew."""
    now = utcnow()
    row = db.get(Credential, credential_id)
    if row is not None and row.ended_at is None:
        row.seen_at = now
        row.expires_at = now + SESSION if row.kind == "session" else row.expires_at
        db.add(row)


def list_credentials(db: Session, user: User, kind: Kind) -> list[Credential]:
    """Those of a user that hold, the newest first."""
    return list(db.exec(select(Credential).where(*_open(user, kind)).order_by(col(Credential.id).desc())))


def get_credential(db: Session, number: int) -> Found:
    """A session, link or token by its number; raises `NotFound`."""
    query = select(Credential, User).join(User, col(User.id) == col(Credential.user_id)).where(Credential.id == number)
    row = db.exec(query.where(Credential.kind != "machine")).first()
    if row is None:
        raise NotFound(f"there is no session or token {number}", "see: dispatcher user token list", "id")
    return Found(*row)


def revoke(db: Session, credential: Credential, user: User) -> None:
    """End a session or a token; what has ended stays as it is."""
    if credential.ended_at is None:
        credential.ended_at = utcnow()
        db.add(credential)
        kind = "access.logout" if credential.kind == "session" else f"access.{credential.kind}_revoked"
        activity.record(db, kind, user=user.name, label=credential.label)


def log_out(db: Session, user: User) -> None:
    """End all sessions of a user, and its unused links."""
    _end(db, _open(user, "session"))
    _end(db, _open(user, "link"))
    activity.record(db, "access.logout", user=user.name, everywhere=True)


def _make(db: Session, user: User, kind: Kind, label: str, lasts: timedelta | None) -> Made:
    secret = PREFIX + secrets.token_urlsafe(32)
    assert user.id is not None
    now = utcnow()
    row = Credential(
        user_id=user.id,
        kind=kind,
        digest=digest(secret),
        label=str(storable(label))[:LABEL_LIMIT],
        made_by=acting(""),
        created_at=now,
        expires_at=now + lasts if lasts is not None else None,
        seen_at=now if kind == "session" else None,
    )
    db.add(row)
    db.flush()
    return Made(row, secret)


def _look(db: Session, secret: str, kinds: Sequence[Kind]) -> Found | None:
    if not looks_right(secret):
        return None
    kept = digest(secret)
    query = select(Credential, User).join(User, col(User.id) == col(Credential.user_id))
    row = db.exec(query.where(Credential.digest == kept, col(Credential.kind).in_(kinds))).first()
    # The index has compared it; that took the digest, which tells nothing about a secret of 256 random bits.
    return Found(*row) if row is not None and hmac.compare_digest(row[0].digest, kept) else None


def _link(db: Session, secret: str) -> Found:
    found = _look(db, secret, ("link",))
    if found is None:
        raise _refused("is not one of this site's")
    if reason := why_not(found):
        raise _refused(reason)
    return found


def _refused(reason: str) -> LoginRefused:
    hint = "make a new one: dispatcher login, on the machine where the board runs; or ask an administrator for one"
    return LoginRefused(f"the login link {reason}" if not reason.endswith("disabled") else reason, hint, "token")


def _enabled(user: User) -> None:
    if user.disabled_at is not None:
        raise Conflict(f"{user.name} is disabled", f"enable it first: dispatcher user enable {user.name}", "name")


def _open(user: User, kind: Kind) -> list[ColumnElement[bool]]:
    lasting = or_(col(Credential.expires_at).is_(None), col(Credential.expires_at) > utcnow())
    return [col(Credential.user_id) == user.id, col(Credential.kind) == kind, col(Credential.ended_at).is_(None), lasting]


def _end(db: Session, which: Sequence[ColumnElement[bool]]) -> None:
    db.execute(update(Credential).where(*which).values(ended_at=utcnow()))


def _forget_old(db: Session, now: datetime) -> None:
    db.execute(delete(Credential).where(or_(col(Credential.ended_at) < now - KEPT, col(Credential.expires_at) < now - KEPT)))
