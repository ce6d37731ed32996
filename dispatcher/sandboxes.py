"""What a project's sandbox is, and what it lets in beyond what every run needs."""

from __future__ import annotations

import re
import subprocess
import sys
from pathlib import Path
from typing import Any, Literal, get_args

from pydantic import BaseModel, ConfigDict, Field, TypeAdapter

from dispatcher.errors import Invalid, Unavailable

Tier = Literal["strict", "landlock", "none"]
TIERS: tuple[Tier, ...] = get_args(Tier)
MEANINGS: dict[Tier, str] = {
    "strict": "strict: files, network and processes of its own (bubblewrap)",
    "landlock": "landlock: kernel rules on files and TCP ports; UDP and Unix sockets stay open",
    "none": "none: an agent may do what the worker's user may",
}
MOST = 50
"""How many paths or hosts one list may have."""
_HOST = re.compile(r"(?P<name>\[[0-9a-fA-F:.]+\]|[A-Za-z0-9_](?:[A-Za-z0-9_.-]*[A-Za-z0-9])?)(?::(?P<port>[0-9]{1,5}))?")
_LINES = re.compile(r"[\n,]")


class Reach(BaseModel):
    """Paths and hosts that a project names for its sandbox."""

    model_config = ConfigDict(extra="forbid")

    read: list[str] = Field(default_factory=list, description="further paths to read")
    write: list[str] = Field(default_factory=list, description="further paths to write")
    hosts: list[str] = Field(default_factory=list, description="hosts that agents, set-up and checks may reach, as NAME:PORT")
    setup_hosts: list[str] = Field(default_factory=list, description="hosts that the set-up alone may reach, as NAME:PORT")

    def paths(self, name: Literal["read", "write"]) -> list[Path]:
        """The paths of a list, the user's home filled in."""
        return [Path(path).expanduser() for path in getattr(self, name)]


class Receipt(BaseModel):
    """What a run's sandbox let in by name, and what was tried from inside before the run."""

    tier: str
    reached: list[str] = Field(default_factory=list, description="what must work, and does")
    refused: list[str] = Field(default_factory=list, description="what must be refused, and was")
    open: list[str] = Field(default_factory=list, description="what this sandbox has no means to refuse")
    of: int = Field(0, description="how many things must be refused")
    tried: int = Field(0, description="how many trials that took")
    read: list[str] = Field(default_factory=list)
    write: list[str] = Field(default_factory=list)
    hosts: list[str] = Field(default_factory=list)
    setup_hosts: list[str] = Field(default_factory=list)
    bounds: list[str] = Field(default_factory=list, description="what it could take of the machine at most")

    @property
    def text(self) -> str:
        """It in one line: `reached: endpoint; refused: 10 of 10`."""
        if not self.of:
            return "none: not tried" if self.tier == "none" else "not tried"
        parts = ["reached: endpoint" if "endpoint" in self.reached else "reached: nothing"]
        parts.append(f"refused: {len(self.refused)} of {self.of}")
        return "; ".join([*parts, *([f"open: {', '.join(self.open)}"] if self.open else [])])

    @property
    def named(self) -> list[str]:
        """What the project let in by name, in words."""
        words = {"read": "reads", "write": "writes", "hosts": "reaches", "setup_hosts": "the set-up reaches"}
        return [f"{word} {', '.join(given)}" for name, word in words.items() if (given := getattr(self, name))]


class TriedSandbox(BaseModel):
    """One kind of sandbox, as it is on this machine; `reason` is empty where it works."""

    tier: str
    reason: str
    fix: str
    refused: list[str]
    open: list[str]
    milliseconds: float


def try_sandboxes() -> list[TriedSandbox]:
    """Make each kind on this machine, and try from inside what it has to refuse; raises `Unavailable` where that fails."""
    # By name and not by import: workers import this package. The standard library is all that it needs.
    command = [sys.executable, "-m", "workers.sandbox"]
    done = subprocess.run(command, capture_output=True, text=True, check=False, cwd=Path(__file__).resolve().parents[1])
    if done.returncode != 0:
        told = (done.stderr.strip().splitlines() or ["it said nothing"])[-1]
        raise Unavailable(f"the sandboxes could not be tried: {told}", "see: python -m workers.sandbox")
    return TypeAdapter(list[TriedSandbox]).validate_json(done.stdout)


def reach_of(data: dict[str, Any]) -> Reach:
    """What is stored with a project."""
    return Reach.model_validate(data)


def check_tier(tier: str) -> Tier:
    """The sandbox of that name; raises `Invalid`."""
    if tier not in TIERS:
        raise Invalid(f"{tier!r} is no sandbox", f"choose one of: {', '.join(TIERS)}", "sandbox")
    return tier


def check_reach(reach: Reach) -> dict[str, Any]:
    """What a person has named, cleaned, as it is stored; raises `Invalid` naming the list."""
    cleaned = Reach(
        read=_paths(reach.read, "read"),
        write=_paths(reach.write, "write"),
        hosts=_hosts(reach.hosts, "hosts"),
        setup_hosts=_hosts(reach.setup_hosts, "setup_hosts"),
    )
    return cleaned.model_dump(exclude_defaults=True)


def lines(text: str) -> list[str]:
    """The entries of a field in which each has a line, or stands between commas."""
    return [entry.strip() for entry in _LINES.split(text) if entry.strip()]


def split_host(entry: str) -> tuple[str, int]:
    """Name and port of an entry that `check_reach` has let pass."""
    name, _, port = entry.rpartition(":")
    return name.strip("[]"), int(port)


def _paths(given: list[str], field: str) -> list[str]:
    _few(given, field)
    found = []
    for entry in given:
        path = Path(entry.strip())
        if not entry.isprintable() or ".." in path.parts or not (path.is_absolute() or entry.startswith("~/")):
            raise Invalid(f"{entry!r} is not an absolute path", "for example: /opt/toolchain or ~/.m2", field)
        if path in (Path("/"), Path.home()):
            raise Invalid(f"{entry} is too much to let in", "name the folders that are needed", field)
        found.append(str(path))
    return list(dict.fromkeys(found))


def _hosts(given: list[str], field: str) -> list[str]:
    _few(given, field)
    found = []
    for entry in given:
        match = _HOST.fullmatch(entry.strip())
        port = int(match["port"] or 443) if match else 0
        if match is None or not 0 < port < 65536:
            raise Invalid(f"{entry!r} is no host", "for example: packages.example.org, or packages.example.org:8443", field)
        found.append(f"{match['name'].lower()}:{port}")
    return list(dict.fromkeys(found))


def _few(given: list[str], field: str) -> None:
    if len(given) > MOST:
        raise Invalid(f"{len(given)} entries are too many", f"name {MOST} at most", field)
