"""The fleet by the command line: change, retire, bring back."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.integration.cli import Cli


@pytest.fixture
def cli(home: Path, repository: Path) -> Cli:
    """A data folder with a project, an endpoint and an agent; no web app runs, so each command has the app in its process."""
    cli = Cli(home / "data", {})
    cli.ok("project", "add", repository, "--key", "SHOP", "--check", "make test")
    cli.ok("endpoint", "add", "local", "--url", "http://127.0.0.1:1/v1", "--model", "m")
    cli.ok("agent", "add", "coder", "--harness", "goose", "--endpoint", "local")
    return cli


def test_each_thing_is_edited(cli: Cli, tmp_path: Path) -> None:
    endpoint = cli.json("endpoint", "edit", "local", "--slots", "4", "--model", "n")
    assert (endpoint["slots"], endpoint["model"], endpoint["base_url"]) == (4, "n", "http://127.0.0.1:1/v1")
    words = tmp_path / "words.md"
    words.write_text("Be brief.\n")
    agent = cli.json("agent", "edit", "coder", "--max-turns", "7", "--instructions", f"@{words}")
    assert (agent["max_turns"], agent["instructions"], agent["harness"]) == (7, "Be brief.\n", "goose")
    project = cli.json("project", "edit", "SHOP", "--check", "", "--merge", "squash")
    assert (project["check_command"], project["merge_method"]) == ("", "squash")
    nothing = cli.run("agent", "edit", "coder")
    assert nothing.status == 2 and "nothing to change" in nothing.err
    wrong = cli.run("endpoint", "edit", "local", "--url", "127.0.0.1:1")
    assert wrong.status == 1 and "hint:" in wrong.err


def test_what_is_in_use_is_retired_in_order_and_brought_back(cli: Cli) -> None:
    refused = cli.run("endpoint", "retire", "local", "--yes")
    assert refused.status == 1 and "used by coder" in refused.err and "hint:" in refused.err
    cli.ok("agent", "retire", "coder", "--yes")
    assert cli.json("agent", "list") == []
    assert [row["name"] for row in cli.json("agent", "list", "--all")] == ["coder"]
    assigned = cli.run("ticket", "new", "Say hello", "--project", "SHOP", "--assign", "coder")
    assert assigned.status == 1 and "coder is retired" in assigned.err and "agent restore coder" in assigned.err
    cli.ok("endpoint", "retire", "local", "--yes")
    assert "retired" in cli.ok("endpoint", "list", "--all").out
    early = cli.run("agent", "restore", "coder")
    assert early.status == 1 and "endpoint restore local" in early.err
    cli.ok("endpoint", "restore", "local")
    cli.ok("agent", "restore", "coder")
    assert [row["name"] for row in cli.json("agent", "list")] == ["coder"]
