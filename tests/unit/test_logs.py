"""What is logged says which run it is about, in both forms, also from threads and tasks."""

from __future__ import annotations

import asyncio
import json
import logging
from collections.abc import Iterator

import pytest

from dispatcher import logs
from dispatcher.settings import Settings

log = logging.getLogger("workers.test")


@pytest.fixture(autouse=True)
def _root() -> Iterator[None]:
    root = logging.getLogger()
    before, level = root.handlers[:], root.level
    yield
    for handler in set(root.handlers) - set(before):
        if type(handler) is logging.StreamHandler:
            root.removeHandler(handler)
    root.setLevel(level)


async def test_a_line_carries_what_it_is_about(capsys: pytest.CaptureFixture[str]) -> None:
    logs.configure(Settings())
    with logs.about(run_id=7), logs.about(ticket_id=3):
        log.info("it began")
        await asyncio.to_thread(log.warning, "in a thread")
        await asyncio.create_task(_later())
    log.info("after")
    first, second, third, fourth = capsys.readouterr().err.splitlines()
    assert first.endswith("INFO workers.test: run_id=7 ticket_id=3 it began")
    assert second.endswith("WARNING workers.test: run_id=7 ticket_id=3 in a thread")
    assert "run_id=7 ticket_id=3 in a task" in third and fourth.endswith("INFO workers.test: after")


async def _later() -> None:
    log.info("in a task")


def test_json_lines_are_one_object_each(capsys: pytest.CaptureFixture[str]) -> None:
    logs.configure(Settings(log_format="json", log_level="warning"))
    log.info("not this")
    with logs.about(run_id=7):
        try:
            raise ValueError("two\nlines")
        except ValueError:
            log.exception("it %s", "broke")
    (line,) = capsys.readouterr().err.splitlines()
    entry = json.loads(line)
    assert (entry["level"], entry["logger"], entry["message"], entry["run_id"]) == ("error", "workers.test", "it broke", 7)
    assert "ValueError: two\nlines" in entry["error"] and entry["at"].endswith("+00:00")


def test_noisy_libraries_are_kept_quiet(capsys: pytest.CaptureFixture[str]) -> None:
    logs.configure(Settings())
    logging.getLogger("httpx").info("GET /")
    assert capsys.readouterr().err == ""
