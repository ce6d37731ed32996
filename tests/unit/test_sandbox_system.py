"""What of the machine a sandbox lets in by itself: tool chains that PATH leads into, and never a home folder."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from workers.sandbox import system
from workers.sandbox.box import NONE, STRICT, Box
from workers.sandbox.trials import baits, closed


@pytest.fixture
def user(home: Path) -> Path:
    for name in (
        ".pyenv/shims",
        ".nvm/versions/node/v22/bin",
        ".cargo/bin",
        ".rustup",
        ".local/bin",
        "bin",
        ".ssh",
        "proj/.venv/bin",
    ):
        (home / name).mkdir(parents=True)
    (home / "proj/.venv/pyvenv.cfg").write_text(f"home = {home / '.local/share/uv/python/cpython-3.12/bin'}\nversion = 3.12\n")
    return home


def found(*folders: Path | str) -> set[Path]:
    return set(system.toolchains(os.pathsep.join(map(str, folders))))


def test_version_managers_are_let_in_whole_and_other_folders_alone(user: Path) -> None:
    assert found(user / ".pyenv/shims") == {user / ".pyenv/shims", user / ".pyenv"}
    assert found(user / ".nvm/versions/node/v22/bin") == {user / ".nvm/versions/node/v22/bin", user / ".nvm/versions"}
    assert found(user / ".cargo/bin") == {user / ".cargo/bin", user / ".rustup"}
    assert found(user / ".local/bin", user / "bin") == {user / ".local/bin", user / "bin"}
    assert found(user / "proj/.venv/bin") == {user / "proj/.venv/bin", user / "proj/.venv"}


@pytest.mark.parametrize("entry", ["{home}", "{home}/..", "/", "relative", "", "/usr/bin", "{home}/missing"])
def test_no_home_nothing_of_the_system_and_nothing_that_is_not_there(user: Path, entry: str) -> None:
    assert found(entry.format(home=user)) == set()


def test_a_program_brings_its_packages_or_its_environment(user: Path, tmp_path: Path) -> None:
    package = tmp_path / "lib" / "node_modules" / "tool" / "bin"
    package.mkdir(parents=True)
    (package / "tool").touch()
    (user / ".local/bin/tool").symlink_to(package / "tool")
    assert set(system.needed_by(user / ".local/bin/tool")) == {user / ".local/bin", package, tmp_path / "lib" / "node_modules"}
    (user / "proj/.venv/bin/aider").touch()
    assert user / "proj/.venv" in system.needed_by(user / "proj/.venv/bin/aider")


def test_a_program_behind_a_link_brings_its_environment_by_both_names(user: Path, tmp_path: Path) -> None:
    real, link = user / "proj/.venv", tmp_path / "link"
    link.symlink_to(user / "proj")
    (real / "bin/aider").touch()
    assert {real, real / "bin", link / ".venv", link / ".venv/bin"} <= set(system.needed_by(link / ".venv/bin/aider"))


def test_a_link_to_a_home_folder_is_one(user: Path, tmp_path: Path) -> None:
    link = tmp_path / "link"
    link.symlink_to(user)
    (user / "tool").touch()
    assert system.needed_by(link / "tool") == [link / "tool", user / "tool"]
    assert found(link) == set()


def test_a_program_in_a_home_folder_brings_itself_alone(user: Path) -> None:
    (user / "tool").touch()
    assert system.needed_by(user / "tool") == [user / "tool"]


def test_what_the_project_lets_be_written_is_no_leak(user: Path, tmp_path: Path) -> None:
    def tried(box: Box) -> set[object]:
        with baits(tmp_path) as set_out:
            return {trial.target[0] for trial in closed(box, set_out, [user / "proj", user / ".ssh"]) if trial.kind == "write"}

    assert {str(user / "proj"), str(user / ".ssh")} <= tried(Box(STRICT))
    assert str(user / "proj") not in tried(Box(STRICT, write=(user / "proj",)))
    assert tried(Box(NONE)) == tried(Box(STRICT))
