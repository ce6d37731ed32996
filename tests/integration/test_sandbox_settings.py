"""A project's sandbox by command line, API and page; what a run's was tried on, shown; what a machine cannot make, told."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from dispatcher import board, doctor
from dispatcher.errors import Invalid
from dispatcher.models import Project, Run
from dispatcher.projects import edit_project, get_project
from dispatcher.sandboxes import Reach, Receipt
from dispatcher.settings import Settings
from tests.house import House, house
from tests.integration.cli import Cli
from tests.sandboxes import needs_landlock, needs_strict
from tests.webbing import Web, open_web


@pytest.fixture
async def home(tmp_path: Path, repository: Path) -> AsyncIterator[House]:
    async with house(tmp_path, "", repository, sandbox="strict") as made:
        yield made


@pytest.fixture
async def web(tmp_path: Path, repository: Path) -> AsyncIterator[Web]:
    async with open_web(f"sqlite:///{tmp_path / 'dispatcher.db'}", tmp_path / "data", sandbox="strict") as web:
        await web.furnish(repository)
        yield web


def project(home: House) -> Project:
    with home.database.reading() as db:
        return get_project(db, "SAMPLE")


@needs_strict
async def test_what_the_project_names_is_let_in_and_shown_on_the_run(home: House, tmp_path: Path) -> None:
    tools, shared, closed = tmp_path / "tools", tmp_path / "shared", tmp_path / "closed"
    for folder in (tools, shared, closed):
        folder.mkdir()
        (folder / "a.txt").write_text(f"{folder.name}\n")
    edit_project(home.database, "SAMPLE", reach=Reach(read=[str(tools)], write=[str(shared)]))
    key = home.file(
        f"cat '{tools}/a.txt' '{shared}/a.txt' '{closed}/a.txt' > seen.txt",
        f"echo no > '{tools}/b.txt'; echo yes > '{shared}/b.txt'",
        "say Done.",
    )
    assert await home.work(key) == "review"
    assert Path(home.workspace(key).path, "seen.txt").read_text() == "tools\nshared\n"  # noqa: ASYNC240
    assert sorted(path.name for folder in (tools, shared) for path in folder.iterdir()) == ["a.txt", "a.txt", "b.txt"]
    receipt = Receipt.model_validate(home.run(key).receipt)
    assert receipt.text == "reached: endpoint; refused: 10 of 10"
    assert receipt.named == [f"reads {tools}", f"writes {shared}"]


@needs_strict
async def test_a_sandbox_that_leaks_stops_the_run_before_it_begins(home: House, monkeypatch: pytest.MonkeyPatch) -> None:
    from workers.sandbox import strict

    monkeypatch.setattr(strict, "NAMESPACES", tuple(name for name in strict.NAMESPACES if name != "--unshare-net"))
    key = home.file("echo x > a.txt", "say Done.")
    assert await home.work(key) == "blocked"
    assert home.blocker(key).kind == "sandbox" and "leaks" in home.blocker(key).text
    assert "other ports of this machine (127.0.0.1:" in home.blocker(key).text
    assert not (home.settings.home / "homes" / key / "started").exists()


@pytest.mark.parametrize(
    ("program", "told"),
    [
        (None, ("needs bubblewrap, which is not installed", "apt install bubblewrap")),
        ("bwrap: setting up uid map: Permission denied", ("does not let bubblewrap make its namespaces", "namespaces")),
        ("bwrap: Can't find source path /nowhere: No such file", ("Can't find source path /nowhere", "dispatcher doctor")),
    ],
)
async def test_a_machine_that_cannot_make_it_refuses_and_names_the_fix(
    home: House, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, program: str | None, told: tuple[str, str]
) -> None:
    bin = tmp_path / "bin"
    bin.mkdir()
    for name in ("sh", "git", "env", "cat", "tee", "sed", "date", "setpriv"):
        (bin / name).symlink_to(f"/usr/bin/{name}")
    if program is not None:
        (bin / "bwrap").write_text(f'#!/bin/sh\n[ "$1" = --version ] && exit 0\necho "{program}" >&2\nexit 1\n')
        (bin / "bwrap").chmod(0o755)
    monkeypatch.setenv("PATH", str(bin))
    key = home.file("echo x > a.txt", "say Done.")
    assert await home.work(key) == "blocked"
    blocker = home.blocker(key)
    assert blocker.kind == "sandbox" and all(words in blocker.text for words in told) and "project edit" in blocker.advice
    home.edit(Project, sandbox="none")
    home.do(board.answer, key, "")
    assert await home.work(key) == "review" and (home.run(key).receipt or {})["tier"] == "none"


@needs_landlock
async def test_the_second_best_says_what_it_leaves_open(home: House) -> None:
    home.edit(Project, sandbox="landlock")
    key = home.file("echo x > a.txt", "cat /etc/shadow > shadow.txt; touch /tmp/pwned-by-landlock", "say Done.")
    assert await home.work(key) == "review"
    receipt = Receipt.model_validate(home.run(key).receipt)
    assert receipt.open == ["name servers", "Unix sockets"] and receipt.text.endswith("open: name servers, Unix sockets")
    assert Path(home.workspace(key).path, "shadow.txt").read_text() == ""  # noqa: ASYNC240
    assert not Path("/tmp/pwned-by-landlock").exists()  # noqa: ASYNC240


@pytest.mark.parametrize(
    ("reach", "field"),
    [
        ({"read": ["tools"]}, "read"),
        ({"read": ["/"]}, "read"),
        ({"write": ["/home/you/../.."]}, "write"),
        ({"hosts": ["https://packages.example.org/simple"]}, "hosts"),
        ({"hosts": ["packages.example.org:99999"]}, "hosts"),
        ({"setup_hosts": ["a b"]}, "setup_hosts"),
        ({"hosts": ["h"] * 51}, "hosts"),
    ],
)
def test_what_cannot_be_let_in_is_refused(home: House, reach: dict[str, list[str]], field: str) -> None:
    with pytest.raises(Invalid) as error:
        edit_project(home.database, "SAMPLE", reach=Reach.model_validate(reach))
    assert error.value.field == field and project(home).reach == {}


def test_names_of_hosts_get_their_port(home: House) -> None:
    edit_project(
        home.database,
        "SAMPLE",
        reach=Reach(hosts=["Packages.example.org", "10.0.0.7:8080", "[::1]:80", "packages.example.org:443"]),
    )
    assert project(home).reach == {"hosts": ["packages.example.org:443", "10.0.0.7:8080", "[::1]:80"]}


def test_the_command_line_sets_it(tmp_path: Path, repository: Path) -> None:
    cli = Cli(tmp_path / "data", {})
    cli.ok(
        "project", "add", repository, "--key", "SHOP", "--sandbox", "none", "--host", "packages.example.org", "--read", "/opt/x"
    )
    shown = cli.json("project", "show", "SHOP")
    assert (
        shown["sandbox"] == "none"
        and shown["reach"]["hosts"] == ["packages.example.org:443"]
        and shown["reach"]["read"] == ["/opt/x"]
    )
    edited = cli.json("project", "edit", "SHOP", "--sandbox", "strict", "--host", "", "--setup-host", "packages.example.org")
    assert edited["sandbox"] == "strict"
    assert edited["reach"] == {"read": ["/opt/x"], "write": [], "hosts": [], "setup_hosts": ["packages.example.org:443"]}
    assert "setup-hosts" in cli.ok("project", "show", "SHOP").out
    assert cli.run("project", "edit", "SHOP", "--host", "not a host").status == 1


async def test_the_page_sets_it(web: Web) -> None:
    form = {"sandbox": "landlock", "read": "/opt/x\r\n~/.m2", "write": "", "hosts": "packages.example.org", "setup_hosts": ""}
    answer = await web.client.post("/fleet/projects/WEB/edit", data=form)
    assert answer.status_code == 303
    shown = (await web.client.get("/fleet/projects/WEB")).text
    assert "landlock" in shown and "packages.example.org:443" in shown and "~/.m2" in shown
    refused = await web.client.post("/fleet/projects/WEB/edit", data=form | {"hosts": "a b"})
    assert refused.status_code == 422 and "is no host" in refused.text and ">\na b</textarea>" in refused.text
    wrong = await web.refused("PATCH", "/projects/WEB", {"sandbox": "paper"})
    assert (wrong["status"], wrong["field"]) == (422, "sandbox")


async def test_the_receipt_is_on_the_tickets_pages_and_in_run_show(web: Web, repository: Path, tmp_path: Path) -> None:
    key = await web.ticket(agent="coder")
    number = web.work(key, repository)
    receipt = {
        "tier": "strict",
        "reached": ["endpoint"],
        "refused": ["IPv6", "other ports of this machine"],
        "open": [],
        "of": 2,
    }
    with web.database.transaction() as db:
        db.get_one(Run, number).receipt = receipt | {"hosts": ["packages.example.org:443"]}
    for path in (f"/tickets/{key}/runs", f"/tickets/{key}/runs/1"):
        text = (await web.client.get(path)).text
        assert (
            "reached: endpoint; refused: 2 of 2" in text
            and "IPv6: refused" in text
            and "reaches packages.example.org:443" in text
        )
    told = await web.send("GET", f"/runs/{number}")
    assert told["receipt"]["of"] == 2 and told["receipt"]["hosts"] == ["packages.example.org:443"]
    env = {"DISPATCHER_DATABASE_URL": f"sqlite:///{tmp_path / 'dispatcher.db'}"}
    cli = Cli(tmp_path / "data", env)
    shown = (await asyncio.to_thread(cli.ok, "run", "show", str(number))).out
    assert "strict (reached: endpoint; refused: 2 of 2)" in shown and "reaches packages.example.org:443" in shown


def test_doctor_says_what_this_machine_can_make(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    found = {one.what: one for one in doctor.examine(Settings(home=tmp_path)) if one.what.startswith("sandbox")}
    assert set(found) == {"sandbox strict", "sandbox landlock"}
    monkeypatch.setenv("PATH", "/nowhere")
    missing = next(one for one in doctor.examine(Settings(home=tmp_path, sandbox="strict")) if one.what == "sandbox strict")
    assert missing.state == "problem" and "apt install bubblewrap" in missing.fix
    unused = next(one for one in doctor.examine(Settings(home=tmp_path, sandbox="none")) if one.what == "sandbox strict")
    assert unused.state == "warning"
