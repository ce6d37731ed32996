"""The set of commands, their help, and how the program ends on errors; everything else runs the real program."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import pytest
import typer
from typer.main import get_command

from dispatcher import cli
from dispatcher.commands import output
from dispatcher.errors import Conflict

COMMANDS = """
up web worker demo doctor inbox watch diff approve changes discard backup restore upkeep login
project add edit list show remove
endpoint add edit retire restore list check discover remove
harness list install path
agent add edit retire restore list show remove
ticket new list show assign comment answer cancel reopen accept withdraw edit
run list show log stop
github connect status policy token secret check try deliveries accept pull catch-up disconnect
session read list show export
user add list role disable enable link
user.token add list revoke
"""
NO_JSON = {("up",), ("worker",), ("web",), ("demo",), ("discard",), ("run", "log"), ("session", "export")}
NO_JSON |= {("user", "token", "revoke")}

TELLS_NOTHING = {"remove", "retire", "restore", "accept", "catch-up", "disconnect", "policy", "pull", "secret", "token"}
"""Commands that do one thing and say so in a line."""


def _wanted() -> set[tuple[str, ...]]:
    first, *groups = [line.split() for line in COMMANDS.strip().splitlines()]
    return {(name,) for name in first} | {(*group.split("."), name) for group, *names in groups for name in names}


def _commands(command: Any, path: tuple[str, ...] = ()) -> Iterator[tuple[tuple[str, ...], Any]]:
    if not hasattr(command, "commands"):
        yield path, command
        return
    for name, child in command.commands.items():
        yield from _commands(child, (*path, name))


ALL = dict(_commands(get_command(cli.app)))


def test_the_commands_are_exactly_these() -> None:
    assert set(ALL) == _wanted()


@pytest.mark.parametrize("path", sorted(ALL), ids=" ".join)
def test_help_says_what_it_is_for_with_an_example(path: tuple[str, ...], capsys: pytest.CaptureFixture[str]) -> None:
    assert cli.run([*path, "--help"]) == 0
    told = capsys.readouterr()
    assert f"dispatcher {' '.join(path)}" in told.out
    assert "$ " in told.out and "dispatcher" in told.out.partition("Example")[2]
    assert told.err == ""


@pytest.mark.parametrize("path", sorted(set(ALL) - NO_JSON), ids=" ".join)
def test_what_tells_something_tells_it_as_json_too(path: tuple[str, ...]) -> None:
    options = {name for parameter in ALL[path].params for name in parameter.opts}
    assert "--json" in options or path[-1] in TELLS_NOTHING


@pytest.mark.parametrize("group", ["project", "endpoint", "harness", "agent", "ticket", "run", "session"])
def test_a_group_alone_shows_its_commands(group: str, capsys: pytest.CaptureFixture[str]) -> None:
    assert cli.run([group]) == 2
    assert "list" in capsys.readouterr().err


def _ends(monkeypatch: pytest.MonkeyPatch, error: BaseException) -> int:
    app = typer.Typer()

    @app.command()
    def fails() -> None:
        raise error

    monkeypatch.setattr(cli, "app", app)
    return cli.run([])


def test_an_error_is_two_lines(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> None:
    assert _ends(monkeypatch, Conflict("not \x1b[31mnow", "later")) == 1
    assert capsys.readouterr().err == "error: not [31mnow\nhint: later\n"


def test_a_fault_of_ours_is_one_line_and_a_log(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], tmp_path_factory: pytest.TempPathFactory
) -> None:
    home = tmp_path_factory.mktemp("data")
    monkeypatch.setenv("DISPATCHER_HOME", str(home))
    assert _ends(monkeypatch, ZeroDivisionError("division by zero")) == 1
    told = capsys.readouterr().err
    assert told.splitlines()[0] == "error: ZeroDivisionError: division by zero"
    assert str(home / "logs" / "cli.log") in told and "Traceback" not in told
    assert "Traceback" in (home / "logs" / "cli.log").read_text()


def test_debug_shows_the_traceback(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], tmp_path_factory: pytest.TempPathFactory
) -> None:
    monkeypatch.setenv("DISPATCHER_HOME", str(tmp_path_factory.mktemp("data")))
    monkeypatch.setenv("DISPATCHER_DEBUG", "1")
    assert _ends(monkeypatch, ZeroDivisionError("division by zero")) == 1
    assert "Traceback" in capsys.readouterr().err


@pytest.mark.parametrize("error", [KeyboardInterrupt(), typer.Abort()], ids=["ctrl-c", "abort"])
def test_an_interrupt_is_quiet(
    error: BaseException, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    assert _ends(monkeypatch, error) == 130
    assert capsys.readouterr().err == ""


def test_a_terminal_is_told_nothing_that_it_obeys() -> None:
    assert output.clean("a\x1b]0;title\x07b\x9b31mc\u202ed\te\nf") == "a]0;titleb31mcd\te\nf"


@pytest.mark.parametrize(("seconds", "text"), [(0.4, "0 s"), (59, "59 s"), (200, "3 min 20 s"), (7500, "2 h 5 min")])
def test_spans(seconds: float, text: str) -> None:
    assert output.span(seconds) == text
