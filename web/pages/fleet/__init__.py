"""The fleet: endpoints, agents, workers, harnesses and projects, to look at and to change."""

from __future__ import annotations

from fastapi import APIRouter

from web.pages.fleet import agents, endpoints, harnesses, overview, projects, workers

router = APIRouter()
for part in (overview, endpoints, agents, projects, workers, harnesses):
    router.include_router(part.router)
