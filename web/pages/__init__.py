"""The pages, whole on the server: each area is one module, with what its forms do."""

from __future__ import annotations

from fastapi import APIRouter, Depends

from web.pages import (
    actions,
    attempts,
    audit,
    board,
    bulk,
    checks,
    filing,
    fleet,
    github,
    inbox,
    login,
    moves,
    people,
    preview,
    review,
    start,
    ticket,
    transcript,
)
from web.shell import enter

router = APIRouter(include_in_schema=False, dependencies=[Depends(enter)])
for part in (
    *(github, login, people, audit, board, filing, bulk, moves, inbox),
    *(ticket, actions, checks, attempts, transcript, review, preview, fleet, start),
):
    router.include_router(part.router)
