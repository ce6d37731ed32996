"""The registry of model endpoints, and their health."""

from __future__ import annotations

import re
from itertools import chain, count
from typing import Any
from urllib.parse import urlsplit

from sqlmodel import Session, col, select

from dispatcher import activity
from dispatcher.addresses import check_host, check_reach
from dispatcher.diagnosis import Fault
from dispatcher.discovery import Found, discover
from dispatcher.errors import Conflict, Invalid, NotFound
from dispatcher.models import Agent, Endpoint, Run, Ticket, utcnow
from dispatcher.naming import check_name, one_line
from dispatcher.probing import Health, check, offered
from dispatcher.runs import slots_in_use, tickets_with
from dispatcher.states import HELD_RUN
from dispatcher.text import storable

__all__ = [
    "Found",
    "Health",
    "add_endpoint",
    "apply_changes",
    "check",
    "check_address",
    "checked_url",
    "discover",
    "edit_endpoint",
    "free_name",
    "get_endpoint",
    "held_by",
    "list_endpoints",
    "models_at",
    "named",
    "offered_endpoint",
    "record_health",
    "remove_endpoint",
    "slots_in_use",
]

MODEL_LIMIT = 300
SHORTEST_CONTEXT = 1024
DEFAULT_CONTEXT = 32768
DEFAULT_OUTPUT = 8192
MOST_SLOTS = 1024

_VERSION = re.compile(r"v\d+\w*")
_VARIABLE = re.compile(r"[A-Za-z_][A-Za-z0-9_]*")
# The beginnings that providers give their keys, and a long mix of lower case and digits, which no variable is named.
_KEY = re.compile(
    r"(sk|pk|rk|gsk|hf|xai|nvapi|key|ghp|AIza)[-_]?[A-Za-z0-9\-_]{16,}|(?=.*\d)(?=.*[a-z])[A-Za-z0-9\-_.+/=]{28,}"
)


