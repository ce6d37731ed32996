"""The pages, whole on the server: each area is one module, with what its forms do."""

from __future__ import annotations

from fastapi import APIRouter

from web.pages import board, ticket

router = APIRouter(include_in_schema=False)
for part in (board, ticket):
    router.include_router(part.router)
