"""A full disk stops new work, and nothing of what is there."""

from __future__ import annotations

import os
import shutil
import subprocess
from collections.abc import Iterator
from pathlib import Path

import httpx
import pytest
from sqlmodel import select

from dispatcher.models import Worker
from tests.chaos.ground import PLAIN, WAITS, Ground, ground

pytestmark = pytest.mark.guarantee("a full disk stops new work, not old truth")
SIZE = 32 * 1024 * 1024
FLOOR = 0.016
"""Gigabytes: half of it."""


@pytest.fixture
def disk(tmp_path: Path) -> Iterator[Path]:
    """A small disk of its own."""
    if os.geteuid() != 0 or shutil.which("mount") is None:
        pytest.skip("only root may mount a small disk")
    folder = tmp_path / "disk"
    folder.mkdir()
    mounted = subprocess.run(
        ["mount", "-t", "tmpfs", "-o", f"size={SIZE}", "tmpfs", folder], capture_output=True, text=True, check=False
    )
    if mounted.returncode:
        pytest.skip(f"no disk can be mounted here: {mounted.stderr.strip()}")
    try:
        yield folder
    finally:
        subprocess.run(["umount", "--lazy", folder], check=True)


@pytest.fixture
def here(disk: Path, tmp_path: Path, repository: Path) -> Iterator[Ground]:
    with ground(disk, "", repository, free_gb=FLOOR) as made:
        yield made


def _fill(disk: Path, leave: int) -> Path:
    """Leave so many bytes free."""
    filler = disk / "filler"
    room = os.statvfs(disk)
    with filler.open("wb") as file:
        os.posix_fallocate(file.fileno(), 0, room.f_bavail * room.f_frsize - leave)
    return filler


def test_below_the_floor_no_new_run_begins_and_the_others_go_on(here: Ground, disk: Path, tmp_path: Path) -> None:
    running = here.file(*WAITS)
    with here.worker(free_gb=FLOOR) as worker, here.web(free_gb=FLOOR) as client:
        here.until(lambda: here.run(running).state == "running" and Path(here.workspace(running).path, ".git").exists())
        filler = _fill(disk, 8 * 1024 * 1024)
        here.until(lambda: _hindrance(here))
        waiting = here.file(*PLAIN)
        here.go(running)
        here.until(lambda: here.ticket(running).state == "review")
        assert here.ticket(waiting).state == "queued" and "no new runs: 0.0" in worker.said()
        assert "new runs begin at 0.016 GB" in client.get("/workers").json()[0]["hindrance"]
        ready = httpx.get(f"{str(client.base_url).partition('/api')[0]}/readyz", trust_env=False)
        assert (ready.status_code, ready.json()["disk"]) == (200, "short")
        filler.unlink()
        here.until(lambda: here.ticket(waiting).state == "review")
        assert not _hindrance(here)
    here.whole(running, waiting)


def test_with_not_a_byte_left_what_is_recorded_is_read_and_work_goes_on_afterwards(here: Ground, disk: Path) -> None:
    key = here.file(*PLAIN)
    with here.worker(free_gb=FLOOR):
        assert here.settled(key) == "review"
    with here.web(free_gb=FLOOR) as client, here.worker(free_gb=FLOOR, lease_seconds=1) as worker:
        here.until(lambda: "takes up to" in worker.said())
        filler = _fill(disk, 256 * 1024)
        _stuff(disk)
        for path in (f"/tickets/{key}", "/tickets", f"/tickets/{key}/diff", f"/runs/{here.run(key).id}"):
            assert client.get(path).status_code == 200, path
        answers = {
            client.post("/tickets", json={"project": "SAMPLE", "title": "Large", "body": "x" * 20_000}).status_code
            for _ in range(3)
        }
        assert 503 in answers and answers <= {201, 503}, "it is said, and nothing is half done"
        filler.unlink()
        (disk / "stuffing").unlink()
        here.until(lambda: client.post("/tickets", json={"project": "SAMPLE", "title": "Again"}).status_code == 201)
        later = here.file(*PLAIN)
        here.until(lambda: here.ticket(later).state == "review")
        assert worker.alive
    here.whole(key, later)


def _stuff(disk: Path) -> None:
    """Take the last blocks too."""
    with (disk / "stuffing").open("wb", buffering=0) as file:
        try:
            while True:
                file.write(b"\0" * 4096)
        except OSError:
            return


def _hindrance(here: Ground) -> str:
    with here.database.reading() as db:
        return "".join(row.hindrance for row in db.exec(select(Worker)))
