"""What every request needs: settings, database, doorbell, feed, who may enter, and what goes on in the background."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Annotated

from fastapi import Depends, Request
from pydantic import Field

from dispatcher.db import Database
from dispatcher.queue import Bell
from dispatcher.settings import Settings
from web.gate import Gate
from web.inventory import Inventory
from web.jobs import Jobs
from web.stream import Feed

LARGEST = 2**63 - 1
"""What databases take as a number (https://www.sqlite.org/datatype3.html); a larger one is no fault of theirs."""


@dataclass(frozen=True)
class Site:
    """One running web application."""

    settings: Settings
    database: Database
    bell: Bell | None
    feed: Feed
    gate: Gate
    jobs: Jobs
    inventory: Inventory


def _site(request: Request) -> Site:
    site: Site = request.app.state.site
    return site


Number = Annotated[int, Field(ge=0, le=LARGEST)]
"""A row's number, a cursor or an offset, as requests name them."""

# Each endpoint opens its own `transaction()`, and not by a dependency: those are entered and left in other threads of the
# pool, so that a request could hold the write lock while it waits for a thread that waits for the lock.
Here = Annotated[Site, Depends(_site)]
