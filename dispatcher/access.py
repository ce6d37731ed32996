"""Users and their roles. Names are told apart without regard to case; who has done something is disabled, never removed.

There is always an administrator who can log in: the last one keeps its role and stays enabled.
"""

from __future__ import annotations

import re
from datetime import datetime

from sqlalchemy import or_
from sqlmodel import Session, col, func, select, update

from dispatcher import activity
from dispatcher.errors import Conflict, Invalid, NotFound
from dispatcher.models import Credential, User, utcnow

ROLES = ("viewer", "member", "admin")
"""Each may all that those before it may."""
FIRST = "admin"
"""The administrator that the migrations make."""
NAME = re.compile(r"[a-z0-9][a-z0-9._-]{0,39}")
RESERVED = ("you", "machine", "dispatcher")
"""Names that stand for somebody in the feed who is no user."""


def add_user(db: Session, name: str, role: str) -> User:
    """Add a user; raises `Invalid`, and `Conflict` where the name is taken."""
    user = User(name=_name(name), role=_role(role))
    if db.exec(select(User).where(User.name == user.name)).first() is not None:
        raise Conflict(f"there is a user {user.name} already", "take another name, or change its role", "name")
    db.add(user)
    db.flush()
    activity.record(db, "access.user_added", user=user.name, role=user.role)
    return user


def get_user(db: Session, name: str) -> User:
    """The user of that name; raises `NotFound`."""
    user = db.exec(select(User).where(User.name == name.strip().lower())).first()
    if user is None:
        raise NotFound(f"there is no user {name[:60]!r}", "see: dispatcher user list", "name")
    return user


def list_users(db: Session) -> list[User]:
    """Every user, the enabled ones first, by name."""
    return list(db.exec(select(User).order_by(col(User.disabled_at).is_not(None), col(User.name))))


def administrators(db: Session) -> list[User]:
    """Those who administrate now, the oldest first."""
    query = select(User).where(User.role == "admin", col(User.disabled_at).is_(None))
    return list(db.exec(query.order_by(col(User.id))))


def set_role(db: Session, user: User, role: str) -> User:
    """Give another role; raises `Conflict` for the last administrator."""
    role = _role(role)
    if role != user.role:
        if user.role == "admin":
            _spare(db, user, "make another one first: dispatcher user role NAME admin")
        before, user.role = user.role, role
        db.add(user)
        db.flush()
        _hand_over(db, user)
        activity.record(db, "access.role_changed", user=user.name, role=role, before=before)
    return user


def disable(db: Session, user: User) -> User:
    """Shut out: sessions, links and tokens end; what was done keeps the name. Raises `Conflict` for the last administrator."""
    if user.disabled_at is None:
        if user.role == "admin":
            _spare(db, user, "make another administrator first: dispatcher user add NAME --role admin")
        user.disabled_at = utcnow()
        db.add(user)
        db.flush()
        _hand_over(db, user)
        waiting = update(Credential).where(col(Credential.user_id) == user.id, col(Credential.ended_at).is_(None))
        db.exec(waiting.values(ended_at=utcnow()))
        activity.record(db, "access.user_disabled", user=user.name)
    return user


def enable(db: Session, user: User) -> User:
    """Let in again; what was revoked stays revoked."""
    if user.disabled_at is not None:
        user.disabled_at = None
        db.add(user)
        activity.record(db, "access.user_enabled", user=user.name)
    return user


def is_set_up(db: Session) -> bool:
    """Whether somebody has taken this site in hand: logged in, or added a user."""
    query = select(func.count()).select_from(User).where(or_(col(User.name) != FIRST, col(User.login_at).is_not(None)))
    return bool(db.exec(query).one())


def counted_sessions(db: Session, now: datetime | None = None) -> dict[int, int]:
    """How many sessions of each user are open, by its id."""
    now = now or utcnow()
    query = (
        select(Credential.user_id, func.count())
        .where(Credential.kind == "session", col(Credential.ended_at).is_(None), col(Credential.expires_at) > now)
        .group_by(col(Credential.user_id))
    )
    return {int(user): int(count) for user, count in db.exec(query)}


def _spare(db: Session, user: User, hint: str) -> None:
    """Raise `Conflict` where nobody else administrates."""
    # Locked in one order, so that two administrators who demote each other at once do not both succeed.
    query = select(User).where(User.role == "admin", col(User.disabled_at).is_(None)).order_by(col(User.id))
    if not [other for other in db.exec(query.with_for_update()) if other.id != user.id]:
        raise Conflict(f"{user.name} is the last administrator", hint, "role")


def _hand_over(db: Session, user: User) -> None:
    """The machine's own credentials go to another administrator when theirs is one no more."""
    heirs = [other for other in administrators(db) if other.id != user.id]
    if heirs:
        mine = update(Credential).where(col(Credential.user_id) == user.id, col(Credential.kind) == "machine")
        db.exec(mine.values(user_id=heirs[0].id))


def _name(name: str) -> str:
    name = name.strip().lower()
    if name in RESERVED:
        raise Invalid(f"{name} is no name for a user", "take another one", "name")
    if not NAME.fullmatch(name):
        raise Invalid(
            f"{name[:60]!r} is no user name", "take 1 to 40 of a-z, 0-9 and . _ -, beginning with a letter or digit", "name"
        )
    return name


def _role(role: str) -> str:
    if role not in ROLES:
        raise Invalid(f"there is no role {role[:60]!r}", f"choose one of: {', '.join(ROLES)}", "role")
    return role
