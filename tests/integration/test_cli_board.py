"""Projects, endpoints, agents and tickets by the command line, with a web app and with none: then the app works in process."""

from __future__ import annotations

import subprocess
from collections.abc import Iterator
from pathlib import Path

import pytest

from dispatcher.demo.scripted import Repeat, Say, ScriptedEndpoint
from tests.integration.cli import PROGRAM, Cli


@pytest.fixture
def cli(home: Path) -> Cli:
    return Cli(home / "data", {})


@pytest.fixture
def board(cli: Cli, repository: Path) -> Iterator[Cli]:
    """A project SHOP with an agent, and a web app that runs; no worker."""
    with cli.serving():
        _fill(cli, repository)
        yield cli


@pytest.fixture(scope="module")
def served(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Cli]:
    """The same with a ticket, for all tests here that change nothing."""
    folder = tmp_path_factory.mktemp("served")
    shop = folder / "shop"
    shop.mkdir()
    for command in (["init", "-q", "-b", "main"], ["commit", "-q", "--allow-empty", "-m", "Begin"]):
        subprocess.run(["git", *command], cwd=shop, check=True)
    cli = Cli(folder / "data", {"HOME": str(folder)})
    with cli.serving():
        _fill(cli, shop)
        cli.ok("ticket", "new", "Fix it", "--project", "SHOP")
        yield cli


def _fill(cli: Cli, repository: Path) -> None:
    cli.ok("project", "add", repository, "--key", "SHOP", "--check", "true")
    cli.ok("endpoint", "add", "local", "--url", "http://127.0.0.1:9/v1", "--model", "m", "--slots", "2")
    cli.ok("agent", "add", "coder", "--harness", "goose", "--endpoint", "local", "--max-seconds", "60")


def test_projects(cli: Cli, repository: Path) -> None:
    added = cli.ok("project", "add", repository, "--key", "SHOP", "--check", "make test", "--merge", "squash")
    assert added.out.startswith("SHOP  ") and added.err == ""
    (project,) = cli.json("project", "list")
    assert (project["key"], project["default_branch"], project["merge_method"]) == ("SHOP", "main", "squash")
    assert cli.json("project", "show", "SHOP")["check_command"] == "make test"
    assert cli.ok("project", "list").out == f"SHOP\tmain\tmake test\t{repository}\n"
    refused = cli.run("project", "remove", "SHOP")
    assert refused.status == 2 and "hint: add --yes" in refused.err
    cli.ok("project", "remove", "SHOP", "--yes")
    assert cli.json("project", "list") == []
    assert (repository / "README.md").exists()


def test_tickets(board: Cli, home: Path) -> None:
    body = home / "body.md"
    body.write_text("Mind the *tests*.\n")
    board.ok("ticket", "new", "Fix it", "--project", "shop", "--body-file", body, "--label", "bug", "-l", "ui")
    board.ok("ticket", "new", "Ünïcode — 修", "-p", "SHOP", "--body", "-", stdin="from a pipe")
    first, second = board.json("ticket", "list")
    assert (first["key"], first["labels"], first["body"]) == ("SHOP-1", ["bug", "ui"], "Mind the *tests*.\n")
    assert (second["title"], second["body"]) == ("Ünïcode — 修", "from a pipe")
    assert board.ok("ticket", "list", "--label", "ui").out == "SHOP-1\tbacklog\t\tbug, ui\tFix it\n"
    board.ok("ticket", "comment", "SHOP-1", "Here", "--line", "README.md:1")
    board.ok("ticket", "edit", "shop-1", "--title", "Fix it now")
    page = board.json("ticket", "show", "SHOP-1")
    assert page["title"] == "Fix it now"
    assert [(entry["path"], entry["line"], entry["body"]) for entry in page["comments"]] == [("README.md", 1, "Here")]
    board.ok("ticket", "cancel", "SHOP-1")
    assert board.json("ticket", "list", "--state", "cancelled")[0]["key"] == "SHOP-1"
    board.ok("ticket", "reopen", "SHOP-1")
    assert "state\tbacklog" in board.ok("ticket", "show", "SHOP-1").out


