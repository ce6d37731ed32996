"""Work that outlasts its request, in this process: what it said so far, and how it ended, for the pages to show."""

from __future__ import annotations

import asyncio
import contextvars
import logging
import threading
from collections.abc import Callable, Coroutine
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any

from dispatcher.errors import Conflict, DispatcherError
from dispatcher.models import utcnow

MOST_LINES = 50

log = logging.getLogger(__name__)

Say = Callable[[str], None]


@dataclass
class Job:
    """One piece of work; `problem` is why it failed, `result` what it gave."""

    name: str
    began: datetime = field(default_factory=utcnow)
    ended: datetime | None = None
    lines: list[str] = field(default_factory=list)
    result: str = ""
    problem: DispatcherError | None = None

    @property
    def running(self) -> bool:
        """Whether it is still under way."""
        return self.ended is None


class Jobs:
    """The jobs of one web application, the last of each name."""

    def __init__(self) -> None:
        self._jobs: dict[str, Job] = {}
        self._tasks: set[asyncio.Task[Any]] = set()
        self._lock = threading.Lock()

    def get(self, name: str) -> Job | None:
        """The job of that name, running or ended, if there was one."""
        return self._jobs.get(name)

    def start(self, name: str, work: Callable[[Say], str], changed: Callable[[Job], None]) -> Job:
        """Do `work` in a thread; `changed` is called, in it, after each line and at the end. `Conflict` while it runs already.

        The thread is a daemon: a package manager that takes minutes does not hold up the end of the site.
        """
        with self._lock:
            known = self._jobs.get(name)
            if known is not None and known.running:
                raise Conflict(f"{name} is under way already", "wait for its end")
            job = self._jobs[name] = Job(name)
        context = contextvars.copy_context()  # who asked for it
        threading.Thread(target=context.run, args=(_carry, job, work, changed), name=name, daemon=True).start()
        return job

    def spawn(self, work: Coroutine[Any, Any, None]) -> None:
        """Let a coroutine run on its own; it is cancelled when the site ends."""
        task = asyncio.get_running_loop().create_task(work)
        self._tasks.add(task)
        task.add_done_callback(self._done)

    async def close(self) -> None:
        """End the coroutines."""
        tasks = list(self._tasks)
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)

    def _done(self, task: asyncio.Task[Any]) -> None:
        self._tasks.discard(task)
        if not task.cancelled() and (error := task.exception()) is not None:
            log.error("work in the background failed", exc_info=error)


def _carry(job: Job, work: Callable[[Say], str], changed: Callable[[Job], None]) -> None:
    def say(line: str) -> None:
        job.lines = [*job.lines[1 - MOST_LINES :], line]
        changed(job)

    try:
        job.result = work(say)
    except DispatcherError as error:
        job.problem = error
    except Exception:
        log.exception("%s failed", job.name)
        job.problem = DispatcherError("something went wrong in the dispatcher itself", "the site's log has the details")
    job.ended = utcnow()
    changed(job)
