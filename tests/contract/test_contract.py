"""What every harness's adapter promises (`adapters.base`), without the harness: a new one is tested by being in `HARNESSES`."""

from __future__ import annotations

import json
import os
import random
import socket
import tempfile
import time
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from adapters import HARNESSES, harness
from adapters.base import Harness, Launch, Record, StoreUnreadable
from adapters.session import Session
from tests.contract import driver
from tests.contract.driver import all_recorded, last_states, printed, recorded
from tests.contract.purity import FORBIDDEN, Impure, pure
from tests.contract.spoiling import MAGIC, NOISE, json_of, noise, spoiled, variants
from tests.contract.tasks import a_task

RECORDED = pytest.mark.parametrize(("name", "run"), all_recorded(), ids=lambda value: getattr(value, "name", value))
LONGEST_ARGUMENT = 128 * 1024
"""Bytes of one argument that Linux takes (MAX_ARG_STRLEN, execve(2))."""
EXITS = (-15, -2, -9, -1, -6, -11, 1, 2, 127, 137, 143)
HOSTILE = {
    "shell": "!touch pwned",
    "command": "/clear",
    "option": "-x --help",
    "newlines": "first\n\n\r\n!second\n/third\n\n",
    "long": "200 kB of words " * 12_500,
    "unicode": "ä 漢字 🦀 \u202e\u2028\ufeff \x1b[31mred\x07 \x00",
    "quotes": "\"'`$(id)`\\ %s {x} {{ y }} <b>&amp; ''' \"\"\"",
}
BROKEN = {
    "random": NOISE,
    "broken JSON": b'{"type": "message", "message": {"role"\n{"type":\n{]}\n',
    "other JSON": b'null\n7\n[1]\n"text"\n{}\n{"type": null}\n{"type": []}\n{"type": "new", "timestamp": 1e400}\n',
    "deep JSON": b'{"type":' + b"[" * 100_000 + b"\n",
    "NUL": b"\0" * 1000 + b"\n\0\n",
    "5 MB line": b"x" * 5_000_000 + b"\n",
    "unterminated UTF-8": "später".encode()[:4],
    "ANSI": b"\x1b[2J\x1b]0;title\x07\x1b[\n",
}


@pytest.fixture(params=sorted(HARNESSES))
def adapter(request: pytest.FixtureRequest) -> Harness:
    """Each of them."""
    return harness(request.param)


def places(launch: Launch) -> list[Path]:
    """All places on disk that a launch names."""
    return [*launch.files, *launch.folders, *launch.follow.values(), *([launch.stdin] if launch.stdin else [])]


def delivered(launch: Launch, prompt: str) -> str:
    """The text through which the harness gets the prompt."""
    texts = {path: text for path, text in launch.files.items() if prompt in text}
    assert texts, "the prompt is in no file"
    path = launch.stdin if launch.stdin in texts else next(iter(texts))
    told = " ".join([*launch.argv, *launch.env.values()])
    assert path == launch.stdin or str(path) in told, "the harness is not told of the file with the prompt"
    return texts[path]


# What is launched.


def test_the_guard_bites() -> None:
    for look in (lambda: Path("x").exists(), lambda: os.getenv("HOME"), lambda: time.time(), lambda: socket.socket()):
        with pytest.raises(Impure), pure():
            look()
    assert len(set(FORBIDDEN)) == len(FORBIDDEN)


def test_launch_is_pure(adapter: Harness, tmp_path: Path) -> None:
    task, home = a_task(tmp_path, adapter.name), tmp_path / "home"
    first = adapter.launch(task, home)
    with pure():
        second, resumed = adapter.launch(task, home), adapter.launch(replace(task, turn=2, resume="ses_1"), home)
    assert first == second
    assert resumed != first
    assert list(tmp_path.iterdir()) == []


