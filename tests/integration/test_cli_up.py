"""`dispatcher up`, `web` and `worker`: the real processes, how they are found and how they end."""

from __future__ import annotations

import json
import re
import select
import signal
import socket
import subprocess
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import psutil
import pytest

from tests.integration.cli import Cli
from tests.processes import wait_until


@pytest.fixture
def cli(home: Path) -> Cli:
    return Cli(home / "data", {})


@contextmanager
def _up(cli: Cli, *arguments: str) -> Iterator[tuple[subprocess.Popen[str], str]]:
    process = cli.start("up", "--port", "0", *arguments)
    assert process.stdout is not None and process.stderr is not None
    try:
        line = process.stdout.readline()
        assert line.startswith("The board is at http://127.0.0.1:"), process.stderr.read()
        while not process.stdout.readline().startswith("Next: "):
            assert process.poll() is None
        yield process, line.rpartition(" ")[2].strip()
    finally:
        if process.poll() is None:
            process.kill()
        process.wait(10)
        process.stdout.close()
        process.stderr.close()


def _family(process: subprocess.Popen[str]) -> list[psutil.Process]:
    return psutil.Process(process.pid).children(recursive=True)


def _lives(child: psutil.Process) -> bool:
    """Whether it still does anything: one that has ended stays known until its new parent has looked."""
    try:
        return child.is_running() and child.status() != psutil.STATUS_ZOMBIE
    except psutil.NoSuchProcess:
        return False


def test_up_is_found_and_ends_in_order(cli: Cli, repository: Path) -> None:
    with _up(cli) as (process, url):
        assert json.loads((cli.data_folder / "server.json").read_text())["url"] == url
        family = _family(process)
        parts = psutil.Process(process.pid).children()  # what these start themselves comes and goes
        assert len([child for child in parts if "redis-server" in child.name()]) == 1
        assert len(parts) == 3
        cli.ok("project", "add", repository, "--key", "SHOP")
        filed = cli.ok("ticket", "new", "Fix it", "--project", "SHOP")
        assert filed.err == ""
        second = cli.run("up", "--port", "0")
        assert second.status == 1 and second.err.splitlines()[-2] == f"error: already running at {url}"
        process.send_signal(signal.SIGTERM)
        assert process.wait(90) == 0
        assert not [child for child in parts if _lives(child)]
        wait_until(lambda: not [child for child in family if _lives(child)])
        assert not (cli.data_folder / "server.json").exists()
    assert [ticket["key"] for ticket in cli.json("ticket", "list")] == ["SHOP-1"]


def test_nothing_outlives_an_up_that_is_killed(cli: Cli) -> None:
    with _up(cli) as (process, url):
        family = _family(process)
        process.kill()
        process.wait(10)
        wait_until(lambda: not [child for child in family if _lives(child)])
    stale = json.loads((cli.data_folder / "server.json").read_text())
    assert stale["url"] == url
    assert cli.json("project", "list") == []


@pytest.mark.guarantee("no orphan processes")
def test_asked_twice_it_ends_at_once_whatever_hangs(cli: Cli) -> None:
    with _up(cli) as (process, _):
        family = _family(process)
        hanging = next(child for child in family if "worker" in child.cmdline())
        hanging.suspend()
        process.send_signal(signal.SIGTERM)
        assert process.stderr is not None
        while "once more ends at once" not in process.stderr.readline():
            assert process.poll() is None
        process.send_signal(signal.SIGTERM)
        assert process.wait(60) == 128 + signal.SIGTERM
        wait_until(lambda: not [child for child in family if _lives(child)])


def test_a_part_that_dies_is_started_again(cli: Cli) -> None:
    with _up(cli) as (process, url):
        web = next(child for child in _family(process) if "web" in child.cmdline())
        web.kill()
        wait_until(lambda: any("web" in child.cmdline() for child in _family(process) if child.pid != web.pid), 60)
        wait_until(lambda: (cli.data_folder / "server.json").exists() and cli.run("project", "list").status == 0, 60)
        assert json.loads((cli.data_folder / "server.json").read_text())["url"] == url


def test_watch_follows_what_happens(cli: Cli, repository: Path) -> None:
    with cli.serving():
        cli.ok("project", "add", repository, "--key", "SHOP")
        cli.ok("ticket", "new", "Before", "--project", "SHOP")
        watch = cli.start("watch", "--json")
        assert watch.stdout is not None and watch.stderr is not None
        try:
            heard: list[object] = []
            while not heard:  # nothing says when it has begun
                cli.ok("ticket", "new", "After", "--project", "SHOP")
                heard, _, _ = select.select([watch.stdout], [], [], 0.2)
            event = json.loads(watch.stdout.readline())
            assert event["kind"] == "ticket.filed" and event["ticket"] != "SHOP-1"
            watch.send_signal(signal.SIGINT)
            assert watch.wait(60) == 130
            assert "Traceback" not in watch.stderr.read()
        finally:
            watch.kill()
            watch.wait(10)
            watch.stdout.close()
            watch.stderr.close()


def test_a_port_in_use_is_one_line_with_the_fix(cli: Cli) -> None:
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = taken.getsockname()[1]
        ended = cli.run("up", "--port", str(port))
    assert ended.status == 1
    assert ended.err.splitlines()[-2:] == [
        f"error: port {port} on 127.0.0.1 is in use",
        f"hint: take another one: --port {port % 65535 + 1}",
    ]


@pytest.mark.parametrize("command", ["up", "web"])
def test_other_machines_are_let_in_on_purpose_only(cli: Cli, command: str) -> None:
    ended = cli.run(command, "--host", "0.0.0.0")
    assert ended.status == 2
    assert "nobody has logged in" in ended.err and "user add NAME --role admin" in ended.err


def test_web_and_worker_alone(cli: Cli) -> None:
    web = cli.start("web", "--port", "0")
    worker = cli.start("worker")
    try:
        assert web.stdout is not None
        found = re.search(r"http://\S+", web.stdout.readline())
        assert found is not None
        wait_until(lambda: "ok" in _worker_state(cli), 60)
        for process in (worker, web):
            process.send_signal(signal.SIGTERM)
            assert process.wait(90) == 0
        assert not (cli.data_folder / "server.json").exists()
        assert "ok" not in _worker_state(cli)
    finally:
        for process in (worker, web):
            process.kill()
            process.communicate()


def _worker_state(cli: Cli) -> str:
    found = {entry["what"]: entry["state"] for entry in cli.run("doctor", "--json").data}
    return str(found.get("worker", ""))
