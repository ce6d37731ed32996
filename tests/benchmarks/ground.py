"""A house with a Redis, a doorbell and a repository of some size, in this process."""

from __future__ import annotations

import asyncio
import contextlib
import os
import subprocess
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

from dispatcher.embedded import EmbeddedRedis
from dispatcher.queue import Bell
from tests.house import House, house
from workers.crew import Crew
from workers.main import _answer, _listen

FILES = 400


def repository(folder: Path) -> Path:
    """A repository with some hundred files, as small projects have."""
    folder.mkdir(parents=True)
    for number in range(FILES):
        path = folder / f"package{number % 20}" / f"module{number}.py"
        path.parent.mkdir(exist_ok=True)
        path.write_text(f"def value{number}() -> int:\n    return {number}\n" * 20)
    for command in (["init", "-q", "-b", "main"], ["add", "."], ["commit", "-q", "-m", "Begin"]):
        subprocess.run(["git", *command], cwd=folder, check=True, env=os.environ | IDENTITY)
    return folder


IDENTITY = {
    "GIT_CONFIG_GLOBAL": os.devnull,
    "GIT_AUTHOR_NAME": "Ada",
    "GIT_AUTHOR_EMAIL": "ada@example.org",
    "GIT_COMMITTER_NAME": "Ada",
    "GIT_COMMITTER_EMAIL": "ada@example.org",
}


@asynccontextmanager
async def ground(folder: Path, **settings: Any) -> AsyncIterator[tuple[House, Crew, EmbeddedRedis]]:
    """A house whose worker answers a real doorbell."""
    os.environ.update(IDENTITY)
    with EmbeddedRedis(folder / "redis") as redis:
        async with Bell.open(redis.url) as bell, house(folder, "", repository(folder / "repo"), **settings) as made:
            made.database.after_commit = bell.after_commit
            crew = made.crew()
            answering = asyncio.gather(_answer(bell, crew), _listen(bell, crew))
            await asyncio.sleep(0.3)
            try:
                yield made, crew, redis
            finally:
                answering.cancel()
                with contextlib.suppress(asyncio.CancelledError):
                    await answering
