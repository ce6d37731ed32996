"""`dispatcher login`, `user` and tokens: on the board's machine, and from elsewhere; the servers are real processes."""

from __future__ import annotations

import json
import re
import stat
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import httpx
import pytest

from dispatcher import cli as program
from dispatcher.commands.common import Usage
from dispatcher.commands.up import refuse_open_bind
from dispatcher.settings import Settings
from tests.integration.cli import Cli, Ended

LINK = re.compile(r"http://127\.0\.0\.1:\d+/login\?token=dsp_[\w-]{43}")


class Here:
    """The program's commands within this process, which is quicker; `start` is a process."""

    def __init__(self, folder: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> None:
        self.folder = folder
        self._patch = monkeypatch
        self._capsys = capsys
        self.env: dict[str, str] = {}

    def run(self, *arguments: str | Path, folder: Path | None = None, **env: str) -> Ended:
        self._capsys.readouterr()
        with self._patch.context() as patch:
            for name, value in {"DISPATCHER_HOME": str(folder or self.folder), **env}.items():
                patch.setenv(name, value)
            status = program.run([str(argument) for argument in arguments])
        told = self._capsys.readouterr()
        return Ended(status, told.out, told.err)

    def ok(self, *arguments: str | Path, **env: str) -> Ended:
        ended = self.run(*arguments, **env)
        assert ended.status == 0, ended.err
        return ended

    def json(self, *arguments: str | Path, **env: str) -> Any:
        return self.ok(*arguments, "--json", **env).data

    @contextmanager
    def running(self, folder: Path | None = None, *options: str) -> Iterator[str]:
        """The web app alone; gives its address."""
        with Cli(folder or self.folder, self.env).serving(*options) as served:
            assert asked(served.url, "/status").status_code == 401  # it answers now
            yield served.url
        self.errors = served.errors


@pytest.fixture
def here(home: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> Here:
    return Here(home / "data", monkeypatch, capsys)


def enter(link: str) -> httpx.Response:
    """Follow a link as a browser does, to one's own page; or the refusal."""
    base, _, token = link.partition("/login?token=")
    with httpx.Client(base_url=base, trust_env=False, headers={"Origin": base}, timeout=60) as browser:
        answer = browser.post("/login", data={"token": token})
        return answer if answer.status_code != 303 else browser.get("/me")


def asked(url: str, path: str, token: str = "") -> httpx.Response:
    headers = {"Authorization": f"Bearer {token}"} if token else {}
    return httpx.get(f"{url}/api/v1{path}", headers=headers, trust_env=False, timeout=60)


def test_users_are_managed_where_no_server_runs(here: Here) -> None:
    added = here.ok("user", "add", "Ada", "--role", "admin")
    assert added.out.splitlines()[0] == "ada  admin" and LINK.fullmatch(added.out.splitlines()[1])
    assert "works once, for 24 h" in added.err
    assert "there is a user ada already" in here.run("user", "add", "ADA").err
    here.ok("user", "add", "bob")
    names = [(row["name"], row["role"]) for row in here.json("user", "list")]
    assert names == [("ada", "admin"), ("admin", "admin"), ("bob", "member")]
    assert here.ok("user", "role", "bob", "viewer").out == "bob  viewer\n"
    unsure = here.run("user", "disable", "bob")
    assert unsure.status == 2 and "--yes" in unsure.err
    here.ok("user", "disable", "bob", "--yes")
    refused = here.run("user", "link", "bob")
    assert refused.status == 1 and "bob is disabled" in refused.err and "dispatcher user enable bob" in refused.err
    assert here.json("user", "enable", "bob")["disabled_at"] is None
    assert LINK.fullmatch(here.json("user", "link", "bob", "--hours", "72")["link"])
    here.ok("user", "disable", "admin", "--yes")
    for command in (("disable", "ada", "--yes"), ("role", "ada", "viewer")):
        last = here.run("user", *command)
        assert last.status == 1 and "ada is the last administrator" in last.err
    assert here.run("user", "role", "bob", "root").status == 1
    assert "no board is running" in here.ok("login").err


def test_a_link_logs_in_once_and_a_new_one_can_always_be_had(here: Here) -> None:
    with here.running() as url:
        first = here.ok("login")
        assert first.out.startswith(f"{url}/login?token=") and "works once, for 10 minutes" in first.err
        assert enter(first.out.strip()).status_code == 200
        again = enter(first.out.strip())
        assert again.status_code == 401 and "used already" in again.text and "dispatcher login" in again.text
        assert enter(here.json("login")["link"]).status_code == 200
        assert "there is no user" in here.run("login", "nobody").err


def test_the_folder_s_commands_enter_by_what_the_server_left_there(here: Here, tmp_path: Path) -> None:
    here.folder.mkdir()
    file = here.folder / "server.json"
    file.write_text("{}")
    file.chmod(0o666)
    with here.running() as url:
        assert stat.S_IMODE(file.stat().st_mode) == 0o600, "whatever lay there"
        token = json.loads(file.read_text())["token"]
        here.ok("user", "add", "ada")
        assert {entry["actor"] for entry in asked(url, "/activity", token).json()} == {"admin"}
        outside = here.run("user", "list", folder=tmp_path, DISPATCHER_URL=url)
        assert outside.status == 1 and "a login is needed" in outside.err and "DISPATCHER_TOKEN" in outside.err
        same = here.json("user", "list", DISPATCHER_URL=url.replace("127.0.0.1", "localhost"))
        assert [row["name"] for row in same] == ["ada", "admin"]
        with here.running(tmp_path / "another") as other:
            # Nothing of this folder is sent to a server of another one.
            assert "a login is needed" in here.run("user", "list", DISPATCHER_URL=other).err
    with here.running() as url:
        assert asked(url, "/status", token).status_code == 401, "the token ended with its server"


def test_from_another_machine_with_a_token(here: Here, tmp_path: Path, repository: Path) -> None:
    here.ok("project", "add", repository, "--key", "SHOP")
    here.ok("user", "add", "ci")
    made = here.ok("user", "token", "add", "ci", "--label", "nightly build", "--days", "90")
    token = made.out.strip()
    assert re.fullmatch(r"dsp_[\w-]{43}", token) and "not shown again" in made.err
    with here.running() as url:
        remote: dict[str, Any] = {"folder": tmp_path, "DISPATCHER_URL": url, "DISPATCHER_TOKEN": token}
        here.ok("ticket", "new", "From afar", "--project", "SHOP", **remote)
        forbidden = here.run("project", "remove", "SHOP", "--yes", **remote)
        assert forbidden.status == 1 and "your role, member" in forbidden.err and "ask one of: admin" in forbidden.err
        listed = here.json("user", "token", "list", "ci")
        assert [(row["label"], row["made_by"]) for row in listed] == [("nightly build", "admin")] and token not in str(listed)
        here.ok("user", "token", "revoke", "ci", str(listed[0]["id"]))
        refused = here.run("ticket", "list", **remote)
        assert refused.status == 1 and "the token does not hold" in refused.err and "DISPATCHER_TOKEN" in refused.err
        assert here.json("user", "token", "list") == []


def test_up_prints_a_link_that_works_and_opens_it_on_request(here: Here, tmp_path: Path) -> None:
    opened, browser = tmp_path / "opened", tmp_path / "browser"
    browser.write_text(f'#!/bin/sh\nprintf %s "$1" > "{opened}.part" && mv "{opened}.part" "{opened}"\n')
    browser.chmod(0o755)
    process = Cli(here.folder, {"BROWSER": str(browser)}).start("up", "--port", "0", "--open")
    assert process.stdout is not None
    try:
        lines = [process.stdout.readline() for _ in range(2)]
        link = lines[1].removeprefix("Log in: ").strip()
        assert LINK.fullmatch(link), lines
        deadline = time.monotonic() + 60
        while not opened.exists():
            assert time.monotonic() < deadline
            time.sleep(0.05)
        assert opened.read_text() == link and enter(link).status_code == 200
        logs = "".join(path.read_text() for path in (here.folder / "logs").iterdir())
        assert link.partition("token=")[2] not in logs
    finally:
        process.terminate()
        process.communicate(timeout=60)


def test_other_machines_are_listened_to_once_somebody_can_log_in(
    here: Here, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    def tried(folder: str, *, insecure: bool = False, **more: Any) -> str:
        refuse_open_bind(Settings(home=tmp_path / folder, host="0.0.0.0", **more), insecure)
        return capsys.readouterr().err

    with pytest.raises(Usage) as caught:
        tried("new")
    assert "nobody has logged in" in caught.value.message and "user add NAME --role admin" in caught.value.hint
    assert "plain HTTP" in tried("new", insecure=True)
    here.run("user", "add", "ada", "--role", "admin", folder=tmp_path / "added")
    assert "plain HTTP" in tried("added")
    assert tried("added", trusted_proxies=["127.0.0.1"]) == ""
    refuse_open_bind(Settings(home=tmp_path / "loopback"), insecure=False)
    with here.running():
        enter(here.ok("login").out.strip())
    with here.running(None, "--host", "0.0.0.0") as url:
        assert url.startswith("http://127.0.0.1:")
    assert "plain HTTP" in here.errors


def test_a_setting_that_is_no_network_is_named(here: Here) -> None:
    wrong = here.run("user", "list", DISPATCHER_TRUSTED_PROXIES='["the proxy"]')
    assert wrong.status == 1 and "DISPATCHER_TRUSTED_PROXIES" in wrong.err
