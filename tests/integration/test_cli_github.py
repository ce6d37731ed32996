"""`dispatcher github`, walked through as a user does: the real program, a site of its own, and a GitHub on loopback."""

from __future__ import annotations

import json
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import pytest

from tests import github_people as people
from tests.github_server import TOKEN, GitHub
from tests.integration.cli import Cli


@dataclass
class Walk:
    """The command line, GitHub, and how to get from one to the other."""

    cli: Cli
    hub: GitHub

    def hook(self) -> None:
        """What a person enters on GitHub, as `connect` told it."""
        server = json.loads((self.cli.data_folder / "server.json").read_text())["url"]
        self.hub.hook = f"{server}/hooks/github/WEB"
        self.hub.secret = (self.cli.data_folder / "github" / "WEB.secret").read_text().strip()


@pytest.fixture
def walk(home: Path, repository: Path, tmp_path: Path) -> Iterator[Walk]:
    cli = Cli(home / "data", {"DISPATCHER_GITHUB_SECONDS": "0.2", "DISPATCHER_PUBLIC_URL": "https://board.example"})
    with GitHub(repository, tmp_path).serving() as hub:
        up = cli.start("up", "--port", "0", "--workers", "1")
        assert up.stdout is not None and "http://127.0.0.1" in up.stdout.readline()
        try:
            cli.ok("project", "add", repository, "--key", "WEB")
            cli.ok("endpoint", "add", "local", "--url", "http://127.0.0.1:1/v1", "--model", "m")
            cli.ok("agent", "add", "coder", "--harness", "goose", "--endpoint", "local")
            yield Walk(cli, hub)
        finally:
            up.terminate()
            up.communicate(timeout=60)


def test_the_whole_walk(walk: Walk) -> None:
    cli, hub = walk.cli, walk.hub
    none = cli.ok("github", "status")
    assert none.out == "" and cli.json("github", "status") == []
    refused = cli.run("github", "status", "WEB")
    assert refused.status == 1 and "hint: connect it: dispatcher github connect WEB" in refused.err
    slip = cli.run("github", "token", "WBE", stdin=TOKEN)
    assert slip.status == 1 and "there is no project 'WBE'" in slip.err and not (cli.data_folder / "github").exists()
    connect = ("github", "connect", "WEB", "--repository", hub.name, "--api-url", hub.url)
    first = cli.run(*connect)
    assert first.status == 1 and "there is no token for octo/web" in first.out and "dispatcher github token WEB" in first.out
    assert f"Add a webhook on {hub.url}/octo/web/settings/hooks/new" in first.out
    assert "https://board.example/hooks/github/WEB" in first.out and "cannot reach" not in first.out
    for name in (
        "application/json",
        "Pull request review comments",
        "Check suites",
        "Contents",
        "a person with write permission",
    ):
        assert name in first.out, name
    walk.hook()
    assert [one.status for one in people.ping(hub)] == [202]
    status, second = cli.on_terminal(*connect, answers={"the token (empty: later)": TOKEN})
    assert hub.secret in first.out and hub.secret in second and TOKEN not in second
    assert "branches can be pushed" in second and "GitHub's ping has come" in second
    assert status == 0 and "label an issue agent:NAME" in second
    assert "dispatcher github check WEB" in cli.ok("github", "token", "WEB", stdin=f"{TOKEN}\n").out
    assert cli.json("github", "status", "WEB")["warnings"] == []
    assert [one["project"] for one in cli.json("github", "status")] == ["WEB"]
    listed = cli.ok("github", "status").out.rstrip("\n").split("\t")
    assert listed[:2] == ["WEB", hub.name] and listed[-1] == "in step"
    assert all(row["ok"] for row in cli.json("github", "check", "WEB"))
    tried = cli.ok("github", "try", "WEB", "tess").out
    assert "label\tno\ttess has triage permission; write or better is asked for" in tried
    changed = cli.ok("github", "policy", "WEB", "--permission", "maintain", "--allow", "wren", "--assignee", "octo=coder").out
    assert "wren, on the allowlist: label, comment" in changed and "a person with write permission: no" in changed
    assert cli.run("github", "policy", "WEB", "--assignee", "octo").status == 2
    number = people.open_issue(hub, "mallory", "Fix it", "Be nice\u202e <!-- or evil -->")
    hub.flush()
    people.add_label(hub, "tess", number, "agent:coder")
    hub.flush()
    for _ in range(100):
        if all(row["state"] == "done" for row in cli.json("github", "deliveries", "WEB")):
            break
    rows = cli.json("github", "deliveries", "WEB")
    assert [row["note"] for row in rows][:2] == [
        "no run: tess has triage permission; maintain or better is asked for",
        "WEB-1 follows",
    ]
    assert cli.run("ticket", "assign", "WEB-1", "coder").status == 1
    assert (
        f"octo/web#{number}, by mallory, to be accepted: dispatcher github accept WEB-1"
        in cli.ok("ticket", "show", "WEB-1").out
    )
    shown = cli.run("github", "accept", "WEB-1", stdin="n\n")
    assert shown.status != 0 and "Be nice[U+202E]" in shown.out and "evil" not in shown.out
    assert "WEB-1 is accepted" in cli.ok("github", "accept", "WEB-1", "--yes").out
    assert "is backlog" in cli.run("github", "pull", "WEB-1").err
    cli.ok("github", "catch-up", "WEB")
    secret = cli.ok("github", "secret", "WEB", "--yes").out
    assert hub.secret not in secret and [one.status for one in people.ping(hub)] == [401]
    assert "signature was made with another secret" in cli.ok("github", "status", "WEB").out
    cli.ok("github", "disconnect", "WEB", "--yes")
    assert list((cli.data_folder / "github").iterdir()) == []
    assert [one.status for one in people.ping(hub)] == [401]
    cli.ok("ticket", "assign", "WEB-1", "coder")


def test_every_subcommand_tells_its_use(home: Path) -> None:
    cli = Cli(home / "data", {})
    listed = cli.ok("github", "--help").out
    for name in (
        "connect",
        "status",
        "policy",
        "token",
        "secret",
        "check",
        "try",
        "deliveries",
        "accept",
        "pull",
        "catch-up",
        "disconnect",
    ):
        assert name in listed
        told = cli.ok("github", name, "--help").out
        assert f"$ dispatcher github {name} " in told, "an example"
