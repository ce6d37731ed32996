"""Which sandboxes this machine can make."""

from __future__ import annotations

import asyncio
from functools import cache

import pytest

from workers.sandbox.attempted import Attempted, attempt
from workers.sandbox.box import LANDLOCK, NONE, STRICT


@cache
def attempted(tier: str) -> Attempted:
    return asyncio.run(attempt(tier))


def default() -> str:
    """The sandbox in which all tests of runs are: the strict one where it works."""
    return STRICT if not attempted(STRICT).reason else NONE


def needs(tier: str) -> pytest.MarkDecorator:
    found = attempted(tier)
    return pytest.mark.skipif(bool(found.reason), reason=f"{found.reason} ({found.fix})")


needs_strict = needs(STRICT)
needs_landlock = needs(LANDLOCK)