def test_launch_is_complete(adapter: Harness, tmp_path: Path) -> None:
    home = tmp_path / "home"
    theirs = {"MINE": "1", "HOME": "/root", "PATH": "/nowhere"}
    task = a_task(tmp_path, adapter.name, path="/opt/tools:/usr/bin", environment=theirs)
    launch = adapter.launch(task, home)
    assert launch.argv[0] == str(task.executable)
    assert launch.cwd == task.worktree
    assert Path(launch.env["HOME"]).is_relative_to(home)
    assert launch.env["PATH"].endswith(task.path)
    assert launch.env["MINE"] == "1"
    assert not [name for name in launch.env if "=" in name or "\0" in name + launch.env[name]]
    assert not [argument for argument in launch.argv if task.api_key in argument], "the list of processes shows it"
    told = json.dumps([launch.argv, launch.env, list(launch.files.values())])
    for what in (task.api_key, task.model):
        assert what in told
    assert task.base_url in told or task.base_url.removesuffix("/v1") in told


def test_launch_writes_only_where_it_may(adapter: Harness, tmp_path: Path) -> None:
    task, home = a_task(tmp_path, adapter.name), tmp_path / "home"
    launch = adapter.launch(task, home)
    assert places(launch)
    for path in places(launch):
        assert path.is_relative_to(home) or path.is_relative_to(task.run)
        assert not path.is_relative_to(task.worktree)
    assert launch.stdin is None or launch.stdin in launch.files
    assert not {"stdout", "stderr"} & launch.follow.keys(), "these are the caller's"
    for name, value in launch.env.items():
        if name in ("HOME", "TMPDIR") or name.startswith("XDG_"):
            assert Path(value).is_relative_to(home) or Path(value).is_relative_to(task.run), name


@pytest.mark.parametrize("hostile", HOSTILE.values(), ids=HOSTILE)
def test_a_prompt_is_carried_whole(adapter: Harness, hostile: str, tmp_path: Path) -> None:
    prompt = f"Ticket WEB-1: {hostile}\n\n{hostile}\n"
    launch = adapter.launch(a_task(tmp_path, adapter.name, prompt=prompt), tmp_path / "home")
    assert delivered(launch, prompt).startswith("Ticket WEB-1:")
    assert not [text for text in (*launch.argv, *launch.env.values()) if hostile in text]
    bare = adapter.launch(a_task(tmp_path, adapter.name, prompt=hostile), tmp_path / "home")
    assert hostile in delivered(bare, hostile)


@pytest.mark.parametrize("hostile", HOSTILE.values(), ids=HOSTILE)
def test_a_title_turns_into_no_option(adapter: Harness, hostile: str, tmp_path: Path) -> None:
    plain, odd = (
        adapter.launch(a_task(tmp_path, adapter.name, title=title), tmp_path / "home").argv for title in ("Fix", hostile)
    )
    assert len(plain) == len(odd)
    for argument in (new for old, new in zip(plain, odd, strict=True) if old != new):
        assert not argument.startswith(("-", "!", "/", "@"))
        assert "\0" not in argument, "exec refuses it"
        assert len(argument.encode()) < LONGEST_ARGUMENT


@pytest.mark.parametrize("output", ["", "\0\xff", "no version", "1", "usage: x [-h]", "9" * 5000])
def test_a_version_that_is_none_is_not_a_tested_one(adapter: Harness, output: str) -> None:
    assert not adapter.probe(output).tested


def test_both_ends_of_the_tested_range_are_tested(adapter: Harness) -> None:
    for version in adapter.tested:
        probe = adapter.probe(f"{adapter.name} {version}\n")
        assert (probe.version, probe.tested) == (version, True)
    assert adapter.package.version in adapter.tested


# What is decoded while it runs.


@pytest.mark.guarantee("logs are whole and in order")
@RECORDED
def test_output_may_be_cut_anywhere(name: str, run: Path, tmp_path: Path) -> None:
    adapter, task, home = harness(name), a_task(tmp_path, name), tmp_path / "home"

    def decoded(stream: str, *pieces: bytes) -> tuple[str | None, dict[str, dict[str, Any]]]:
        decoder = adapter.tail(task, home)
        items = [item for piece in pieces for item in decoder.feed(stream, piece)]
        return decoder.native_id, last_states(items)

    for stream, path in driver.streams(run, adapter.launch(task, home).follow).items():
        data = path.read_bytes()
        whole = decoded(stream, data)
        assert whole[1] or stream in ("stdout", "stderr"), "an empty one proves nothing"
        for size in (1, 7, 1000):
            assert decoded(stream, *(data[at : at + size] for at in range(0, len(data), size))) == whole
        for at in range(0, len(data), 1 if len(data) < 1000 else 7):
            assert decoded(stream, data[:at], b"", data[at:]) == whole, f"{stream} cut at {at}"


