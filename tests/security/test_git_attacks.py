"""What an agent can write in its worktree and in git's folder for it must run nothing on the host, and reach nobody else.

Each attack leaves a program that would write `pwned`, and is first shown to work against git as an ordinary caller uses it,
where that can be shown.
"""

from __future__ import annotations

import contextlib
import os
import subprocess
from pathlib import Path

import pytest

from dispatcher import changes, worktrees
from dispatcher.errors import DispatcherError
from dispatcher.merging import land, merge_commit
from tests.gitting import Site, commit, git

pytestmark = pytest.mark.guarantee("the worktree cannot turn git on the host")


@pytest.fixture
def site(repository: Path, tmp_path: Path) -> Site:
    return Site(tmp_path, repository)


@pytest.fixture
def pwned(tmp_path: Path) -> Path:
    return tmp_path / "pwned"


@pytest.fixture
def program(tmp_path: Path, pwned: Path) -> Path:
    """A program that tells that it was run, and passes its input on, as a filter would."""
    path = tmp_path / "program"
    path.write_text(f"#!/bin/sh\necho ran >> '{pwned}'\ncat\n")
    path.chmod(0o755)
    return path


def everything(site: Site) -> None:
    """All that the dispatcher ever does with a worktree, from snapshot to merge, and another run."""
    site.snapshot()
    changes.compare(site.repository, site.base, site.known)
    target = git(site.checkout, "rev-parse", "main")
    merged = merge_commit(
        site.repository, target=target, head=site.known, method="merge", message="m", author=site.repository.user()
    )
    land(site.repository, "main", target, merged, ours=site.root / "worktrees")
    (site.path / "README.md").write_text("theirs\n")
    site.snapshot()
    other = commit(site.checkout, README_md="ours\n")
    worktrees.restore(site.tree, site.known)
    worktrees.lay_merge(site.tree, other)
    site.snapshot(other)
    worktrees.remove(site.tree)


def ordinary(folder: Path, *args: str) -> None:
    subprocess.run(["git", *args], cwd=folder, capture_output=True, check=False)


def test_a_swapped_git_with_fsmonitor(site: Site, program: Path, pwned: Path) -> None:
    (site.path / ".git").unlink()
    git(site.path, "init", "-q")
    git(site.path, "config", "core.fsmonitor", str(program))
    ordinary(site.path, "status")
    assert pwned.exists()
    pwned.unlink()
    (site.path / "a.txt").write_text("a\n")
    site.snapshot()
    assert site.files() == ["README.md", "a.txt"] and git(site.path, "branch", "--show-current") == "agent/WEB-1"
    everything(site)
    assert not pwned.exists()


def test_a_forged_commondir(site: Site, tmp_path: Path, program: Path, pwned: Path) -> None:
    evil = tmp_path / "evil"
    git(tmp_path, "init", "-q", "evil")
    commit(evil)
    git(evil, "config", "core.fsmonitor", str(program))
    assert site.tree.admin
    (site.tree.admin / "commondir").write_text(str(evil / ".git") + "\n")
    ordinary(site.path, "status")
    assert pwned.exists()
    pwned.unlink()
    (site.path / "a.txt").write_text("a\n")
    everything(site)
    assert not pwned.exists()


def test_a_gitfile_that_leads_elsewhere(site: Site, tmp_path: Path) -> None:
    git(tmp_path, "init", "-q", "other")
    other = commit(tmp_path / "other")
    (site.path / ".git").write_text(f"gitdir: {tmp_path / 'other' / '.git'}\n")
    (site.path / "a.txt").write_text("a\n")
    everything(site)
    assert git(tmp_path / "other", "rev-parse", "HEAD") == other


@pytest.mark.parametrize("where", ["hooks", "worktrees/WEB-1/hooks"])
def test_hooks(site: Site, program: Path, pwned: Path, where: str) -> None:
    folder = site.checkout / ".git" / where
    folder.mkdir(exist_ok=True)
    for name in ("post-checkout", "post-merge", "pre-merge-commit", "reference-transaction", "post-index-change", "pre-commit"):
        (folder / name).symlink_to(program)
    (site.path / "a.txt").write_text("a\n")
    site.snapshot()
    assert not pwned.exists()
    worktrees.remove_folder(site.path)
    worktrees.restore(site.tree, site.known)
    target = git(site.checkout, "rev-parse", "main")
    pwned.unlink(missing_ok=True)
    land(site.repository, "main", target, site.known, ours=site.root / "worktrees")
    assert not pwned.exists()


