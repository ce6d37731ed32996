"""What a crash costs: one worker's death with the settings as they come, and that of everything at once."""

from __future__ import annotations

import os
import signal
import time
from contextlib import ExitStack
from pathlib import Path

from dispatcher.embedded import EmbeddedRedis
from dispatcher.models import Endpoint
from tests.benchmarks.figures import Figure
from tests.benchmarks.ground import IDENTITY, repository
from tests.chaos.ground import ground
from tests.processes import started, wait_until

QUEUED, RUNNING = 100, 8
WORK = ("say begun", 'test -e "$HOME/half" || { touch "$HOME/half"; sleep 600; }', "echo x >> a.txt", "say Done.")
QUICK = ("echo x >> a.txt", "say Done.")


async def recovery(folder: Path) -> list[Figure]:
    """From kill -9 of a worker to the harness's new start on another: lease and sweeper as they are by default."""
    return _recovery(folder)


async def outage(folder: Path) -> list[Figure]:
    """Kill -9 of web app, workers and Redis at once, with tickets queued and running; all end exactly once."""
    return _outage(folder)  # here, for Redis ends with the thread that starts it


def _recovery(folder: Path) -> list[Figure]:
    os.environ.update(IDENTITY)
    with ground(folder, "", repository(folder / "repo")) as here:
        key = here.file(*WORK)
        with started("worker", here.settings) as first:
            here.until(lambda: here.begun(key))
            with started("worker", here.settings) as second:
                wait_until(lambda: "takes up to" in second.said())
                killed = time.monotonic()
                first.kill()
                wait_until(lambda: here.run(key).number == 2 and here.run(key).started_at is not None, 90, here.said)
                seconds = time.monotonic() - killed
                here.settled(key)
        states = [run.state for run in here.runs(key)]
        assert states == ["lost", "succeeded"] and here.run(key).resume == "fake-1", states
    detail = f"lease {here.settings.lease_seconds:g} s, swept each {here.settings.sweep_seconds:g} s; the same session goes on"
    return [Figure("from kill -9 of a worker to its run's new start", seconds, 45, "s", detail)]


def _outage(folder: Path) -> list[Figure]:
    os.environ.update(IDENTITY)
    with ground(folder, "", repository(folder / "repo")) as here:
        here.edit(Endpoint, slots=RUNNING)
        running = [here.file(*WORK) for _ in range(RUNNING)]
        redis = EmbeddedRedis(folder / "redis")
        redis.start()
        with ExitStack() as stack:
            changed = {"redis_url": redis.url, "runs_at_once": RUNNING // 2}
            processes = [stack.enter_context(started(what, here.settings, **changed)) for what in ("web", "worker", "worker")]
            here.until(lambda: all(here.begun(key) for key in running), 60)
            queued = [here.file(*QUICK) for _ in range(QUEUED)]
            os.kill(redis.pid or 0, signal.SIGKILL)
            for one in processes:
                one.kill()
        redis.close()
        began = time.monotonic()
        redis.start()
        with redis, ExitStack() as stack:
            for what in ("web", "worker", "worker"):
                stack.enter_context(started(what, here.settings, **changed))
            here.until(lambda: here.count_ended() == QUEUED + 2 * RUNNING, 300)
        seconds = time.monotonic() - began
        wrong = [key for key in queued if [run.state for run in here.runs(key)] != ["succeeded"]]
        wrong += [key for key in running if [run.state for run in here.runs(key)] != ["lost", "succeeded"]]
        wrong += [key for key in (*running, *queued) if here.git("show", f"agent/{key}:a.txt") != "x"]
        here.whole(*running, *queued)
    what = f"tickets of {QUEUED} queued and {RUNNING} running that did not end exactly once after kill -9 of everything"
    return [
        Figure(what, len(wrong), 0, "tickets", ", ".join(wrong)),
        Figure("until all of them were in review again", seconds, 180, "s", "a lease of 30 s is part of it"),
    ]
