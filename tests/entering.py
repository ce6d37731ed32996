"""Ways into a site with logins, made in its database."""

from __future__ import annotations

from dispatcher import access, credentials
from dispatcher.db import Database


def secret(database: Database, name: str = access.FIRST, kind: credentials.Kind = "machine") -> str:
    """A credential of a user's, and its secret; `machine` ones may do all that the user may, as a browser's session."""
    with database.transaction() as db:
        user = access.get_user(db, name)
        if kind == "session":
            return credentials.redeem(db, credentials.make_link(db, user).secret, "Firefox on Linux").secret
        if kind == "link":
            return credentials.make_link(db, user).secret
        if kind == "token":
            return credentials.make_token(db, user, "tests").secret
        return credentials._make(db, user, "machine", "tests", None).secret


def bearer(database: Database, name: str = access.FIRST, kind: credentials.Kind = "machine") -> dict[str, str]:
    """The header that a program sends."""
    return {"Authorization": f"Bearer {secret(database, name, kind)}"}


def cookie(url: str, database: Database, name: str = access.FIRST) -> dict[str, str]:
    """The cookie of a new session in a browser at `url`: its name and value."""
    return {"name": f"dispatcher-{url.rpartition(':')[2]}", "value": secret(database, name, "session")}