def add_endpoint(
    db: Session,
    *,
    name: str,
    base_url: str,
    model: str,
    key_env: str = "",
    context_length: int | None = None,
    output_length: int | None = None,
    slots: int = 1,
) -> Endpoint:
    """Register a model server; lengths are in tokens. Raises `Invalid`, and `Conflict` for a name that is taken."""
    context = DEFAULT_CONTEXT if context_length is None else context_length
    output = min(DEFAULT_OUTPUT, context // 4) if output_length is None else output_length
    _check_numbers(context, output, slots)
    endpoint = Endpoint(
        name=check_name(name),
        base_url=checked_url(base_url),
        model=_model(model),
        key_env=_key_env(key_env.strip()),
        context_length=context,
        output_length=output,
        slots=slots,
    )
    if db.exec(select(Endpoint.id).where(Endpoint.name == name)).first() is not None:
        raise Conflict(
            f"there is an endpoint named {name} already", f"choose another name, or: dispatcher endpoint remove {name}", "name"
        )
    db.add(endpoint)
    db.flush()
    activity.record(db, "endpoint.added", name=name, base_url=endpoint.base_url, model=endpoint.model)
    return endpoint


def edit_endpoint(
    db: Session,
    endpoint: Endpoint,
    *,
    base_url: str | None = None,
    model: str | None = None,
    key_env: str | None = None,
    context_length: int | None = None,
    output_length: int | None = None,
    slots: int | None = None,
) -> Endpoint:
    """Change what is given; the name stays, for it is the key.

    Raises `Invalid`, and `Conflict` where the address or the key would change under runs that a worker has in hand. Where
    address, key or model change, what the last check found is dropped, for it is no longer known.
    """
    db.refresh(endpoint, with_for_update=True)  # so that no worker claims a run of it meanwhile
    _check_numbers(
        endpoint.context_length if context_length is None else context_length,
        endpoint.output_length if output_length is None else output_length,
        endpoint.slots if slots is None else slots,
    )
    given = {
        "base_url": None if base_url is None else checked_url(base_url),
        "model": None if model is None else _model(model),
        "key_env": None if key_env is None else _key_env(key_env.strip()),
        "context_length": context_length,
        "output_length": output_length,
        "slots": slots,
    }
    changed = {field: value for field, value in given.items() if value is not None and value != getattr(endpoint, field)}
    for field, words in (("base_url", "address"), ("key_env", "key")):
        if field in changed and (held := held_by(db, endpoint)):
            raise Conflict(
                f"{named(held)} runs on {endpoint.name}: its {words} cannot change under a run",
                "let it end or stop it first, or add a second endpoint",
                field,
            )
    if {"base_url", "key_env", "model"} & changed.keys():
        endpoint.health = endpoint.checked_at = None
    apply_changes(db, endpoint, changed, "endpoint.edited", name=endpoint.name)
    return endpoint


def get_endpoint(db: Session, name: str) -> Endpoint:
    """The endpoint of that name; raises `NotFound`."""
    endpoint = db.exec(select(Endpoint).where(Endpoint.name == name)).first()
    if endpoint is None:
        known = ", ".join(db.exec(select(Endpoint.name).order_by(Endpoint.name))) or "none yet: dispatcher endpoint add"
        raise NotFound(f"there is no endpoint {name!r}", f"endpoints: {known}", "endpoint")
    return endpoint


def list_endpoints(db: Session, *, retired: bool = False) -> list[Endpoint]:
    """The endpoints that agents may use, by name; with those that are retired where asked."""
    query = select(Endpoint).order_by(col(Endpoint.retired_at).is_not(None), col(Endpoint.name))
    return list(db.exec(query if retired else query.where(col(Endpoint.retired_at).is_(None))))


def offered_endpoint(db: Session, name: str) -> Endpoint:
    """The endpoint of that name, which an agent may use; raises `NotFound`, and `Conflict` for a retired one."""
    endpoint = get_endpoint(db, name)
    if endpoint.retired_at is not None:
        raise Conflict(
            f"{name} is retired", f"bring it back: dispatcher endpoint restore {name}; or choose another", "endpoint"
        )
    return endpoint


def held_by(db: Session, endpoint: Endpoint) -> list[str]:
    """The tickets whose runs workers have in hand on this endpoint."""
    query = select(Ticket.key).join(Run, col(Run.ticket_id) == col(Ticket.id))
    held = query.where(Run.endpoint_id == endpoint.id, col(Run.state).in_(HELD_RUN))
    return list(db.exec(held.distinct().order_by(Ticket.key)))


async def models_at(base_url: str, key_env: str = "") -> list[str]:
    """What a server lists, before there is an endpoint; raises `Invalid` with the fix where it does not answer well."""
    url = checked_url(base_url)
    found = await offered(Endpoint(name="new", base_url=url, model="", key_env=_key_env(key_env.strip())))
    if isinstance(found, Fault):
        raise Invalid(found.message, found.hint, "key_env" if found.state == "auth" else "base_url")
    return found


def free_name(db: Session, product: str) -> str:
    """A name for a server that was found: "ollama" for Ollama, "ollama-2" where that is taken."""
    base = re.sub(r"[^a-z0-9]+", "-", product.lower()).strip("-")[:40] or "local"
    taken = set(db.exec(select(Endpoint.name)))
    return next(name for name in chain([base], (f"{base}-{number}" for number in count(2))) if name not in taken)


def remove_endpoint(db: Session, endpoint: Endpoint) -> None:
    """Take an endpoint off the registry; raises `Conflict` naming the agents that use it, or the tickets that it served."""
    agents = list(db.exec(select(Agent.name).where(Agent.endpoint_id == endpoint.id).order_by(Agent.name)))
    if agents:
        raise Conflict(
            f"{endpoint.name} is used by {named(agents)}",
            "give them another endpoint, or remove them: dispatcher agent edit, dispatcher agent remove",
            "endpoint",
        )
    if tickets := tickets_with(db, Run.endpoint_id == endpoint.id):
        raise Conflict(
            f"{endpoint.name} served runs of {named(tickets)}",
            f"it stays with their history; to offer it no more: dispatcher endpoint retire {endpoint.name}",
            "endpoint",
        )
    activity.record(db, "endpoint.removed", name=endpoint.name)
    db.delete(endpoint)


def record_health(db: Session, endpoint: Endpoint, health: Health) -> None:
    """Keep what a check found on the endpoint's row."""
    endpoint.health, endpoint.checked_at, endpoint.checking = storable(health.model_dump(mode="json")), utcnow(), None
    db.add(endpoint)
    activity.record(db, "endpoint.checked", name=endpoint.name, ok=health.ok, state=health.state, message=health.message)


def apply_changes(db: Session, row: Endpoint | Agent, changed: dict[str, Any], kind: str, **data: Any) -> None:
    """Write changed fields to a row, and record which; nothing where there is none."""
    for field, value in changed.items():
        setattr(row, field, value)
    db.add(row)
    if changed:
        activity.record(db, kind, **data, fields=sorted(changed))


def named(names: list[str], most: int = 5) -> str:
    """A few names as text: "a, b and 3 more"."""
    rest = len(names) - most
    return ", ".join(names[:most]) + (f" and {rest} more" if rest > 0 else "")


def checked_url(url: str) -> str:
    """A base URL as endpoints keep it; raises `Invalid` with the one that was meant."""
    url = one_line(url, "base_url", 500).rstrip("/")
    try:
        parts = urlsplit(url)
        _port = parts.port
    except ValueError as error:
        raise Invalid(f"{url!r} is no URL: {error}", "for example: http://127.0.0.1:11434/v1", "base_url") from error
    if parts.scheme not in ("http", "https") or not parts.hostname:
        better = f"http://{url.removeprefix('//')}" if not parts.scheme or "://" not in url else "http://127.0.0.1:11434/v1"
        raise Invalid(f"{url!r} is no http or https URL", f"for example: {better}", "base_url")
    if parts.username or parts.password:
        raise Invalid(
            "base_url holds a user name or a password", "leave it out, and name the key's variable in key_env", "base_url"
        )
    check_host(url)
    if parts.query or parts.fragment:
        raise Invalid(f"{url!r} has a query or a fragment", f"use {url.partition('?')[0].partition('#')[0]}", "base_url")
    return _with_version(url, parts.path)


async def check_address(url: str) -> None:
    """Look at where a base URL leads, before it is kept; raises `Invalid` where that is no place for an endpoint.

    A name is looked up, so this is asked before the transaction. Empty stands for one that is not given.
    """
    if url:
        await check_reach(checked_url(url))


def _with_version(url: str, path: str) -> str:
    """The URL where its path ends with the API's version, as in /v1; raises `Invalid` with the fix."""
    for tail in ("/chat/completions", "/completions", "/models", "/responses"):
        if path.endswith(tail):
            raise Invalid(f"{url!r} is one call of the API, not its base URL", f"use {url.removesuffix(tail)}", "base_url")
    if not any(_VERSION.fullmatch(segment) for segment in path.split("/")):
        base = url.removesuffix("/api") if path == "/api" else url
        raise Invalid(f"{url!r} does not end in /v1, where an OpenAI-compatible API begins", f"use {base}/v1", "base_url")
    return url


def _model(model: str) -> str:
    model = one_line(model, "model", MODEL_LIMIT)
    if not model:
        raise Invalid("the model's name is empty", "see what the server offers: dispatcher endpoint discover", "model")
    return model


def _key_env(key_env: str) -> str:
    # What looks like a key is not repeated in the message: messages end in logs and terminals.
    if _KEY.fullmatch(key_env):
        raise Invalid(
            "key_env looks like the key itself; it is the NAME of the environment variable that holds it",
            "export LOCAL_API_KEY=... where the worker and the site run, and give LOCAL_API_KEY here",
            "key_env",
        )
    if key_env and not _VARIABLE.fullmatch(key_env):
        raise Invalid("key_env is no name of an environment variable", "letters, digits and _ as in LOCAL_API_KEY", "key_env")
    return key_env


def _check_numbers(context: int, output: int, slots: int) -> None:
    if not 1 <= slots <= MOST_SLOTS:
        raise Invalid(f"slots is {slots}", f"give 1 to {MOST_SLOTS}: how many runs the server works on at once", "slots")
    if context < SHORTEST_CONTEXT:
        raise Invalid(
            f"context_length is {context}; an agent needs {SHORTEST_CONTEXT} tokens at the least",
            "give the length that the server was started with, for example 32768",
            "context_length",
        )
    if not 1 <= output <= context:
        raise Invalid(
            f"output_length is {output}, and context_length {context}", "give more than 0, and no more than it", "output_length"
        )