@pytest.mark.parametrize("data", BROKEN.values(), ids=BROKEN)
def test_garbage_never_raises(adapter: Harness, data: bytes, tmp_path: Path) -> None:
    task = a_task(tmp_path, adapter.name)
    decoder = adapter.tail(task, tmp_path / "home")
    for stream in ("stdout", "stderr", "nobody's", *adapter.launch(task, tmp_path / "home").follow):
        for at in range(0, len(data), 65536):
            decoder.feed(stream, data[at : at + 65536])
        decoder.feed(stream, b"\n")
    assert decoder.poll() == []


@RECORDED
def test_fields_of_another_type_never_raise(name: str, run: Path, tmp_path: Path) -> None:
    """Each value of each recorded event is replaced in turn, as a later version might."""
    adapter, task, home = harness(name), a_task(tmp_path, name), tmp_path / "home"
    for stream, path in driver.streams(run, adapter.launch(task, home).follow).items():
        lines = dict.fromkeys(path.read_text(errors="replace").splitlines())
        for event in (value for line in lines if (value := json_of(line))):
            decoder = adapter.tail(task, home)
            for other in spoiled(event):
                decoder.feed(stream, json.dumps(other).encode() + b"\n")


# What is read afterwards.


def test_something_is_recorded(adapter: Harness, tmp_path: Path) -> None:
    runs = recorded(adapter.name)
    assert [run for run in runs if printed(run)], "a new harness brings what it printed"
    assert [run for run in runs if driver.store(run, tmp_path / run.name)], "and its store"


@RECORDED
def test_a_recorded_store_is_read_in_the_common_form(name: str, run: Path, tmp_path: Path) -> None:
    adapter, place = harness(name), driver.store(run, tmp_path / "store")
    assert place is not None
    stored = driver.read(adapter, Record(place))
    assert stored.items
    assert driver.read(adapter, Record(place, stored.native_id)).to_json() == stored.to_json()
    told = driver.read(adapter, Record(place, None, printed(run), printed(run, "stderr"), driver.status(run)))
    assert told.native_id == stored.native_id
    assert told.items


@RECORDED
def test_what_is_listed_can_be_read(name: str, run: Path, tmp_path: Path) -> None:
    adapter, place = harness(name), driver.store(run, tmp_path / "home" / "some" / "store")
    assert place is not None
    rows = list(adapter.sessions(place))
    assert rows
    assert len({(row.store, row.native_id) for row in rows}) == len(rows)
    updated = [row.updated_at for row in rows if row.updated_at]
    assert updated == sorted(updated, reverse=True), "newest first"
    for row in rows:
        assert row.harness == name
        assert adapter.read(Record(Path(row.store), row.native_id)).native_id == row.native_id


def test_a_folder_that_is_not_ours_to_write_is_read(adapter: Harness) -> None:
    """As a plain user, for root may write everywhere."""
    with tempfile.TemporaryDirectory() as folder:
        for run in recorded(adapter.name):
            place = driver.store(run, Path(folder) / run.name)
            assert place is not None
            adapter.read(Record(place))  # what is imported late is imported now
        for path in [Path(folder), *Path(folder).rglob("*")]:
            path.chmod(0o555 if path.is_dir() else 0o444)
        before = driver.fingerprint(Path(folder))
        user = os.geteuid()
        try:
            if user == 0:
                os.seteuid(65534)
            for run in recorded(adapter.name):
                place = Path(folder) / run.name
                assert adapter.read(Record(next(iter(place.glob("export.json")), place))).items
        finally:
            os.seteuid(user)
            after = driver.fingerprint(Path(folder))
            for path in [Path(folder), *Path(folder).rglob("*")]:
                path.chmod(0o700)
        assert after == before


