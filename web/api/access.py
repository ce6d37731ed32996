"""API: users with their login links and tokens, and what is one's own."""

from __future__ import annotations

from datetime import timedelta
from urllib.parse import urlencode

from fastapi import APIRouter
from sqlmodel import Session

from dispatcher import access, credentials
from dispatcher.credentials import Made
from dispatcher.errors import NotFound
from dispatcher.models import Credential, User
from web.access import Me, changing
from web.cookies import LOGIN
from web.schemas_access import (
    CredentialOut,
    EditUser,
    LinkOut,
    MeOut,
    NewLink,
    NewToken,
    NewUser,
    TokenMade,
    UserAdded,
    UserOut,
)
from web.site import Here, Number
from web.who import Who

router = APIRouter(tags=["access"])


@router.get("/me", summary="Who asks")
def get_me(me: Me) -> MeOut:
    """The user that the request's token or session belongs to."""
    return MeOut(name=me.name, role=me.role, by=me.by)


@router.get("/me/sessions", summary="List my sessions")
def list_my_sessions(site: Here, me: Me) -> list[CredentialOut]:
    """The browsers that are logged in as the user that asks."""
    with site.database.reading() as db:
        return _listed(credentials.list_credentials(db, access.get_user(db, me.name), "session"), me)


@router.delete("/me/sessions", summary="Log out everywhere", status_code=204)
def log_out_everywhere(site: Here, me: Me) -> None:
    """End all one's sessions, this one too; tokens stay."""
    with changing(site) as db:
        credentials.log_out(db, access.get_user(db, me.name))


@router.get("/me/tokens", summary="List my tokens")
def list_my_tokens(site: Here, me: Me) -> list[CredentialOut]:
    """The tokens of the user that asks."""
    with site.database.reading() as db:
        return _listed(credentials.list_credentials(db, access.get_user(db, me.name), "token"), me)


@router.post("/me/tokens", summary="Make a token of mine", status_code=201)
def make_my_token(site: Here, me: Me, body: NewToken) -> TokenMade:
    """A token with the rights of the user that asks; its secret is in this answer alone."""
    with changing(site) as db:
        return token_made(credentials.make_token(db, access.get_user(db, me.name), body.label, body.days))


@router.delete("/me/credentials/{number}", summary="End a session or token of mine", status_code=204)
def revoke_mine(site: Here, me: Me, number: Number) -> None:
    """What was revoked is refused at once."""
    with changing(site) as db:
        revoke(db, access.get_user(db, me.name), number)


@router.get("/users", summary="List the users")
def list_users(site: Here) -> list[UserOut]:
    """Every user, the enabled ones first."""
    with site.database.reading() as db:
        return users_out(db, access.list_users(db))


@router.post("/users", summary="Add a user", status_code=201)
def add_user(site: Here, body: NewUser) -> UserAdded:
    """Add a user; `link.path` leads it to its first login."""
    with changing(site) as db:
        user = access.add_user(db, body.name, body.role)
        link = link_out(user, credentials.make_link(db, user, timedelta(hours=body.hours)))
        return UserAdded(**UserOut.model_validate(user).model_dump(), link=link)


@router.get("/users/{name}", summary="Show a user")
def get_user(site: Here, name: str) -> UserOut:
    """One user."""
    with site.database.reading() as db:
        return users_out(db, [access.get_user(db, name)])[0]


@router.patch("/users/{name}", summary="Change a user")
def edit_user(site: Here, name: str, body: EditUser) -> UserOut:
    """Give another role, disable or enable; the last administrator stays one."""
    with changing(site) as db:
        user = access.get_user(db, name)
        if body.role is not None:
            access.set_role(db, user, body.role)
        if body.disabled is not None:
            (access.disable if body.disabled else access.enable)(db, user)
        return users_out(db, [user])[0]


@router.post("/users/{name}/link", summary="Make a login link", status_code=201)
def make_link(site: Here, name: str, body: NewLink) -> LinkOut:
    """A link that logs in once as that user; the one made before stops working."""
    with changing(site) as db:
        user = access.get_user(db, name)
        return link_out(user, credentials.make_link(db, user, timedelta(hours=body.hours)))


@router.get("/users/{name}/sessions", summary="List a user's sessions")
def list_sessions(site: Here, me: Me, name: str) -> list[CredentialOut]:
    """The browsers that are logged in as that user."""
    with site.database.reading() as db:
        return _listed(credentials.list_credentials(db, access.get_user(db, name), "session"), me)


@router.delete("/users/{name}/sessions", summary="Log a user out", status_code=204)
def log_user_out(site: Here, name: str) -> None:
    """End all sessions of that user; its tokens stay."""
    with changing(site) as db:
        credentials.log_out(db, access.get_user(db, name))


@router.get("/users/{name}/tokens", summary="List a user's tokens")
def list_tokens(site: Here, me: Me, name: str) -> list[CredentialOut]:
    """The tokens of that user."""
    with site.database.reading() as db:
        return _listed(credentials.list_credentials(db, access.get_user(db, name), "token"), me)


@router.post("/users/{name}/tokens", summary="Make a token", status_code=201)
def make_token(site: Here, name: str, body: NewToken) -> TokenMade:
    """A token with that user's rights; its secret is in this answer alone."""
    with changing(site) as db:
        return token_made(credentials.make_token(db, access.get_user(db, name), body.label, body.days))


@router.delete("/users/{name}/credentials/{number}", summary="End a user's session or token", status_code=204)
def revoke_one(site: Here, name: str, number: Number) -> None:
    """What was revoked is refused at once."""
    with changing(site) as db:
        revoke(db, access.get_user(db, name), number)


def users_out(db: Session, users: list[User]) -> list[UserOut]:
    """Users with the number of their sessions."""
    counts = access.counted_sessions(db)
    return [UserOut.model_validate(user).model_copy(update={"sessions": counts.get(user.id or 0, 0)}) for user in users]


def link_out(user: User, made: Made) -> LinkOut:
    """A new link, by its path."""
    path = f"{LOGIN}?{urlencode({'token': made.secret})}"
    return LinkOut(user=user.name, path=path, expires_at=made.credential.expires_at)


def token_made(made: Made) -> TokenMade:
    """A new token with its secret."""
    return TokenMade(**CredentialOut.model_validate(made.credential).model_dump(), token=made.secret)


def revoke(db: Session, user: User, number: int) -> Credential:
    """End one of that user's; raises `NotFound` for another's, as for none."""
    credential, owner = credentials.get_credential(db, number)
    if owner.id != user.id:
        raise NotFound(f"{user.name} has no session or token {number}", "see: dispatcher user token list", "id")
    credentials.revoke(db, credential, owner)
    return credential


def _listed(rows: list[Credential], me: Who) -> list[CredentialOut]:
    shown = [CredentialOut.model_validate(row) for row in rows]
    return [one.model_copy(update={"current": one.id == me.credential_id}) for one in shown]