@pytest.mark.parametrize("kind", ["clean", "smudge", "process"])
def test_attributes_that_switch_on_a_filter(repository: Path, tmp_path: Path, program: Path, pwned: Path, kind: str) -> None:
    for key, value in {f"filter.a=b.{kind}": str(program), "filter.a=b.required": "true"}.items():
        git(repository, "config", key, value)
    site = Site(tmp_path, repository)
    (site.path / ".gitattributes").write_text("* filter=a=b\n")
    (site.path / "a.txt").write_text("a\n")
    ordinary(site.path, "add", "-A")
    if kind != "smudge":
        assert pwned.exists()
    pwned.unlink(missing_ok=True)
    site.snapshot()
    worktrees.remove_folder(site.path)
    worktrees.restore(site.tree, site.known)
    assert site.show("a.txt") == "a" and (site.path / "a.txt").read_text() == "a\n" and not pwned.exists()


def test_attributes_that_switch_on_textconv_external_diffs_and_merge_drivers(site: Site, program: Path, pwned: Path) -> None:
    settings = {"diff.x.textconv": program, "diff.x.command": program, "diff.external": program, "merge.x.driver": program}
    for key, value in settings.items():
        git(site.checkout, "config", key, str(value))
    (site.path / ".gitattributes").write_text("* diff=x merge=x\n")
    (site.path / "README.md").write_text("agent\n")
    site.snapshot()
    ordinary(site.path, "show", "--ext-diff")
    assert pwned.exists()
    pwned.unlink()
    diff = changes.compare(site.repository, site.base, site.known)
    assert "+agent" in diff.text
    other = commit(site.checkout, README_md="ours\n")
    worktrees.lay_merge(site.tree, other)
    assert "<<<<<<<" in (site.path / "README.md").read_text() and not pwned.exists()


def test_the_configuration_of_a_repository_within(site: Site, program: Path, pwned: Path) -> None:
    inner = site.path / "inner"
    git(site.path, "init", "-q", "inner")
    (inner / ".gitattributes").write_text("* filter=x\n")
    commit(inner, a_txt="a\n")
    for key in ("core.fsmonitor", "filter.x.clean", "filter.x.process"):
        git(inner, "config", key, str(program))
    # As a submodule that the branch knows, git would ask it for its status.
    git(site.path, "-c", "core.fsmonitor=false", "update-index", "--add", "--cacheinfo", f"160000,{site.base},inner")
    git(site.path, "commit", "-q", "-m", "A pointer")
    (inner / "a.txt").write_text("changed\n")
    pwned.unlink(missing_ok=True)
    ordinary(site.path, "status")
    assert pwned.exists()
    pwned.unlink()
    site.snapshot()
    assert "inner/a.txt" in site.files() and not pwned.exists()


def test_a_populated_submodule_is_not_asked(site: Site, tmp_path: Path, program: Path, pwned: Path) -> None:
    git(site.checkout, "update-index", "--add", "--cacheinfo", f"160000,{site.base},lib")
    (site.checkout / "lib").mkdir()
    git(site.checkout, "commit", "-q", "-m", "A submodule")
    site = Site(tmp_path / "second", site.checkout, key="WEB-2")
    git(site.path, "init", "-q", "lib")
    (site.path / "lib" / ".gitattributes").write_text("* filter=x\n")
    commit(site.path / "lib", a_txt="a\n")
    for key in ("core.fsmonitor", "filter.x.clean"):
        git(site.path / "lib", "config", key, str(program))
    (site.path / "lib" / "a.txt").write_text("changed\n")
    pwned.unlink(missing_ok=True)
    ordinary(site.path, "status")
    assert pwned.exists()
    pwned.unlink()
    (site.path / "b.txt").write_text("b\n")
    everything(site)
    assert not pwned.exists()


