"""The embedded stack: Redis, the web app and workers as children of one process, for one machine."""

from __future__ import annotations

import os
import signal
import socket
import subprocess
import sys
import time
from collections import deque
from collections.abc import Callable
from contextlib import ExitStack, suppress
from dataclasses import dataclass, field
from pathlib import Path
from types import TracebackType
from typing import Self

from dispatcher.client import answers, open_client, running_server
from dispatcher.db import Database
from dispatcher.embedded import EmbeddedRedis
from dispatcher.errors import Conflict, Invalid, Unavailable
from dispatcher.settings import Settings
from dispatcher.tether import tethered

READY_SECONDS = 90.0
STOP_SECONDS = 30.0
"""Time for a child to end in an orderly way; a worker asks its harnesses to end first."""
RESTARTS = 5
"""So many ends of one child within RESTART_WINDOW seconds are no accident any more."""
RESTART_WINDOW = 60.0
LOOK_SECONDS = 0.05

Say = Callable[[str], None]


@dataclass
class Child:
    """One process of the stack, and how to start it again."""

    name: str
    command: list[str]
    log: Path
    keep: tuple[int, ...] = ()
    ends: deque[float] = field(default_factory=lambda: deque(maxlen=RESTARTS))
    process: subprocess.Popen[bytes] | None = None

    def start(self, env: dict[str, str]) -> None:
        """Start it, with its output added to its log."""
        with self.log.open("ab") as output:
            self.process = subprocess.Popen(
                tethered(self.command),
                env=env,
                stdin=subprocess.DEVNULL,
                stdout=output,
                stderr=subprocess.STDOUT,
                pass_fds=self.keep,
                # Ctrl-C in the terminal is for the owner, which ends its children in order.
                start_new_session=True,
            )

    @property
    def ended(self) -> bool:
        """Whether it is not running any more."""
        return self.process is None or self.process.poll() is not None

    def stop(self, seconds: float) -> None:
        """Ask it to end, and end it after `seconds`."""
        if self.process is None or self.ended:
            return
        self.process.terminate()
        try:
            self.process.wait(seconds)
        except subprocess.TimeoutExpired:
            self.kill()

    def kill(self) -> None:
        """End it at once."""
        if self.process is not None and not self.ended:
            self.process.send_signal(signal.SIGKILL)
            self.process.wait()

    def last_words(self) -> str:
        """The last line of its log."""
        lines = [line for line in self.log.read_text(errors="replace").splitlines() if line.strip()]
        return lines[-1].strip() if lines else "it said nothing"


