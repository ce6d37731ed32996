"""Which secrets a run must not tell: its endpoint's key, and what its project has for GitHub."""

from __future__ import annotations

from typing import get_args

from adapters.redact import Redactor
from dispatcher.github import secrets
from dispatcher.models import Endpoint, Project
from dispatcher.settings import Settings

LOGS = {"stdout": "stdout", "stderr": "stderr", "check": "check.log", "setup": "setup.log"}
"""What a run's programs printed: the files of its folder, by what they are asked for as."""


def redactor(settings: Settings, project: Project, endpoint: Endpoint, *more: str) -> Redactor:
    """Masks them, and `more`, as far as this process knows them."""
    kept = (secrets.read(settings, project.key, what) for what in get_args(secrets.What))
    return Redactor(frozenset({endpoint.key(), *kept, *more} - {""}))
