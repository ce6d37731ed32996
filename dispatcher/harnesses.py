"""Which binary of a harness is used: a managed install below the data folder, else the user's own where it is one we tested."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import tempfile
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

import adapters
from adapters.base import Harness, Probe
from dispatcher.errors import HarnessMissing, NotFound

VERSION_SECONDS = 30.0
"""How long `--version` may take; OpenCode takes 2.3 s on a quiet machine and far more on a busy one."""

MANIFEST = "install.json"


class HarnessUntested(HarnessMissing):
    """There is a binary of the harness, but of a version that the contract tests do not cover."""


@dataclass(frozen=True)
class Found:
    """One binary of a harness, and what it can do."""

    name: str
    path: Path
    probe: Probe
    origin: Literal["managed", "path"]


@dataclass(frozen=True)
class HarnessRow:
    """What there is of one harness on this machine. `missing` says in one line why none can be used, else is empty."""

    name: str
    tested: tuple[str, str]
    offered: str
    """The version that `install` installs."""
    managed: Found | None
    own: Found | None
    used: Found | None
    missing: str

    def to_json(self) -> dict[str, Any]:
        """The row as JSON data."""
        return {
            "name": self.name,
            "tested": {"low": self.tested[0], "high": self.tested[1]},
            "offered": self.offered,
            "managed": found_json(self.managed),
            "own": found_json(self.own),
            "used": found_json(self.used),
            "missing": self.missing or None,
        }


def told(rows: list[HarnessRow]) -> dict[str, dict[str, Any]]:
    """What a worker tells of its machine, by a harness's name: version, path and origin, or why there is none."""
    return {row.name: found_json(row.used) or {"missing": row.missing} for row in rows}


def found_json(found: Found | None) -> dict[str, Any] | None:
    """One binary as JSON data."""
    if found is None:
        return None
    return {"path": str(found.path), "version": found.probe.version, "tested": found.probe.tested, "origin": found.origin}


def adapter(name: str) -> Harness:
    """The adapter of that name; raises `NotFound`."""
    if name not in adapters.HARNESSES:
        raise NotFound(
            f"there is no harness named {name!r}", f"choose one of: {', '.join(sorted(adapters.HARNESSES))}", "harness"
        )
    return adapters.harness(name)


def list_harnesses(root: Path, path: str | None = None) -> list[HarnessRow]:
    """Every harness, by name. `root` is the data folder, `path` the search path (default: PATH). Uses no network."""
    return [_row(name, root, path) for name in sorted(adapters.HARNESSES)]


def resolve(name: str, root: Path, path: str | None = None) -> Found:
    """The binary that a run uses: the managed one, else the user's own of a tested version.

    Raises `HarnessMissing` where there is none, `HarnessUntested` where there is only one of another version,
    and `NotFound` for a name that is not a harness.
    """
    managed = managed_install(name, root)
    if managed is not None:
        return managed
    row = _row(name, root, path)
    if row.used is not None:
        return row.used
    hint = f"run: dispatcher harness install {name}"
    raise (HarnessUntested if row.own else HarnessMissing)(row.missing, hint, "harness")


def managed_install(name: str, root: Path) -> Found | None:
    """The managed install of the offered version, where there is one that is whole."""
    harness = adapter(name)
    folder = install_folder(harness, root)
    try:
        manifest = json.loads((folder / MANIFEST).read_text())
    except (FileNotFoundError, ValueError):
        return None
    binary = folder / harness.package.binary
    if not os.access(binary, os.X_OK):
        return None
    return Found(name, binary, harness.probe(manifest["version_output"]), "managed")


def install_folder(harness: Harness, root: Path) -> Path:
    """Where the managed install of the offered version lies, by its real path: a sandbox lets that in, and not links to it."""
    return (root / "harnesses" / harness.name).resolve() / harness.package.version


def version_output(binary: Path, environ: Mapping[str, str] = os.environ) -> str | None:
    """What `<binary> --version` prints, run with a HOME and a TMPDIR of its own; None where it fails or takes too long."""
    with tempfile.TemporaryDirectory(prefix="dispatcher-version-", ignore_cleanup_errors=True) as private:
        env = {key: value for key, value in environ.items() if not key.startswith("XDG_")}
        env |= {"HOME": private, "TMPDIR": private}
        output = Path(private) / "output"
        with output.open("wb") as stream:
            try:
                done = subprocess.run(
                    [binary, "--version"],
                    env=env,
                    cwd=private,
                    stdin=subprocess.DEVNULL,
                    stdout=stream,
                    stderr=subprocess.STDOUT,
                    timeout=VERSION_SECONDS,
                    check=False,
                )
            except (OSError, subprocess.TimeoutExpired):
                return None
        return output.read_text(errors="replace") if done.returncode == 0 else None


def _row(name: str, root: Path, path: str | None) -> HarnessRow:
    harness = adapter(name)
    managed = managed_install(name, root)
    own = _own(harness, root, path)
    used = managed or (own if own and own.probe.tested else None)
    return HarnessRow(
        name=name,
        tested=harness.tested,
        offered=harness.package.version,
        managed=managed,
        own=own,
        used=used,
        missing="" if used else _why(harness, own),
    )


def _why(harness: Harness, own: Found | None) -> str:
    if own is None:
        return f"{harness.name} is not installed"
    version = own.probe.version or "of a version that it does not tell"
    low, high = harness.tested
    return f"{own.path} is {harness.name} {version}, and tested are {low} to {high}"


def _own(harness: Harness, root: Path, path: str | None) -> Found | None:
    program = shutil.which(Path(harness.package.binary).name, path=path)
    if program is None:
        return None
    binary = Path(program).absolute()
    seen = _Seen(root)
    output = seen.get(binary)
    if output is None:
        output = version_output(binary) or ""
        # Only a good answer is kept: after an upgrade behind a wrapper script, whose own date stays, nobody is told "too old".
        if harness.probe(output).tested:
            seen.put(binary, output)
    return Found(harness.name, binary, harness.probe(output), "path")


class _Seen:
    """Versions of the user's own binaries, kept because asking takes seconds; valid while the file stays as it was."""

    def __init__(self, root: Path) -> None:
        self._file = root / "harnesses" / "versions.json"

    def get(self, binary: Path) -> str | None:
        """What that binary printed when it was asked, if it has not changed since."""
        entry = self._load().get(str(binary))
        return entry["output"] if entry and entry["stamp"] == self._stamp(binary) else None

    def put(self, binary: Path, output: str) -> None:
        """Keep the answer; whole or not at all, for others read the file meanwhile."""
        entries = self._load() | {str(binary): {"stamp": self._stamp(binary), "output": output}}
        self._file.parent.mkdir(parents=True, exist_ok=True)
        with tempfile.NamedTemporaryFile("w", dir=self._file.parent, delete=False) as stream:
            json.dump(entries, stream)
        Path(stream.name).replace(self._file)

    def _load(self) -> dict[str, Any]:
        try:
            data = json.loads(self._file.read_text())
        except (FileNotFoundError, ValueError):
            return {}
        return data if isinstance(data, dict) else {}

    @staticmethod
    def _stamp(binary: Path) -> list[int | str]:
        real = binary.resolve()
        status = real.stat()
        return [str(real), status.st_mtime_ns, status.st_size]
