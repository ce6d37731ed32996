"""Which changed files deserve care, and why, in words: a reviewer looks at these first.

Pure: over a file of `changes.changed_files` and its patch. What a rule says is what can happen, not that somebody meant it.
"""

from __future__ import annotations

import posixpath
import re
from collections.abc import Callable, Collection, Iterator
from fnmatch import fnmatchcase
from typing import NamedTuple

from dispatcher.care_names import LOCKS, NAMES, SECRETS, TEST_NAMES, TESTS
from dispatcher.changes import Care, FileChange

KINDS = (
    *("secret", "hidden", "agent", "ci", "hook", "script", "editor", "link", "submodule", "type", "mode"),
    *("lock", "test", "unread", "binary", "large"),
)
"""The kinds of reasons, the gravest first: files stand in this order."""
LARGE_LINES = 2_000
LARGE_BYTES = 1_000_000
EXECUTABLE = "100755"
LINK = "120000"
SUBMODULE = "160000"


class Text(NamedTuple):
    """What a patch adds and removes, as lines without their signs; `whole` where all of it was read."""

    added: str = ""
    removed: str = ""
    whole: bool = True


class Seen(NamedTuple):
    """A file with all that a rule may look at: `size` of the new side in bytes, where it is known, `changed` all paths."""

    file: FileChange
    text: Text
    size: int | None
    changed: Collection[str]


# Marks, embeddings, overrides and isolates of direction (https://trojansource.codes), characters without width, tags, fillers,
# and runs of variation selectors; joiners only within a word of ASCII, where no script needs them.
HIDDEN = re.compile(
    "[\u061c\u200e\u200f\u202a-\u202e\u2066-\u2069]|[\u200b\u2060-\u2064\u00ad\u3164\u115f\u1160\uffa0]|(?<!^)\ufeff"
    "|[\U000e0000-\U000e007f\U000e0100-\U000e01ef]|[\ufe00-\ufe0f]{2}|(?<=[A-Za-z0-9_])[\u200c\u200d](?=[A-Za-z0-9_])"
    "|[\x00-\x08\x0b\x0e-\x1f\x7f-\x9f]",
    re.MULTILINE,
)

_SKIPS = re.compile(
    r"pytest\.(?:mark\.(?:skip\w*|xfail)|skip\()|@unittest\.skip|\bself\.skipTest\(|\bx(?:it|describe|test|context)\s*\("
    r"|\b(?:it|test|describe|context)\.(?:skip|only|todo)\b|\bf(?:it|describe)\s*\(|\bt\.Skip(?:Now|f)?\(|#\[ignore\b"
    r"|@(?:Disabled|Ignore)\b|\bmarkTestSkipped\("
)
_CASE = re.compile(
    r"^\s*(?:async )?(?:def test_\w+|func Test\w+|(?:it|test)\s*\(\s*['\"`]|fn test_\w+|@Test\b|#\[test\])", re.MULTILINE
)
_INSTALL = re.compile(r'"((?:pre|post)?install|(?:pre|post)?prepare|prepublish\w*|(?:pre|post)pack)"\s*:')
_BUILD = re.compile(
    r"^\s*(?:\[build-system\]|\[tool\.(?:setuptools|hatch\.build|pdm\.build|poetry\.build|scikit-build)[^\]]*\]"
    r"|build-backend\s*=|backend-path\s*=|cmdclass\s*=|\[project\.(?:scripts|entry-points)[^\]]*\])",
    re.MULTILINE,
)


def reasons(file: FileChange, text: Text, *, size: int | None = None, changed: Collection[str] = ()) -> list[Care]:
    """Why a file deserves care, the gravest reason first; empty where nothing speaks for it."""
    seen = Seen(file, text, size, changed)
    found = [care for rule in RULES for care in rule(seen)]
    return sorted(found, key=lambda one: KINDS.index(one.kind))


def first(files: list[FileChange]) -> list[FileChange]:
    """The files in the order of a review: those that deserve care before the others, the gravest reason first."""
    return sorted(files, key=lambda file: KINDS.index(file.care[0].kind) if file.care else len(KINDS))


def _names(seen: Seen) -> Iterator[Care]:
    paths = {seen.file.path, seen.file.old_path or seen.file.path}
    for rule in NAMES:
        if any(_matches(path, rule.patterns) for path in paths):
            yield Care(kind=rule.kind, text=rule.text)
            return


def _scripts(seen: Seen) -> Iterator[Care]:
    name = posixpath.basename(seen.file.path)
    if name == "package.json":
        if hooks := sorted(set(_INSTALL.findall(seen.text.added))):
            yield Care(kind="script", text=f"sets what runs on install: {', '.join(hooks)}")
        else:
            yield Care(kind="script", text="names packages and the scripts that npm runs")
    elif name in ("pyproject.toml", "setup.cfg") and _BUILD.search(f"{seen.text.added}\n{seen.text.removed}"):
        yield Care(kind="script", text="changes how the package is built")


