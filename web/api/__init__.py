"""The JSON API, version 1: the command line uses it too."""

from __future__ import annotations

from fastapi import APIRouter

from web.api import access, board, feed, github, inbox, registry, review, runs, tickets
from web.schemas import ErrorOut

PREFIX = "/api/v1"

_ERRORS = {
    401: "A login is needed, or the token does not hold.",
    403: "The role does not allow it.",
    404: "There is no such thing.",
    409: "Not now: the state does not allow it.",
    413: "The body is too large.",
    422: "An input that cannot be taken; `field` names it.",
    429: "That was too often; `Retry-After` says when to try again.",
}

router = APIRouter(
    prefix=PREFIX, responses={status: {"model": ErrorOut, "description": words} for status, words in _ERRORS.items()}
)
for part in (registry, board, tickets, inbox, review, runs, feed, access, github):
    router.include_router(part.router)