def test_with_nothing_running_all_is_kept_for_later(cli: Cli, repository: Path) -> None:
    _fill(cli, repository)
    ended = cli.ok("ticket", "new", "Fix it", "--project", "SHOP", "--assign", "coder")
    assert ended.out == "filed SHOP-1\n"
    assert ended.err == "no worker is running; start one: dispatcher up\n"
    (run,) = cli.json("run", "list")
    assert (run["ticket"], run["state"], run["agent"]) == ("SHOP-1", "queued", "coder")
    assert cli.json("run", "show", str(run["id"]))["number"] == 1
    cli.ok("run", "stop", str(run["id"]))
    assert cli.json("run", "show", str(run["id"]))["state"] == "cancelled"


def test_withdrawn_before_it_began(board: Cli) -> None:
    board.ok("ticket", "new", "Fix it", "--project", "SHOP")
    board.ok("ticket", "assign", "SHOP-1", "coder")
    board.ok("ticket", "withdraw", "SHOP-1")
    assert board.json("ticket", "show", "SHOP-1")["state"] == "backlog"


@pytest.mark.parametrize(
    ("arguments", "told"),
    [
        (["ticket", "new", "T", "--project", "NOPE"], "NOPE"),
        (["ticket", "new", "x" * 10_000, "--project", "SHOP"], "10,000 characters"),
        (["ticket", "new", "  ", "--project", "SHOP"], "title is empty"),
        (["ticket", "new", "T", "--project", "SHOP", "--assign", "nobody"], "no agent 'nobody'"),
        (["ticket", "show", "SHOP-99"], "no ticket 'SHOP-99'"),
        (["ticket", "list", "--project", "NOPE"], "no project 'NOPE'"),
        (["ticket", "list", "--agent", "nobody"], "no agent 'nobody'"),
        (["ticket", "answer", "SHOP-1", "yes"], "waits for no answer"),
        (["project", "add", "/nowhere"], "/nowhere"),
        (["project", "add", "/"], "/"),
        (["agent", "add", "x", "--harness", "emacs", "--endpoint", "local"], "emacs"),
        (["agent", "add", "x", "--harness", "goose", "--endpoint", "far"], "no endpoint 'far'"),
        (["endpoint", "add", "x", "--url", "ftp://a", "--model", "m"], "ftp://a"),
        (["endpoint", "remove", "local", "--yes"], "coder"),
        (["run", "show", "77"], "77"),
        (["run", "log", "77"], "77"),
        (["session", "show", "77"], "77"),
        (["diff", "SHOP-1"], "SHOP-1"),
        (["approve", "SHOP-1"], "SHOP-1"),
    ],
    ids=lambda value: " ".join(value)[:40] if isinstance(value, list) else "",
)
def test_bad_input_is_one_clear_line_with_the_fix(served: Cli, arguments: list[str], told: str) -> None:
    ended = served.run(*arguments)
    assert (ended.status, ended.out) == (1, "")
    error, hint = ended.err.splitlines()
    assert error.startswith("error: ") and told in error
    assert hint.startswith("hint: ") and len(hint) > len("hint: ")
    assert [ticket["key"] for ticket in served.json("ticket", "list")] == ["SHOP-1"]


@pytest.mark.parametrize(
    "arguments",
    [
        ["ticket", "new", "T", "--project", "SHOP", "--wait"],
        ["ticket", "new", "T", "--project", "SHOP", "--body", "a", "--body-file", "b"],
        ["ticket", "new", "T", "--project", "SHOP", "--body-file", "/nowhere"],
        ["ticket", "comment", "SHOP-1", "x", "--line", "nothing"],
        ["ticket", "edit", "SHOP-1"],
        ["ticket", "list", "--state", "lost"],
        ["changes", "SHOP-1", "-m", "x", "--comment", "a:b"],
        ["harness", "install"],
    ],
    ids=lambda value: " ".join(value)[-40:],
)
def test_wrong_usage_ends_with_2(cli: Cli, arguments: list[str]) -> None:
    ended = cli.run(*arguments)
    assert (ended.status, ended.out) == (2, "")
    assert [line.partition(":")[0] for line in ended.err.splitlines()] == ["error", "hint"]


