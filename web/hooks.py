"""Where GitHub's deliveries come in: checked against the secret, written down, answered; they are worked off elsewhere.

Outside the login: a delivery proves itself by its signature. Nothing is read from it, and nothing told, before that fits. A
project that does not exist answers as one whose signature is wrong, so that nobody can ask which projects there are.
"""

from __future__ import annotations

import json
import logging
import re
from typing import Any

from fastapi import APIRouter, Request
from sqlmodel import Session, select
from starlette.concurrency import run_in_threadpool
from starlette.responses import JSONResponse, Response

from dispatcher.crashing import point
from dispatcher.github import inbox, secrets
from dispatcher.github.verify import HEADER, signed
from dispatcher.models import GitHubRepo, Project, utcnow
from web.errors import Problem
from web.site import Here, Site

LIMIT = 1_000_000
"""Bytes of one delivery. GitHub sends up to 25 MB; what is refused here is found by the catch-up."""
_KEY = re.compile(r"[A-Za-z0-9]{1,40}")
_GUID = re.compile(r"[A-Za-z0-9-]{1,64}")
_EVENT = re.compile(r"[a-z_]{1,64}")

router = APIRouter(include_in_schema=False)
log = logging.getLogger(__name__)


@router.post("/hooks/github/{project}", name="github-hook")
async def receive(request: Request, site: Here, project: str) -> Response:
    """One delivery: 202 for a new one, 200 for one that is here already."""
    try:
        body = await _body(request)
    except OverflowError:
        words = f"it has more than {LIMIT:,} bytes; what it told is found by the catch-up"
        await run_in_threadpool(_note, site, project, words)
        return _refuse(413, f"a delivery may have {LIMIT:,} bytes", "too_large")
    header = request.headers.get(HEADER, "")
    secret = await run_in_threadpool(secrets.read, site.settings, project, "secret") if _KEY.fullmatch(project) else ""
    if not signed(secret, body, header):
        await run_in_threadpool(_note, site, project, _why(secret, header))
        return _refuse(401, "the signature is not that of the project's secret", "bad_signature")
    guid, event = request.headers.get("x-github-delivery", ""), request.headers.get("x-github-event", "")
    if not _GUID.fullmatch(guid) or not _EVENT.fullmatch(event):
        return _refuse(400, "X-GitHub-Delivery or X-GitHub-Event is missing", "bad_request")
    if request.headers.get("content-type", "").partition(";")[0].strip().lower() != "application/json":
        await run_in_threadpool(
            _note, site, project, "its content type is not application/json: choose that in the webhook's settings"
        )
        return _refuse(415, "choose the content type application/json in the webhook's settings", "unsupported")
    try:
        payload = json.loads(body, parse_constant=_no_number)
    except (ValueError, RecursionError):
        payload = None
    if not isinstance(payload, dict):
        return _refuse(400, "the body is no JSON object", "bad_request")
    new = await run_in_threadpool(_take, site, project, guid, event, payload)
    point("webhook.stored")
    if new is None:
        return _refuse(401, "the signature is not that of the project's secret", "bad_signature")
    return JSONResponse({"delivery": guid, "new": new}, 202 if new else 200)


async def _body(request: Request) -> bytes:
    """The body's bytes as they came; raises `OverflowError` as soon as there are too many."""
    length = request.headers.get("content-length", "0")
    if length.isdigit() and int(length) > LIMIT:
        raise OverflowError
    body = bytearray()
    async for chunk in request.stream():
        body += chunk
        if len(body) > LIMIT:
            raise OverflowError
    return bytes(body)


def _no_number(text: str) -> None:
    """NaN and infinities, which Python reads, are no JSON, and PostgreSQL refuses them."""
    raise ValueError(text)


def _take(site: Site, project: str, guid: str, event: str, payload: dict[str, Any]) -> bool | None:
    with site.database.transaction() as db:
        repo = _repo(db, project)
        return inbox.receive(db, inbox.addressee(db, repo, payload), guid, event, payload) if repo is not None else None


def _note(site: Site, project: str, why: str) -> None:
    """Tell the project's page that deliveries are refused; at most every few seconds, since anybody can send one."""
    with site.database.reading() as db:
        repo = _repo(db, project)
        now = utcnow()
        if repo is None or (repo.refused_at is not None and (now - repo.refused_at).total_seconds() < 10):
            return
    log.warning("a delivery for %s was refused: %s", repo.repository, why)
    with site.database.transaction() as db:
        row = db.get(GitHubRepo, repo.id)
        if row is not None:
            row.refused_at, row.refused = now, why
            db.add(row)


def _repo(db: Session, project: str) -> GitHubRepo | None:
    if not _KEY.fullmatch(project):  # PostgreSQL refuses to be asked for a text with NUL
        return None
    query = select(GitHubRepo).join(Project).where(Project.key == project.upper())
    return db.exec(query).first()


def _why(secret: str, header: str) -> str:
    if not secret:
        return "there is no secret here: dispatcher github connect makes one"
    if not header:
        return "it carries no SHA-256 signature: enter the secret in the webhook's settings"
    return "its signature was made with another secret: enter the one of this project in the webhook's settings"


def _refuse(status: int, words: str, code: str) -> Response:
    return JSONResponse(Problem(status, words, code=code).body(), status)