class Stack:
    """Redis, web app and workers for one data folder, as a context manager; `url` is the board's address.

    Enter it in the main thread. Raises `Conflict` when one runs already on that data folder, `Invalid` for an address that
    cannot be listened on, and `Unavailable` when a part does not start.
    """

    def __init__(self, settings: Settings, workers: int = 1, say: Say = lambda _: None) -> None:
        self.settings = settings
        self.workers = workers
        self.url = ""
        self._say = say
        self._parts = ExitStack()
        self._children: list[Child] = []
        self._env: dict[str, str] = {}

    def __enter__(self) -> Self:
        if url := running_server(self.settings):
            raise Conflict(f"already running at {url}", f"open it, or end that one first (data folder {self.settings.home})")
        try:
            self._start()
        except BaseException:
            self.close()
            raise
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None) -> None:
        self.close()

    def close(self) -> None:
        """End the workers, which hand back their runs, then the web app, then Redis; safe to call twice."""
        for child in reversed(self._children):
            child.stop(STOP_SECONDS)
        self._children = []
        self._parts.close()

    def kill(self) -> None:
        """End every child at once, waiting for none: a signal calls it, which may have come upon a lock of such a wait."""
        for child in self._children:
            if child.process is not None and child.process.returncode is None:
                with suppress(ProcessLookupError):
                    os.kill(child.process.pid, signal.SIGKILL)

    def tend(self) -> None:
        """Start a child that ended again; raises `Unavailable` for one that does not stay."""
        for child in self._children:
            if not child.ended:
                continue
            now = time.monotonic()
            child.ends.append(now)
            if len(child.ends) == RESTARTS and now - child.ends[0] < RESTART_WINDOW:
                raise Unavailable(f"the {child.name} ends again and again: {child.last_words()}", f"see {child.log}")
            self._say(f"the {child.name} ended ({child.last_words()}); starting it again")
            child.start(self._env)

    def _start(self) -> None:
        settings = self.settings
        listener = self._parts.enter_context(listen(settings.host, settings.port))
        self.url = address(listener)
        logs = settings.home / "logs"
        logs.mkdir(parents=True, exist_ok=True)
        redis_url = settings.redis_url or self._parts.enter_context(EmbeddedRedis(settings.home / "redis")).url
        database = Database(settings.database)
        self._parts.callback(database.close)
        database.migrate()
        self._env = environment(settings, redis_url, listener.getsockname()[1])
        # -P: the folder that the user stands in may hold packages of the same names.
        program = [sys.executable, "-P", "-m", "dispatcher.cli"]
        fd = listener.fileno()
        self._children.append(Child("web app", [*program, "web", "--fd", str(fd)], logs / "web.log", (fd,)))
        for number in range(1, self.workers + 1):
            self._children.append(Child(f"worker {number}", [*program, "worker"], logs / f"worker-{number}.log"))
        for child in self._children:
            child.start(self._env)
        self._wait()

    def _wait(self) -> None:
        deadline = time.monotonic() + READY_SECONDS
        self._until(lambda: answers(self.url), "web app", deadline)
        with open_client(self.settings.model_copy(update={"url": self.url})) as client:
            mine = {child.process.pid for child in self._children if child.process is not None}
            self._until(
                lambda: len(mine & {int(row["pid"]) for row in client.get("/workers")}) >= self.workers, "worker", deadline
            )

    def _until(self, ready: Callable[[], bool], what: str, deadline: float) -> None:
        while not ready():
            for child in self._children:
                if child.ended:
                    raise Unavailable(f"the {child.name} ended at its start: {child.last_words()}", f"see {child.log}")
            if time.monotonic() > deadline:
                raise Unavailable(
                    f"the {what} was not ready within {READY_SECONDS:.0f} s", f"see {self.settings.home / 'logs'}"
                )
            time.sleep(LOOK_SECONDS)


def environment(settings: Settings, redis_url: str, port: int) -> dict[str, str]:
    """This process's environment, with those settings for a child."""
    own = {
        "HOME": str(settings.home),
        "HARNESS_HOME": str(settings.harness_root),
        "DATABASE_URL": settings.database,
        "REDIS_URL": redis_url,
        "HOST": settings.host,
        "PORT": str(port),
    }
    return dict(os.environ) | {f"DISPATCHER_{name}": value for name, value in own.items()} | {"PYTHONUNBUFFERED": "1"}


def listen(host: str, port: int) -> socket.socket:
    """A socket that listens there, on a free port for 0; raises `Invalid` with the fix."""
    try:
        family = socket.getaddrinfo(host, port, type=socket.SOCK_STREAM, flags=socket.AI_PASSIVE)[0][0]
        listener = socket.create_server((host, port), family=family, backlog=2048)
    except OSError as error:
        if isinstance(error, PermissionError):
            raise Invalid(
                f"port {port} may not be listened on: {error.strerror}", "take one above 1023: --port 8484", "port"
            ) from error
        if port and _taken(host, port):
            raise Invalid(f"port {port} on {host} is in use", f"take another one: --port {port % 65535 + 1}", "port") from error
        raise Invalid(
            f"cannot listen on {host}: {error.strerror}", "take an address of this machine: --host 127.0.0.1", "host"
        ) from error
    # asyncio sets it only on sockets that know their protocol, which those of create_server do not: each answer of two writes,
    # and each entry of the live stream, would wait up to 40 ms for the other side's acknowledgement.
    listener.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
    listener.set_inheritable(True)
    return listener


def address(listener: socket.socket) -> str:
    """The URL of a listening socket, for a browser on this machine."""
    host, port = listener.getsockname()[:2]
    host = {"0.0.0.0": "127.0.0.1", "::": "::1"}.get(host, host)
    return f"http://[{host}]:{port}" if ":" in host else f"http://{host}:{port}"


def _taken(host: str, port: int) -> bool:
    try:
        with socket.create_connection((host, port), timeout=1):
            return True
    except OSError:
        return False