def test_links_are_stored_and_never_followed(site: Site, tmp_path: Path) -> None:
    secret = tmp_path / "secret"
    secret.mkdir()
    (secret / "key.txt").write_text("hunter2\n")
    commit(site.path, "A folder", a_txt="a\n")
    (site.path / "folder").mkdir()
    (site.path / "folder" / "key.txt").write_text("mine\n")
    site.snapshot()
    worktrees.remove_folder(site.path / "folder")
    (site.path / "folder").symlink_to(secret)
    (site.path / "a.txt").unlink()
    (site.path / "a.txt").symlink_to(secret / "key.txt")
    site.snapshot()
    assert site.files() == ["README.md", "a.txt", "folder"] and site.show("folder") == str(secret)
    diff = changes.compare(site.repository, site.base, site.known)
    assert "hunter2" not in diff.text and {change.new_mode for change in diff.files} == {"120000"}


def test_an_ignored_link_in_place_of_a_folder(site: Site, tmp_path: Path) -> None:
    (tmp_path / "secret").mkdir()
    (tmp_path / "secret" / "key.txt").write_text("hunter2\n")
    (site.path / "folder").mkdir()
    (site.path / "folder" / "key.txt").write_text("mine\n")
    site.snapshot()
    worktrees.remove_folder(site.path / "folder")
    (site.path / "folder").symlink_to(tmp_path / "secret")
    (site.path / ".gitignore").write_text("folder\n")
    site.snapshot()
    assert site.files() == [".gitignore", "README.md"]


def test_checking_out_does_not_write_through_links(site: Site, tmp_path: Path) -> None:
    outside = tmp_path / "outside"
    outside.mkdir()
    (site.checkout / "folder").mkdir()
    (site.checkout / "folder" / "a.txt").write_text("a\n")
    target = commit(site.checkout)
    (site.path / "folder").symlink_to(outside)
    (site.path / ".gitignore").write_text("folder\n.gitignore\n")
    site.snapshot()
    try:
        worktrees.lay_merge(site.tree, target)
    except DispatcherError as error:
        assert "folder" in error.message
    assert list(outside.iterdir()) == []


def test_removing_does_not_follow_links(site: Site, tmp_path: Path) -> None:
    outside = tmp_path / "outside"
    outside.mkdir()
    (outside / "kept").write_text("kept")
    (site.path / "link").symlink_to(outside)
    worktrees.remove(site.tree)
    assert (outside / "kept").exists()
    other = Site(tmp_path / "second", site.checkout, key="WEB-2")
    worktrees.remove_folder(other.path)
    other.path.symlink_to(outside)
    worktrees.remove(other.tree)
    assert (outside / "kept").exists() and not other.path.is_symlink()


def test_links_in_gits_own_folder_are_not_written_through(site: Site, tmp_path: Path) -> None:
    victim = tmp_path / "victim"
    victim.write_text("kept\n")
    assert site.tree.admin
    for name in ("HEAD", "commondir", "index", "MERGE_HEAD", "MERGE_MSG"):
        (site.tree.admin / name).unlink(missing_ok=True)
        (site.tree.admin / name).symlink_to(victim)
    (site.path / "a.txt").write_text("a\n")
    site.snapshot()
    other = commit(site.checkout, README_md="ours\n")
    worktrees.lay_merge(site.tree, other)
    assert victim.read_text() == "kept\n" and git(site.path, "branch", "--show-current") == "agent/WEB-1"


def test_names_that_git_refuses_do_not_spoil_the_snapshot(site: Site) -> None:
    for name in (
        "GIT~1",
        ".GIT",
        ".Git ",
        "a.txt",
        "sub/.gIt/hooks/post-checkout",
        "sub/git~1/config",
        "sub/.git::$INDEX_ALLOCATION/x",
    ):
        (site.path / name).parent.mkdir(parents=True, exist_ok=True)
        (site.path / name).write_text("x\n")
    os.mkfifo(site.path / "pipe")
    taken = site.snapshot()
    assert site.files() == ["README.md", "a.txt"]
    told = [note.removesuffix(" is left out: git takes no such name") for note in taken.notes]
    assert {"GIT~1", ".GIT", "sub/git~1/config", "sub/.gIt/hooks/post-checkout"} <= set(told)


