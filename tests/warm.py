"""What a command or a server of ours works out once in each process, for the process that others are forked from.

No thread may be left behind: a fork takes along the one that forks, alone.
"""

from __future__ import annotations

import tempfile
import threading
from pathlib import Path

import anyio._backends._asyncio  # noqa: F401  (found by its name at the first use, a tenth of a second)
from sqlmodel import select

from dispatcher.cli import app, program
from dispatcher.db import Database
from dispatcher.models import User
from dispatcher.settings import Settings
from tests.webbing import operations
from web.app import create_app

with tempfile.TemporaryDirectory() as folder:
    program(app)
    settings = Settings(home=Path(folder), database_url="")
    list(operations(create_app(settings).routes))
    database = Database(settings.database)
    database.migrate()
    with database.reading() as db:
        db.exec(select(User)).all()
    database.close()
assert threading.active_count() == 1