def assert_unreadable(adapter: Harness, place: Path) -> None:
    """There is nothing to read at that place, and the error says in one line what to do about it."""
    with pytest.raises(StoreUnreadable) as caught:
        adapter.read(Record(place))
    assert caught.value.hint
    assert "\n" not in f"{caught.value}{caught.value.hint}"
    assert list(adapter.sessions(place)) == []


def test_what_is_no_store_is_unreadable(adapter: Harness, tmp_path: Path) -> None:
    (tmp_path / "folder").mkdir()
    (tmp_path / "folder" / "notes.txt").write_text("# Notes\n\nhello\n")
    (tmp_path / "empty").mkdir()
    (tmp_path / "zero.db").write_bytes(b"")
    (tmp_path / "other.json").write_text('{"a": 1}')
    (tmp_path / "noise.db").write_bytes(MAGIC + NOISE)
    for name in ("missing", "empty", "folder", "folder/notes.txt", "zero.db", "other.json", "noise.db"):
        assert_unreadable(adapter, tmp_path / name)


@RECORDED
def test_a_corrupt_store_is_unreadable(name: str, run: Path, tmp_path: Path) -> None:
    place = driver.store(run, tmp_path / "store")
    assert place is not None
    noise(tmp_path / "store")
    assert_unreadable(harness(name), place)


@RECORDED
def test_a_store_that_breaks_off_is_read_or_refused(name: str, run: Path, tmp_path: Path) -> None:
    adapter, place = harness(name), driver.store(run, tmp_path / "store")
    assert place is not None
    for path in [path for path in (tmp_path / "store").rglob("*") if path.is_file()]:
        path.write_bytes(path.read_bytes()[: path.stat().st_size * 2 // 3])
    list(adapter.sessions(place))
    try:
        driver.read(adapter, Record(place))
    except StoreUnreadable as error:
        assert error.hint


@RECORDED
def test_values_of_another_type_are_read_or_refused(name: str, run: Path, tmp_path: Path) -> None:
    adapter, place = harness(name), driver.store(run, tmp_path / "store")
    assert place is not None
    for what in variants(tmp_path / "store", random.Random(run.name), 25):
        try:
            driver.read(adapter, Record(place))
            list(adapter.sessions(place))
        except StoreUnreadable as error:
            assert error.hint
        except Exception as error:
            raise AssertionError(what) from error


# How it ended.


def recorded_session(name: str, run: Path, folder: Path) -> Session:
    """A recorded session as it is judged after a run."""
    place = driver.store(run, folder)
    assert place is not None
    return harness(name).read(Record(place, None, printed(run), printed(run, "stderr"), driver.status(run)))


@RECORDED
def test_the_outcome_is_a_pure_function_of_session_and_exit(name: str, run: Path, tmp_path: Path) -> None:
    adapter, session = harness(name), recorded_session(name, run, tmp_path / "store")
    before = session.to_json()
    for exit in (0, None, *EXITS):
        first = adapter.outcome(session, exit)
        with pure():
            assert adapter.outcome(session, exit) == first
        driver.assert_evidence(first, session)
        assert session.to_json() == before
        if exit:
            assert first.kind != "done", f"exit {exit}"
        if first.kind == "done":
            assert adapter.outcome(session, 0).kind == "done", "what is not known makes nothing better"


@RECORDED
def test_what_breaks_off_is_not_done(name: str, run: Path, tmp_path: Path) -> None:
    """The session is cut after each of its items; done it can only be where the model had the last word."""
    adapter, session = harness(name), recorded_session(name, run, tmp_path / "store")
    for length in range(len(session.items)):
        cut = session.model_copy(update={"items": session.items[:length]})
        told = [item for item in cut.items if item.kind not in ("usage", "plan", "notice")]
        for exit in (0, None, -15):
            outcome = adapter.outcome(cut, exit)
            driver.assert_evidence(outcome, cut)
            if outcome.kind == "done":
                assert told[-1].kind == "assistant", f"done after {length} items, exit {exit}"


def test_an_empty_session_is_never_done(adapter: Harness) -> None:
    empty = Session(harness=adapter.name)
    for exit in (0, None, *EXITS):
        outcome = adapter.outcome(empty, exit)
        assert outcome.kind != "done"
        assert outcome.text
        assert outcome.evidence is None
