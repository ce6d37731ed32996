"""`dispatcher demo`: a ticket from the board to review, with a real agent and a scripted model."""

from __future__ import annotations

import io
import os
import shutil
import subprocess
import tempfile
import zipfile
from collections.abc import Iterator
from contextlib import contextmanager
from enum import StrEnum
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from dispatcher.commands.common import example, load_settings
from dispatcher.commands.output import note, one_line, say
from dispatcher.commands.progress import state_of, tell_end, wait
from dispatcher.commands.review import show_diff
from dispatcher.errors import Conflict, DispatcherError, Invalid

if TYPE_CHECKING:
    from dispatcher.client import Client
    from dispatcher.settings import Settings

MARK = ".dispatcher-demo"
"""Lies in a data folder that the demo made, and may therefore remove."""
PROJECT = "DEMO"
MODEL = "scripted-demo"
TEST_SECONDS = 120


class Choice(StrEnum):
    """Which agents take part."""

    opencode = "opencode"
    aider = "aider"
    goose = "goose"
    all = "all"


class DemoFailed(DispatcherError):
    """Something that the demo promises did not happen."""


def register(app: typer.Typer) -> None:
    """Add the command."""
    app.command("demo", epilog=example("dispatcher demo", "dispatcher demo --harness all --keep-running"))(demo)


def demo(
    harness: Annotated[Choice, typer.Option(help="The agent that does the work.")] = Choice.opencode,
    keep_running: Annotated[bool, typer.Option("--keep-running", help="Leave the board up at the end, until Ctrl-C.")] = False,
    home: Annotated[Path | None, typer.Option(metavar="FOLDER", help="The demo's own folder.")] = None,
    port: Annotated[int, typer.Option(min=0, max=65535, help="The board's port; 0 takes a free one.")] = 0,
) -> None:
    """Show a ticket's way from the board to review: a real agent in a sample repository, with a scripted model.

    Needs no model and no other set-up. Exit status 0 when every ticket ended in review with green tests.
    """
    from dispatcher.commands.up import heed, serve_until
    from dispatcher.entry import login_link
    from dispatcher.stack import Stack

    names = [choice.value for choice in Choice if choice is not Choice.all] if harness is Choice.all else [harness.value]
    say("The model of this demo is a script: it plays a fixed story and understands nothing. All else is real.", "bold")
    _install(names)
    settings = _fresh((home or default_folder()).expanduser().absolute() / "data", port)
    sample = _sample(settings)
    with scripted_endpoint() as endpoint_url, Stack(settings, say=note) as stack:
        say(f"The board is at {stack.url}", "bold")
        say(f"Log in: {login_link(settings, stack.url)}")
        _story(settings, stack.url, sample, endpoint_url, names)
        if keep_running:
            say(f"The board is at {stack.url}", "bold")
            say(f"Log in: {login_link(settings, stack.url)}")
            note(f"the command line finds it with DISPATCHER_HOME={settings.home}")
            note("end with Ctrl-C")
            serve_until(heed(stack), stack)
        else:
            note("the board ends with the demo; --keep-running leaves it up")


def default_folder() -> Path:
    """`.demo` in a checkout of the project, else a folder of this user's below the one for temporary files."""
    here = Path.cwd()
    if (here / "dispatcher" / "cli.py").is_file() and (here / "pyproject.toml").is_file():
        return here / ".demo"
    return Path(tempfile.gettempdir()) / f"dispatcher-demo-{os.getuid()}"


@contextmanager
def scripted_endpoint() -> Iterator[str]:
    """The demo's model server; gives its base URL."""
    from dispatcher.demo.sample import CHUNK_DELAY, demo_script
    from dispatcher.demo.scripted import ScriptedEndpoint

    with ScriptedEndpoint(demo_script, models=(MODEL,), chunk_delay=CHUNK_DELAY) as endpoint:
        yield endpoint.base_url


def _install(names: list[str]) -> None:
    from dispatcher.commands.harness import install_one

    for name in names:
        path, version, megabytes, seconds = install_one(name, lines=True)
        if seconds:
            say(f"{name} {version} is installed ({megabytes} MB, {seconds:.0f} s): {path}")


def _fresh(folder: Path, port: int) -> Settings:
    """The settings of an empty data folder; one that an earlier demo left there is removed. Raises `Invalid`, `Conflict`."""
    from dispatcher.client import running_server

    given = {"home": folder, "port": port, "host": "127.0.0.1", "database_url": "", "redis_url": "", "url": ""}
    settings = load_settings(harness_home=load_settings().harness_root, **given)
    if url := running_server(settings):
        raise Conflict(f"a demo is running at {url}", "end it, or give this one another folder: --home FOLDER")
    if folder.exists() and any(folder.iterdir()):
        if not (folder / MARK).exists():
            raise Invalid(f"{folder} holds something that no demo made", "give the demo another folder: --home FOLDER", "home")
        shutil.rmtree(folder)
    folder.mkdir(parents=True, exist_ok=True)
    (folder / MARK).touch()
    return settings