def _locks(seen: Seen) -> Iterator[Care]:
    folder, name = posixpath.split(seen.file.path)
    sources = LOCKS.get(name)
    if sources is None:
        return
    above = {folder, *(folder[: match.start()] for match in re.finditer("/", folder)), ""}
    beside = [posixpath.basename(path) for path in seen.changed if posixpath.dirname(path) in above]
    if any(fnmatchcase(path, source) for path in beside for source in sources):
        yield Care(kind="lock", text="pins what is installed")
    else:
        yield Care(kind="lock", text=f"pins what is installed, and {' or '.join(sources)} has not changed with it")


def _modes(seen: Seen) -> Iterator[Care]:
    file = seen.file
    if SUBMODULE in (file.old_mode, file.new_mode):
        words = {"000000": "a submodule is removed"}.get(file.new_mode, "a submodule: another repository's commit")
        yield Care(kind="submodule", text=f"{words} ({file.old_blob[:10]} → {file.new_blob[:10]})")
    elif file.new_mode == LINK:
        yield Care(kind="link", text=_link(file.path, seen.text.added))
    elif file.status == "type_changed":
        yield Care(kind="type", text=f"was {'a link' if file.old_mode == LINK else 'of another type'} and is a file now")
    elif file.new_mode == EXECUTABLE != file.old_mode:
        yield Care(kind="mode", text="is new and can be run" if file.old_mode == "000000" else "becomes a file that can be run")
    elif file.mode_changed:
        yield Care(kind="mode", text="can no longer be run" if file.old_mode == EXECUTABLE else "has another mode")


def _link(path: str, added: str) -> str:
    target = added.partition("\n")[0]
    if not target:
        return "is a link"
    reached = posixpath.normpath(posixpath.join(posixpath.dirname(path), target))
    outside = target.startswith("/") or reached == ".." or reached.startswith("../")
    return f"is a link to {target}{', outside of the repository' if outside else ''}"


def _tests(seen: Seen) -> Iterator[Care]:
    file, text = seen.file, seen.text
    if not _is_test(file.old_path or file.path) and not _is_test(file.path):
        return
    if file.status == "deleted":
        yield Care(kind="test", text="deletes a file of tests")
        return
    if file.renamed and not _is_test(file.path):
        yield Care(kind="test", text="moves a file of tests to where none are looked for")
    lost = len(_CASE.findall(text.removed)) - len(_CASE.findall(text.added))
    if lost > 0:
        yield Care(kind="test", text=f"removes {lost} {'test' if lost == 1 else 'tests'}")
    skips = list(dict.fromkeys(match[0].strip(" (") for match in _SKIPS.finditer(text.added)))
    if skips:
        yield Care(kind="test", text=f"keeps tests from running: {', '.join(skips[:3])}")


def _content(seen: Seen) -> Iterator[Care]:
    for what, pattern in SECRETS.items():
        if re.search(pattern, seen.text.added):
            yield Care(kind="secret", text=f"looks as if it held {what}")
            break
    if hidden := sorted({match[0][0] for match in HIDDEN.finditer(seen.text.added)}):
        codes = ", ".join(f"U+{ord(one):04X}" for one in hidden[:4])
        yield Care(kind="hidden", text=f"adds characters that cannot be seen: {codes}")
    if HIDDEN.search(seen.file.path) or "\n" in seen.file.path:
        yield Care(kind="hidden", text="has a name with characters that cannot be seen")


def _sizes(seen: Seen) -> Iterator[Care]:
    file, lines = seen.file, seen.file.additions + seen.file.deletions
    # Git calls an empty file no binary, and a submodule or link never is one.
    if file.binary:
        yield Care(kind="binary", text="is binary: its content is not shown")
    if seen.size is not None and seen.size > LARGE_BYTES and file.status != "deleted":
        yield Care(kind="large", text=f"is large: {seen.size / 1_000_000:.1f} MB")
    elif lines > LARGE_LINES:
        yield Care(kind="large", text=f"is a large change: {lines:,} lines")
    if not seen.text.whole:
        yield Care(kind="unread", text="is too large to be looked through for what to care about")


def _is_test(path: str) -> bool:
    return _matches(path, TESTS) or _matches(path, TEST_NAMES)


def _matches(path: str, patterns: tuple[str, ...]) -> bool:
    name = posixpath.basename(path)
    return any(fnmatchcase(path if "/" in one else name, one.removeprefix("./")) for one in patterns)


RULES: tuple[Callable[[Seen], Iterator[Care]], ...] = (_names, _scripts, _locks, _modes, _tests, _content, _sizes)
