"""`dispatcher demo`: the real command with a real harness, and what it refuses."""

from __future__ import annotations

import re
import signal
from collections.abc import Callable
from pathlib import Path

import pytest

from tests.conftest import HARNESSES
from tests.integration.cli import Cli
from tests.story import NAMES


@pytest.fixture
def cli(home: Path) -> Cli:
    return Cli(home / "data", {"DISPATCHER_HARNESS_HOME": str(HARNESSES)})


@pytest.mark.real
@pytest.mark.slow
@pytest.mark.timeout(600)  # three harnesses one after the other: two minutes where eight others want the same two cores
def test_demo_ends_in_review_with_green_tests(cli: Cli, home: Path, harness_binary: Callable[[str], Path]) -> None:
    for name in NAMES:
        harness_binary(name)
    ended = cli.run("demo", "--home", home / "demo", "--harness", "all", seconds=500)
    assert ended.status == 0, ended.out + ended.err
    first, *tickets = re.split(r"^(?=DEMO-\d  )", ended.out, flags=re.MULTILINE)
    assert "is a script" in first.splitlines()[0]
    assert any(line.startswith("The board is at http://127.0.0.1:") for line in first.splitlines())
    assert len(tickets) == len(NAMES)
    for number, (told, name) in enumerate(zip(tickets, NAMES, strict=True), 1):
        lines = told.strip().splitlines()
        assert lines[1].startswith(f"assigned to {name}-agent: ")
        assert "+        total += int(amount) * UNITS[unit]" in lines, name
        assert any(line.startswith(f"DEMO-{number} is in review (1 file, +1 -1") for line in lines), name
        assert lines[-1] == "OK", name
    assert "\x1b" not in ended.out + ended.err
    assert not (home / "demo" / "data" / "server.json").exists()
    assert not cli.data_folder.exists()


@pytest.mark.real
@pytest.mark.slow
def test_demo_stays_up_when_asked_to_and_can_be_had_again(cli: Cli, home: Path, harness_binary: Callable[[str], Path]) -> None:
    harness_binary("goose")
    demo = cli.start("demo", "--home", str(home / "demo"), "--harness", "goose", "--keep-running")
    assert demo.stdout is not None and demo.stderr is not None
    try:
        url = ""
        boards = 0
        while boards < 2:
            line = demo.stdout.readline()
            assert line, demo.stderr.read()
            if line.startswith("The board is at "):
                boards, url = boards + 1, line.split()[-1]
        assert demo.stdout.readline().startswith(f"Log in: {url}/login?")
        hint = demo.stderr.readline()
        assert hint.startswith("the command line finds it with DISPATCHER_HOME="), hint
        board = Cli(Path(hint.rsplit("=", 1)[1].strip()), {})
        assert board.json("ticket", "show", "DEMO-1")["state"] == "review"
        again = cli.run("demo", "--home", home / "demo", "--harness", "goose")
        assert again.status == 1 and f"error: a demo is running at {url}" in again.err
    finally:
        demo.send_signal(signal.SIGTERM)
        demo.communicate(timeout=60)
    assert demo.returncode == 0


def test_demo_touches_no_folder_that_is_not_its_own(cli: Cli, home: Path, harness_binary: Callable[[str], Path]) -> None:
    harness_binary("goose")
    (home / "demo" / "data").mkdir(parents=True)
    (home / "demo" / "data" / "thesis.txt").write_text("precious")
    ended = cli.run("demo", "--home", home / "demo", "--harness", "goose")
    assert ended.status == 1 and "no demo made" in ended.err and "--home" in ended.err
    assert (home / "demo" / "data" / "thesis.txt").read_text() == "precious"
