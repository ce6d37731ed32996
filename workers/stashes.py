"""An agent's stashes, kept from one command to the next while its git dir is made anew.

Like its commits they come over as a checked pack; no ref of the repository's leads to them, so that its `git gc` removes them.
The list of them is a file beside the git dir, which no agent can write.
"""

from __future__ import annotations

import os
import re
import time
from pathlib import Path
from typing import NamedTuple

from dispatcher.worktrees import write_line

REF = "refs/stash"
MOST = 50
"""How many are kept, newest first."""
_LARGEST = 1 << 20
_MESSAGE = 200
_LINE = re.compile(r"([0-9a-f]{40}|[0-9a-f]{64}) (.*)")
_WHO = "dispatcher <dispatcher@localhost>"


class Stash(NamedTuple):
    """One stash: its commit, and what `git stash list` says of it."""

    sha: str
    message: str


def parse(lines: list[str]) -> list[Stash]:
    """Those that lines of a sha and a message name, newest first; others are passed over."""
    found = (_LINE.fullmatch(line) for line in lines[:MOST])
    return [Stash(one[1], "".join(filter(str.isprintable, one[2]))[:_MESSAGE]) for one in found if one]


def kept(file: Path) -> list[Stash]:
    """Those that were kept last."""
    return parse(_text(file).splitlines())


def keep(file: Path, found: list[Stash]) -> None:
    """Write down which there are."""
    if found or file.exists():
        write_line(file, "\n".join(" ".join(one) for one in found))


def seen(git_dir: Path) -> list[str]:
    """The commits of those in an agent's git dir, newest first, as its files tell (gitrepository-layout(5), logs)."""
    fields = (line.split(" ", 2) for line in reversed(_text(git_dir / "logs" / REF).splitlines()))
    return [words[1] for words in fields if len(words) > 1][:MOST]


def lay(git_dir: Path, found: list[Stash]) -> None:
    """Put them into a git dir that is being made."""
    if not found:
        return
    log = git_dir / "logs" / REF
    log.parent.mkdir(parents=True, exist_ok=True, mode=0o700)
    (git_dir / REF).write_text(f"{found[0].sha}\n")
    # The time is never 0: git passes such a line over.
    before, who, lines = "0" * len(found[0].sha), f"{_WHO} {int(time.time())} +0000", []
    for one in reversed(found):
        lines.append(f"{before} {one.sha} {who}\t{one.message}\n")
        before = one.sha
    log.write_text("".join(lines), "utf-8", "surrogateescape")


def _text(path: Path) -> str:
    """A plain file's text; nothing where there is none, or a link."""
    try:
        with os.fdopen(os.open(path, os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK), "rb") as file:
            return os.fsdecode(file.read(_LARGEST))
    except OSError:
        return ""
