"""The review of a ticket: what its branch changes, what one says about lines of it, and the verdicts."""

from __future__ import annotations

from fastapi import APIRouter

from web.pages.review import drafting, verdicts, viewing
from web.pages.review.viewing import show_changes

__all__ = ["router", "show_changes"]

router = APIRouter()
for part in (viewing, drafting, verdicts):
    router.include_router(part.router)
