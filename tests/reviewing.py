"""Branches to review, for tests of the pages and of the API: the test is the agent, and works in a real workspace."""

from __future__ import annotations

import os
from collections.abc import Callable
from pathlib import Path

from dispatcher.models import Workspace
from tests.desk import Desk
from tests.gitting import git
from tests.webbing import Web

PARSER = """\
import re


def parse(text):
    rows = []
    for line in text.split("\\n"):
        if not line:
            continue
        key, value = line.split("=")
        rows.append((key.strip(), value.strip()))
    return rows


def dump(rows):
    return "\\n".join(f"{key}={value}" for key, value in rows)


class Store:
    def __init__(self, path):
        self.path = path
        self.rows = []

    def load(self):
        with open(self.path) as file:
            self.rows = parse(file.read())

    def save(self):
        with open(self.path, "w") as file:
            file.write(dump(self.rows))


def find(rows, wanted):
    for key, value in rows:
        if key == wanted:
            return value
    return None
"""


def write(folder: Path, files: dict[str, str | bytes]) -> None:
    """Write files by their paths."""
    for name, content in files.items():
        path = folder / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(content.encode() if isinstance(content, str) else content)


def begin(repository: Path, files: dict[str, str | bytes]) -> None:
    """What the target holds before an agent works."""
    write(repository, files)
    git(repository, "add", "-A")
    git(repository, "commit", "-q", "-m", "Go on")


def work(web: Web, repository: Path, change: Callable[[Path], None] | dict[str, str | bytes]) -> Workspace:
    """One run of the queued ticket that changes its worktree and ends in review."""
    desk = Desk(web.settings, web.database, repository)
    run = desk.claim()
    place = desk.prepare(run)
    if callable(change):
        change(Path(place.path))
    else:
        write(Path(place.path), change)
    desk.snapshot(run)
    desk.finish(run)
    return desk.place(run.ticket_id)


async def reviewed(
    web: Web,
    repository: Path,
    change: Callable[[Path], None] | dict[str, str | bytes],
    before: dict[str, str | bytes] | None = None,
    title: str = "Mend the parser",
) -> str:
    """A ticket in review; its key."""
    if before:
        begin(repository, before)
    key = await web.ticket(title, agent="coder")
    work(web, repository, change)
    return key


def mended() -> str:
    """`PARSER` with changes at its beginning and near its end."""
    text = PARSER.replace('line.split("=")', 'line.partition("=")[::2]').replace("if not line:", "if not line.strip():")
    return text.replace("    return None\n", "    raise KeyError(wanted)\n")


BUSY: dict[str, str | bytes] = {
    "src/shop/parser.py": PARSER,
    "src/shop/view.js": "export function view(model) {\n  return `<p>${model.name}</p>`;\n}\n",
    "tests/test_parser.py": "from shop.parser import parse\n\n\ndef test_one():\n    assert parse('a=1') == [('a', '1')]\n\n\n"
    "def test_two():\n    assert parse('') == []\n",
    "docs/old name.md": "# Old\n\nText that stays as it is, line by line.\nMore of it.\nAnd more.\n",
    "package.json": '{\n  "name": "shop",\n  "scripts": {\n    "test": "node --test"\n  }\n}\n',
    "run.sh": "#!/bin/sh\nexec python3 -m shop\n",
    ".github/workflows/test.yml": "on: push\njobs:\n  test:\n    runs-on: ubuntu-latest\n",
}


def busy(folder: Path) -> None:
    """A change of many kinds to `BUSY`."""
    write(
        folder,
        {
            "src/shop/parser.py": mended(),
            "src/shop/view.js": "export function view(model) {\n  const name = escape(model.name);\n"
            "  return `<p>${name}</p>`;\n}\n",
            "src/shop/store/new_file.py": '"""A new module."""\n\nANSWER = 42\n\n\ndef ask() -> int:\n    return ANSWER\n',
            "tests/test_parser.py": "import pytest\n\nfrom shop.parser import parse\n\n\n@pytest.mark.skip\ndef test_one():\n"
            "    assert parse('a=1') == [('a', '1')]\n",
            "package.json": '{\n  "name": "shop",\n  "scripts": {\n    "postinstall": "node setup.js",\n'
            '    "test": "node --test"\n  }\n}\n',
            "package-lock.json": "{\n" + "".join(f'  "dependency-{number}": "1.0.{number}",\n' for number in range(90)) + "}\n",
            ".github/workflows/test.yml": "on: [push, pull_request_target]\njobs:\n  test:\n    runs-on: ubuntu-latest\n",
            "AGENTS.md": "Run the tests before you stop.\n",
            "logo.png": b"\x89PNG\r\n\x1a\n\x00\x00\x00\rIHDR" + bytes(range(256)),
            "src/shop/auth.py": 'def allowed(user):\n    if user.role == "admin\u202e \u2066# only admins\u2069 \u2066":\n'
            "        return True\n    return False\n",
        },
    )
    (folder / "run.sh").chmod(0o755)
    (folder / "docs/old name.md").rename(folder / "docs/new name.md")
    (folder / "shortcut").symlink_to("../../etc/passwd")
    assert os.access(folder / "run.sh", os.X_OK)