def test_a_commit_with_names_that_git_refuses_is_not_checked_out(site: Site, program: Path, pwned: Path) -> None:
    """Made with other means than git's index: what the agent's own commit holds, a checkout of ours must not lay down."""
    blob = git(site.path, "hash-object", "-w", str(program))
    entry = f"100755 blob {blob}\tpost-checkout\n"
    for name in ("hooks", ".GIT", ""):
        made = subprocess.run(["git", "mktree"], cwd=site.path, input=entry, text=True, capture_output=True, check=True)
        entry = f"040000 tree {made.stdout.strip()}\t{name}\n"
    root = made.stdout.strip()
    evil = git(site.path, "commit-tree", "-p", site.base, "-m", "Evil", root)
    git(site.path, "update-ref", "HEAD", evil)
    with contextlib.suppress(DispatcherError):
        everything(site)
    assert not (site.path / ".GIT").exists() and not (site.checkout / ".GIT").exists() and not pwned.exists()


def test_a_branch_that_points_at_the_users_branch(site: Site) -> None:
    git(site.path, "symbolic-ref", "refs/heads/agent/WEB-1", "refs/heads/main")
    (site.path / "a.txt").write_text("a\n")
    taken = site.snapshot()
    assert git(site.checkout, "rev-parse", "main") == site.base != taken.head
    assert git(site.checkout, "rev-parse", "agent/WEB-1") == taken.head
    git(site.path, "symbolic-ref", "refs/heads/agent/WEB-1", "refs/heads/main")
    worktrees.remove(site.tree)
    assert git(site.checkout, "rev-parse", "main") == site.base


@pytest.mark.parametrize(
    "head", ["ref: refs/heads/main", "--help", "ref: ../../../etc/passwd", "x" * 100_000, "ref: refs/heads/a b", ""]
)
def test_a_forged_head(site: Site, head: str) -> None:
    assert site.tree.admin
    (site.tree.admin / "HEAD").write_text(head)
    (site.path / "a.txt").write_text("a\n")
    site.snapshot()
    assert site.files() == ["README.md", "a.txt"] and git(site.checkout, "rev-parse", "main") == site.base


def test_an_agent_that_claims_another_worktree(site: Site, tmp_path: Path) -> None:
    other = Site(tmp_path, site.checkout, key="WEB-12")
    assert other.tree.admin and site.tree.admin
    (other.tree.admin / "gitdir").write_text(f"{site.path / '.git'}\n")
    assert site.tree.admin.name == "WEB-1"
    (site.path / "a.txt").write_text("a\n")
    assert site.snapshot().made and git(site.checkout, "rev-parse", "agent/WEB-12") == other.base


def test_replaced_objects_do_not_deceive_the_reviewer(site: Site) -> None:
    (site.path / "a.txt").write_text("evil\n")
    site.snapshot()
    evil = git(site.checkout, "rev-parse", f"{site.known}:a.txt")
    (site.root / "good").write_text("good\n")
    good = git(site.checkout, "hash-object", "-w", str(site.root / "good"))
    git(site.checkout, "replace", evil, good)
    assert "+good" in git(site.checkout, "show", site.known)
    assert "+evil" in changes.compare(site.repository, site.base, site.known).text


def test_alternates_of_the_agents_own(site: Site, tmp_path: Path) -> None:
    """Objects that lie in a store of the agent's are of no use: what is not in the repository is not merged."""
    git(tmp_path, "init", "-q", "store")
    own = commit(tmp_path / "store", a_txt="a\n")
    assert site.tree.admin
    (site.tree.admin / "objects" / "info").mkdir(parents=True)
    (site.tree.admin / "objects" / "info" / "alternates").write_text(f"{tmp_path / 'store' / '.git' / 'objects'}\n")
    (site.tree.admin / "HEAD").write_text(own)
    (site.path / "a.txt").write_text("mine\n")
    taken = site.snapshot()
    assert git(site.checkout, "rev-parse", f"{taken.head}^") == site.base and site.show("a.txt") == "mine"


def test_a_split_index_and_flags_of_the_agents_index_hide_nothing(site: Site) -> None:
    git(site.path, "update-index", "--assume-unchanged", "README.md")
    git(site.path, "update-index", "--split-index")
    (site.path / "README.md").write_text("hidden\n")
    site.snapshot()
    assert site.show("README.md") == "hidden" and git(site.path, "status", "--porcelain") == ""


def test_a_change_with_its_time_put_back_is_seen(site: Site) -> None:
    path = site.path / "README.md"
    before = path.stat()
    path.write_text("# Sampel\n")
    os.utime(path, ns=(before.st_atime_ns, before.st_mtime_ns))
    site.snapshot()
    assert site.show("README.md") == "# Sampel"
