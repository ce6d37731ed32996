"""What approving would do, told before it is done: how the branch gets into its target, and what is in the way."""

from __future__ import annotations

from functools import lru_cache
from pathlib import Path

from pydantic import BaseModel

from dispatcher.errors import Conflict
from dispatcher.git import Repository
from dispatcher.merging import Merged, Stage, checked_out, merge_trees, require_clean
from dispatcher.subject import Subject

REGION_LINES = 80
"""Lines of one region in conflict that are given."""
MOST_REGIONS = 20


class Region(BaseModel):
    """Lines of a file that both sides changed, with git's conflict markers; `line` is where they begin."""

    line: int
    text: str


class Clash(BaseModel):
    """A file that both sides changed; `text` says how where it is not by lines."""

    path: str
    text: str
    regions: list[Region] = []


class Forecast(BaseModel):
    """What approving would do. Nothing of it is promised: the target may move on before."""

    target: str
    target_sha: str
    head_sha: str
    merged: bool
    """The target holds all of it already."""
    fast_forward: bool
    """The target has not gone on since the branch left it."""
    behind: int
    """Commits of the target's that the branch has not."""
    conflicts: list[Clash]
    checkout: bool
    """The user's own checkout is on the target and is brought along."""
    obstacle: str | None
    """What of the user's stands in the way, and what to do about it."""


def forecast(subject: Subject) -> Forecast | None:
    """What approving the branch would do; None where the target is gone."""
    target, head, repository = subject.target, subject.place.head_sha, subject.repository
    if target is None:
        return None
    behind = int(repository.git("rev-list", "--count", f"{head}..{target}").text)
    ours = Path(subject.place.path).parent.parent
    on_target = repository.git("symbolic-ref", "--quiet", "HEAD", ok=(0, 1)).text == f"refs/heads/{subject.place.target}"
    return Forecast(
        target=subject.place.target,
        target_sha=target,
        head_sha=head,
        merged=repository.is_ancestor(head, target),
        fast_forward=behind == 0,
        behind=behind,
        conflicts=[_named(clash, subject) for clash in _clashes(repository, target, head)] if behind else [],
        checkout=on_target,
        obstacle=_obstacle(repository, subject.place.target, ours, on_target),
    )


def _named(clash: Clash, subject: Subject) -> Clash:
    """The conflict markers with the branches' names for their commits."""
    ours, theirs = f"<<<<<<< {subject.target}", f">>>>>>> {subject.place.head_sha}"
    names = {ours: f"<<<<<<< {subject.place.target}", theirs: f">>>>>>> {subject.place.branch}"}
    found = []
    for region in clash.regions:
        lines = region.text.split("\n")
        lines[0], lines[-1] = (names.get(line, line) for line in (lines[0], lines[-1]))
        found.append(Region(line=region.line, text="\n".join(lines)))
    return clash.model_copy(update={"regions": found})


def _obstacle(repository: Repository, branch: str, ours: Path, on_target: bool) -> str | None:
    if not on_target:
        elsewhere = checked_out(repository, branch, ours)
        return f"{branch} is checked out in {elsewhere}: switch that worktree to another branch first." if elsewhere else None
    try:
        require_clean(repository, branch)
    except Conflict as error:
        return f"{error.message}: {error.hint}."
    return None


@lru_cache(maxsize=64)
def _clashes(repository: Repository, target: str, head: str) -> tuple[Clash, ...]:
    merged = merge_trees(repository, target, head)
    if merged.clean:
        return ()
    return tuple(_clash(repository, merged, path, name) for path, name in zip(merged.paths, merged.files, strict=True))


def _clash(repository: Repository, merged: Merged, path: bytes, name: str) -> Clash:
    stages = {stage.number: stage for stage in merged.stages if stage.path == path}
    if set(stages) == {1, 2} or set(stages) == {1, 3}:
        return Clash(path=name, text="deleted on the branch, changed on the target" if 2 in stages else _DELETED)
    shas = repository.git("ls-tree", "-z", merged.tree, "--", path, env={"GIT_LITERAL_PATHSPECS": "1"}).fields
    found = regions(repository.git("cat-file", "blob", shas[0].split()[2], limit=5_000_000).out) if _is_file(shas) else []
    return Clash(path=name, text=_words(stages) if not found else "both sides changed the same lines", regions=found)


_DELETED = "deleted on the target, changed on the branch"


def _words(stages: dict[int, Stage]) -> str:
    if 1 not in stages and {2, 3} <= set(stages):
        return "added on both sides, with different content"
    if 1 in stages and len(stages) == 1:
        return "renamed differently on both sides"
    return "both sides changed it, and not by lines"


def _is_file(entries: list[bytes]) -> bool:
    return len(entries) == 1 and entries[0].startswith(b"100")


def regions(content: bytes) -> list[Region]:
    """The parts of a file between git's conflict markers, markers included."""
    found: list[Region] = []
    inside: list[str] | None = None
    begin = 0
    for number, raw in enumerate(content.split(b"\n"), 1):
        line = raw.decode("utf-8", "replace").removesuffix("\r")
        if raw.startswith(b"<<<<<<< ") and inside is None:
            inside, begin = [], number
        if inside is None:
            continue
        inside.append(line)
        if raw.startswith(b">>>>>>> "):
            left = len(inside) - REGION_LINES
            kept = inside if left <= 0 else [*inside[:REGION_LINES], f"[{left} more lines]"]
            found.append(Region(line=begin, text="\n".join(kept)))
            inside = None
            if len(found) == MOST_REGIONS:
                break
    return found
