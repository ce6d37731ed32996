"""The seam between the dispatcher and a coding agent.

The contract, in the order of the calls:

1.  `probe(version_output)` reads what `<binary> --version` printed and says what that version can do.
2.  `launch(task, home)` is pure: it touches no disk, clock, network or process. It answers with everything that a start
    needs: argv, a complete environment (nothing is inherited), files to write first, what to feed to stdin, and which
    files to follow. `home` is a private HOME for the workspace: the harness's own store is below it, so that it is found
    without touching the user's own. The same `home` is passed for every run of one workspace.
3.  `tail(task, home)` makes a decoder for one run; it is called before the process starts, so that what the store holds by then
    is known to be old. `feed(stream, data)` takes bytes cut anywhere and gives items, early ones
    provisional; it never raises on garbage. `poll()` reads what the harness's own store gained since the last call; a
    decoder that can tell child sessions apart has `children()` too, see `Branching`.
4.  `read(record)` runs after the process has ended, and takes the harness's own store as the authority. It is idempotent,
    changes nothing on disk, keeps what it knows of unknown fields, and lists in `losses` what it could not carry over.
    It raises `StoreUnreadable` when there is nothing to read at all.
5.  `outcome(session, exit)` says how the last turn of that session ended. Exit 0 alone is never success.
6.  `sessions(root)` lists the sessions under a store or a HOME, newest first, for import and for `session list`.

A new harness is one file, one line in `adapters.HARNESSES` and one contract-test parameter.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, field
from pathlib import Path
from typing import ClassVar, Literal, Protocol, runtime_checkable

from adapters.session import Item, Outcome, Session, SessionSummary


class AdapterError(Exception):
    """What an adapter could not do; `hint` is what the user can do about it."""

    def __init__(self, message: str, hint: str = "") -> None:
        super().__init__(message)
        self.hint = hint


class StoreUnreadable(AdapterError):
    """There is no session at that place, or not one that this adapter knows."""


@dataclass(frozen=True)
class Package:
    """Where a managed install gets the harness from.

    `kind` is the registry ("npm" or "pypi"); `binary` is the executable's path relative to the install folder;
    `also` are further packages of the same registry that it needs beside it, as "name@version".
    """

    kind: Literal["npm", "pypi"]
    name: str
    version: str
    binary: str
    also: tuple[str, ...] = ()
    python: str | None = None


@dataclass(frozen=True)
class Probe:
    """What one installed version of a harness is and can do."""

    version: str | None
    tested: bool
    live: bool = True
    resume: bool = True
    tokens: bool = True
    questions: bool = False


@dataclass(frozen=True)
class Task:
    """What one run is to do, and with what."""

    key: str
    title: str
    prompt: str
    """The whole prompt. It begins with a header line of ours ("Ticket WEB-12: ..."), because harnesses parse prompts."""
    worktree: Path
    executable: Path
    base_url: str
    """The gateway, ending in /v1."""
    api_key: str
    """Names the run to the gateway; it is not the endpoint's key."""
    model: str
    run: Path
    """A folder of this run alone, outside the worktree, for what the harness is given: it may read it and not write."""
    turn: int = 1
    """1 for the first run in a workspace, then 2, 3, ..."""
    resume: str | None = None
    """The native id of the session to continue."""
    context_length: int = 32768
    output_length: int = 8192
    max_turns: int = 100
    request_timeout: int = 3600
    """Seconds a request may stay without a byte: the gateway watches it, a harness shall not be quicker."""
    files: tuple[str, ...] = ()
    """Paths in the worktree that the ticket names, for harnesses that want to be told."""
    path: str = "/usr/local/bin:/usr/bin:/bin"
    """PATH inside the run."""
    environment: dict[str, str] = field(default_factory=dict)
    """Further variables for the run (the project's own); an adapter's own win."""
    instructions: tuple[Path, ...] = ()
    """AGENTS.md and its like in the worktree, for harnesses that have to be told."""


@dataclass(frozen=True)
class Launch:
    """Everything that a start needs. Nothing else is inherited."""

    argv: tuple[str, ...]
    env: dict[str, str]
    cwd: Path
    files: dict[Path, str] = field(default_factory=dict)
    """Written, with their folders, before the start; mode 0600."""
    folders: tuple[Path, ...] = ()
    """Made before the start."""
    stdin: Path | None = None
    """One of `files`, or None for /dev/null."""
    follow: dict[str, Path] = field(default_factory=dict)
    """Files that the harness itself appends to, by stream name, beside "stdout" and "stderr"."""


@dataclass(frozen=True)
class Record:
    """What a run left behind.

    `store` is the file, or any folder that the harness keeps (a HOME will do). `native_id` picks one session; without it
    the newest is read. `stdout`, `stderr` and `exit` are what the process printed and returned, where known.
    """

    store: Path
    native_id: str | None = None
    stdout: Path | None = None
    stderr: Path | None = None
    exit: int | None = None


@dataclass(frozen=True)
class ChildItems:
    """What a session gained that the run's own session has started, or another child of it: `parent` names which."""

    native_id: str
    parent: str
    title: str | None
    items: list[Item]


class Decoder(Protocol):
    """Bytes of a running harness to items, one run long."""

    native_id: str | None
    """The session's id, as soon as it is known."""

    def feed(self, stream: str, data: bytes) -> list[Item]:
        """Take the next bytes of `stream`, cut anywhere; never raises on garbage."""

    def poll(self) -> list[Item]:
        """What the harness's store gained since the last call; an empty list where the streams tell all."""


@runtime_checkable
class Branching(Protocol):
    """A decoder that tells of child sessions while they run; one that is not leaves them to `read`."""

    def children(self) -> list[ChildItems]:
        """What child sessions gained by the last `poll`, parents before their children."""


class Harness(Protocol):
    """One coding agent; the contract stands in this module's docstring."""

    name: ClassVar[str]
    package: ClassVar[Package]
    tested: ClassVar[tuple[str, str]]
    """The lowest and the highest version, both included, that the contract tests cover."""
    litter: ClassVar[tuple[str, ...]]
    """Ignore patterns of what the harness leaves in a worktree and nobody means to commit."""

    def probe(self, version_output: str) -> Probe:
        """What the version that printed this is and can do."""

    def launch(self, task: Task, home: Path) -> Launch:
        """Everything that a start needs; pure."""

    def tail(self, task: Task, home: Path) -> Decoder:
        """A decoder for one run."""

    def read(self, record: Record) -> Session:
        """The session from the harness's own store; raises `StoreUnreadable`."""

    def outcome(self, session: Session, exit: int | None) -> Outcome:
        """How the last turn of the session ended; `exit` is negative for a signal, None where not known."""

    def sessions(self, root: Path) -> Iterable[SessionSummary]:
        """The sessions below a HOME, or in a store, newest first; nothing where there are none."""


def version_tuple(version: str) -> tuple[int, ...]:
    """`1.18.33` as (1, 18, 33), for comparing; what is not a number counts as 0."""
    return tuple(int(part) if part.isdigit() else 0 for part in version.split("-", maxsplit=1)[0].split("."))


def in_range(version: str, tested: tuple[str, str]) -> bool:
    """Whether `version` lies within the tested range, both ends included."""
    low, high = tested
    return version_tuple(low) <= version_tuple(version) <= version_tuple(high)