@pytest.mark.parametrize(
    ("variable", "value", "told"),
    [
        ("DISPATCHER_PORT", "eighty", "port = 'eighty'"),
        ("DISPATCHER_REDIS_URL", "127.0.0.1", "redis_url is no Redis URL"),
        ("DISPATCHER_DATABASE_URL", "garbage", "'garbage' is not a database URL"),
        ("DISPATCHER_DATABASE_URL", "postgresql://u:secret@127.0.0.1:9/x", "the database does not answer"),
        ("DISPATCHER_HOME", "/proc/none", "/proc/none"),
    ],
)
def test_a_setting_that_is_wrong_is_named(cli: Cli, variable: str, value: str, told: str) -> None:
    ended = Cli(cli.data_folder, {variable: value}).run("ticket", "list")
    assert ended.status == 1
    error, hint = ended.err.splitlines()
    assert told in error and variable in hint and "secret" not in ended.err


def test_a_server_that_is_not_there_is_named(cli: Cli) -> None:
    ended = Cli(cli.data_folder, {"DISPATCHER_URL": "http://127.0.0.1:9"}).run("ticket", "list")
    assert ended.status == 1
    assert ended.err.startswith("error: nothing answers at http://127.0.0.1:9") and "hint: start it: dispatcher up" in ended.err


def test_endpoint_check(cli: Cli) -> None:
    with ScriptedEndpoint([Repeat(Say("Hello."))]) as endpoint:
        cli.ok("endpoint", "add", "scripted", "--url", endpoint.base_url, "--model", endpoint.model)
        assert cli.json("endpoint", "check", "scripted")["ok"] is True
        assert cli.ok("endpoint", "list").out.split("\t")[4] == "usable"
        cli.ok("endpoint", "add", "other", "--url", endpoint.base_url, "--model", "unknown")
    down = cli.run("endpoint", "check", "scripted")
    assert down.status == 1 and "ok\tno" in down.out
    assert cli.ok("endpoint", "list").out.splitlines()[1].split("\t")[4] == "not usable"


def test_a_listing_is_a_table_for_people(board: Cli) -> None:
    board.ok("ticket", "new", "Fix \x1b[31mit", "--project", "SHOP")
    status, sent = board.on_terminal("ticket", "list")
    assert status == 0
    assert "KEY" in sent and "SHOP-1" in sent and "\x1b[31mit" not in sent
    status, sent = board.on_terminal("ticket", "list", "--state", "done")
    assert "no tickets: dispatcher ticket new" in sent


def test_a_reader_that_leaves_is_no_fault(board: Cli) -> None:
    done = subprocess.run(
        f"{PROGRAM} --help | head -1", shell=True, env=board.environment(), capture_output=True, text=True, check=True
    )
    assert done.stderr == ""


def test_doctor(board: Cli) -> None:
    ended = board.run("doctor", "--json")
    found = {entry["what"]: entry for entry in ended.data}
    assert found["git"]["state"] == found["database"]["state"] == found["data folder"]["state"] == "ok"
    assert found["endpoint local"]["state"] == "problem" and "endpoint check local" in found["endpoint local"]["fix"]
    assert found["worker"]["state"] == "warning"
    assert ended.status == 1
    assert all(entry["fix"] for entry in ended.data if entry["state"] != "ok")


def test_doctor_changes_nothing(cli: Cli) -> None:
    cli.run("doctor")
    assert not cli.data_folder.exists()
