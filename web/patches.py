"""One file's diff as data, for the API and for the page's script, which draws it."""

from __future__ import annotations

from functools import lru_cache

from dispatcher.changes import FileChange, changed_files, file_patch, lines_of
from dispatcher.git import Repository
from dispatcher.remarks import side_lines
from web.diffs import Section, sections, without_returns
from web.schemas_review import FileDiffOut, HunkOut, LinesOut

MOST_BYTES = 8_000_000
MOST_LINES = 50_000
MOST_AT_ONCE = 1000
"""Lines around a change that are given at once."""
_MODES = {"120": "a link", "160": "a submodule", "100": "a file"}
NO_END = "No newline at end of file"


@lru_cache(maxsize=64)
def file_diff(repository: Repository, base: str, head: str, name: str, *, ignore_space: bool = False) -> FileDiffOut:
    """The diff of the file of that id, and what is to be said of it beside its lines."""
    file = next(file for file in changed_files(repository, base, head) if file.id == name)
    out = FileDiffOut(id=name, path=file.path, base_sha=base, head_sha=head, hunks=[], notes=notes(file))
    if file.binary:
        return out
    patch, cut = file_patch(repository, base, head, file, MOST_BYTES, ignore_space=ignore_space)
    for section in sections(patch.decode("utf-8", "replace"), MOST_LINES):
        without_returns(section)
        out.hunks += _hunks(section)
        out.left += section.left
    if cut:
        out.notes.append("The rest is too large to be shown.")
    if not out.hunks and not out.notes:
        out.notes.append("Only space differs." if ignore_space else "Nothing differs by lines.")
    if file.status not in ("added", "deleted") and file.old_mode[:3] == file.new_mode[:3] == "100":
        out.old_lines, out.new_lines = (len(lines_of(repository, sha)) for sha in (file.old_blob, file.new_blob))
    return out


def notes(file: FileChange) -> list[str]:
    """What is to be said of a file beside its lines."""
    said: list[str] = []
    if file.mode_changed:
        runs = {("100644", "100755"): "It can be run now.", ("100755", "100644"): "It can no longer be run."}
        old, new = (_MODES.get(mode[:3], f"of mode {mode}") for mode in (file.old_mode, file.new_mode))
        said.append(runs.get((file.old_mode, file.new_mode), f"It was {old} and is {new} now."))
    if file.renamed and file.old_blob == file.new_blob:
        said.append("Renamed without a change.")
    if file.binary:
        said.append("Binary: its content is not shown.")
    elif (
        file.status in ("added", "deleted")
        and file.additions == file.deletions == 0
        and "160000" not in (file.new_mode, file.old_mode)
    ):
        said.append("An empty file.")
    return said


def lines(repository: Repository, file: FileChange, side: str, start: int, end: int) -> LinesOut:
    """Lines of one side of a file."""
    found = side_lines(repository, file, side)
    end = min(end, start + MOST_AT_ONCE - 1)
    return LinesOut(start=start, lines=[line[:MOST_BYTES] for line in found[start - 1 : end]])


def _hunks(section: Section) -> list[HunkOut]:
    found: list[HunkOut] = []
    for line in section.lines:
        if line.kind == "hunk":
            found.append(HunkOut(header=line.text, old=line.at[0], new=line.at[1], lines=[]))
        elif found:
            if line.cut:
                found[-1].cut.append(len(found[-1].lines))
            found[-1].lines.append((line.kind, line.old, line.new, line.text))
    return found
