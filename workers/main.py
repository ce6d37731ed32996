"""A worker process: answers the doorbell, and goes on by the database alone when Redis is away."""

from __future__ import annotations

import asyncio
import json
import logging
import os
import secrets
import signal
import socket
from collections.abc import Awaitable, Callable
from contextlib import AsyncExitStack
from importlib.metadata import version
from typing import Any, cast

from arq.typing import WorkerCoroutine
from arq.worker import Worker as Arq
from arq.worker import func
from redis.exceptions import RedisError
from sqlalchemy.exc import OperationalError

from dispatcher import harnesses, roster
from dispatcher.db import Database
from dispatcher.garbage import spare_what_is_here
from dispatcher.github.tend import Tender
from dispatcher.queue import JOB, QUEUE, Bell, to_json
from dispatcher.settings import Settings
from dispatcher.upkeep import tidy
from workers.crew import Crew
from workers.gateway import Gateway
from workers.hands import Hands
from workers.sandbox.attempted import attempt_all

STOP_FLAG_SECONDS = 0.3
HEARTBEAT_SECONDS = 5.0
REPORT_SECONDS = 60.0
"""How often a worker looks which harnesses its machine has."""
SANDBOX_SECONDS = 600.0
"""How often it tries which sandboxes its machine can make."""
DOORBELL_SECONDS = 0.5
"""How often arq looks for a ring that nobody heard. Looking every 0.02 s instead of listening cost 3 % of a core."""

log = logging.getLogger(__name__)


def run(settings: Settings) -> None:
    """Work until SIGTERM or SIGINT; the runs in hand are then handed back, and continue with the next worker."""
    asyncio.run(_work(settings))


async def _work(settings: Settings) -> None:
    stopping = asyncio.Event()
    loop = asyncio.get_running_loop()
    for number in (signal.SIGTERM, signal.SIGINT):
        loop.add_signal_handler(number, _stop, stopping)
    async with AsyncExitStack() as stack:
        bell = await stack.enter_async_context(Bell.open(settings.redis_url)) if settings.redis_url else None
        database = Database(settings.database, after_commit=bell.after_commit if bell else None)
        stack.callback(database.close)
        await asyncio.to_thread(database.migrate)
        hands = Hands(settings, database, Gateway(), f"{socket.gethostname()}:{os.getpid()}:{secrets.token_hex(2)}")
        crew = Crew(hands)
        stack.push_async_callback(hands.write, roster.sign_off, hands.name)
        stack.push_async_callback(crew.close)
        await _beat(hands)
        async with asyncio.TaskGroup() as group:
            duties = [
                group.create_task(_every(settings.sweep_seconds, crew.take_over, crew.take)),
                group.create_task(_every(settings.lease_seconds / 3, crew.renew)),
                group.create_task(_every(settings.github_seconds, Tender(settings, database, hands.name).tend)),
                group.create_task(_every(STOP_FLAG_SECONDS, crew.heed_stops)),
                group.create_task(_every(HEARTBEAT_SECONDS, lambda: _beat(hands))),
                group.create_task(_every(REPORT_SECONDS, lambda: _report(hands))),
                group.create_task(_every(SANDBOX_SECONDS, lambda: _try_sandboxes(hands))),
                group.create_task(_every(settings.upkeep_seconds, lambda: asyncio.to_thread(_tidy, hands))),
            ]
            if bell is not None:
                duties += [group.create_task(_answer(bell, crew)), group.create_task(_listen(bell, crew))]
            spare_what_is_here()
            log.info("worker %s takes up to %s runs at once", hands.name, settings.runs_at_once)
            await stopping.wait()
            for duty in duties:
                duty.cancel()


def _stop(stopping: asyncio.Event) -> None:
    if stopping.is_set():
        os._exit(130)  # asked twice: at once; the harnesses die with this process, the next worker takes their runs
    stopping.set()


async def _every(seconds: float, *duties: Callable[[], Awaitable[Any]]) -> None:
    while True:
        for duty in duties:
            try:
                await duty()
            except OperationalError as error:
                log.warning("the database does not answer (%s); trying again", str(error.orig).strip())
        await asyncio.sleep(seconds)


async def _answer(bell: Bell, crew: Crew) -> None:
    """Answer rings; arq leaves when Redis goes away for a moment, so it is brought back."""

    async def ring(_context: dict[Any, Any], *args: Any, **_: Any) -> None:
        await crew.take(int(args[0]))

    while True:
        arq = Arq(
            functions=[func(cast("WorkerCoroutine", ring), name=JOB, keep_result=0, max_tries=1, timeout=60)],
            redis_pool=bell.redis,
            queue_name=QUEUE,
            handle_signals=False,
            poll_delay=DOORBELL_SECONDS,
            keep_result=0,
            retry_jobs=False,
            max_jobs=64,
            job_serializer=to_json,
            job_deserializer=json.loads,
            log_results=False,
        )
        try:
            await arq.main()
        except (RedisError, OSError) as error:
            bell.noticed(error)
        finally:
            await _dismiss(arq)
        await asyncio.sleep(1)


async def _listen(bell: Bell, crew: Crew) -> None:
    """Answer rings at once, as they are heard."""
    async for run_id in bell.rings():
        try:
            await crew.take(run_id)
        except OperationalError as error:
            log.warning("the database does not answer (%s); the sweeper takes the run later", str(error.orig).strip())


async def _dismiss(arq: Arq) -> None:
    """End arq's own tasks, but keep the connection, which is the bell's."""
    for task in arq.tasks.values():
        task.cancel()
    await asyncio.gather(*arq.tasks.values(), return_exceptions=True)


async def _beat(hands: Hands) -> None:
    await hands.write(
        roster.beat,
        hands.name,
        host=socket.gethostname(),
        pid=os.getpid(),
        version=version("ticket-dispatcher"),
        runs_at_once=hands.settings.runs_at_once,
    )


async def _try_sandboxes(hands: Hands) -> None:
    """Tell which sandboxes this machine can make."""
    found = {one.tier: f"{one.reason}: {one.fix}" if one.reason else "" for one in await attempt_all()}
    for tier, reason in found.items():
        if reason:
            log.warning("runs in the %s sandbox are refused: %s", tier, reason)
    await hands.write(roster.report_sandboxes, hands.name, found)


async def _report(hands: Hands) -> None:
    """Tell which harnesses this machine has."""
    try:
        rows = await asyncio.to_thread(harnesses.list_harnesses, hands.settings.harness_root)
    except OSError as error:
        log.warning("the harnesses of this machine cannot be listed (%s); trying again", error)
        return
    await hands.write(roster.report, hands.name, harnesses.told(rows))


def _tidy(hands: Hands) -> None:
    done = tidy(hands.database, hands.settings)
    for one in done.gone:
        log.info("removed %s of %s: %s", one.kind, one.what, one.because)
    for one, why in done.failed:
        log.warning("%s of %s cannot be removed: %s", one.kind, one.what, why)