def _sandbox() -> str:
    """The strict sandbox where this machine can make it: the demo has no repository of the user's to protect, and goes on."""
    from dispatcher.sandboxes import try_sandboxes

    strict = next(found for found in try_sandboxes() if found.tier == "strict")
    if strict.reason:
        note(f"The agent has no sandbox: {strict.reason}. To have one: {strict.fix}")
        return "none"
    say(f"The agent is in a sandbox of its own: {len(strict.refused)} of {len(strict.refused)} ways out are refused.")
    return "strict"


def _sample(settings: Settings) -> Path:
    """The sample repository, seen to fail its tests."""
    from dispatcher.demo.sample import make_sample

    sample = make_sample(settings.home / "sample")
    passed, output = run_tests(sample, "main")
    if passed:
        raise DemoFailed("the sample's tests pass before anything was done", f"see {sample}")
    say(f"A sample repository with a bug: {sample}")
    say(f"  its tests on main: {_last_line(output)}", "red")
    return sample


def _story(settings: Settings, url: str, sample: Path, endpoint_url: str, names: list[str]) -> None:
    from dispatcher.client import open_client
    from dispatcher.demo.sample import CHECK

    with open_client(settings.model_copy(update={"url": url})) as client:
        project = {"path": str(sample), "key": PROJECT, "name": "Sample", "check_command": CHECK, "sandbox": _sandbox()}
        client.post("/projects", project)
        client.post("/endpoints", {"name": "scripted", "base_url": endpoint_url, "model": MODEL, "slots": 4})
        for name in names:
            client.post("/agents", {"name": f"{name}-agent", "harness": name, "endpoint": "scripted"})
            _ticket(client, url, sample, name)


def _ticket(client: Client, url: str, sample: Path, name: str) -> None:
    """One ticket from filing to review; raises `DemoFailed` where it does not get there."""
    from dispatcher.demo.sample import TICKET_BODY, TICKET_TITLE

    ticket = client.post("/tickets", {"project": PROJECT, "title": TICKET_TITLE, "body": TICKET_BODY, "labels": ["demo"]})
    key = ticket["key"]
    say()
    say(f"{key}  {TICKET_TITLE}", "bold")
    client.post(f"/tickets/{key}/assign", {"agent": f"{name}-agent"})
    say(f"assigned to {name}-agent: {url}/tickets/{key}")
    page = wait(client, key, lines=True)
    tell_end(page, advice=False)
    if state_of(page) != "review":
        raise DemoFailed(f"{key} ended {state_of(page)} instead of in review", _why(page))
    changed = client.get(f"/tickets/{key}/diff")
    if not changed["files"]:
        raise DemoFailed(f"the branch of {key} changes nothing", f"see {url}/tickets/{key}")
    show_diff(changed["text"])
    passed, output = run_tests(sample, changed["head_sha"])
    if not passed:
        raise DemoFailed(f"the sample's tests fail on the branch of {key}: {_last_line(output)}", f"see {url}/tickets/{key}")
    say(f"The sample's tests on {page['workspace']['branch']}:", "bold")
    say(output.rstrip(), "green")


def run_tests(repository: Path, commit: str) -> tuple[bool, str]:
    """Run the sample's tests on a commit, in a copy of its own: whether they pass, and what they print."""
    from dispatcher.demo.sample import CHECK

    packed = subprocess.run(
        ["git", "-C", str(repository), "archive", "--format=zip", commit], capture_output=True, check=True
    ).stdout
    with tempfile.TemporaryDirectory(prefix="dispatcher-demo-") as folder:
        with zipfile.ZipFile(io.BytesIO(packed)) as archive:
            archive.extractall(folder)
        done = subprocess.run(
            CHECK,
            shell=True,
            cwd=folder,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
            timeout=TEST_SECONDS,
            check=False,
        )
    return done.returncode == 0, done.stdout


def _why(page: dict[str, Any]) -> str:
    blocker = page.get("blocker")
    return one_line(blocker.get("evidence") or blocker["text"])[:400] if blocker else "see its runs: dispatcher run list"


def _last_line(output: str) -> str:
    return output.strip().splitlines()[-1] if output.strip() else "no output"
