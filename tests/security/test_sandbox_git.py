"""An agent's git in a sandbox: it works as ever, and nothing that it does there reaches the repository but good commits."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import pytest
from sqlmodel import col, select

from dispatcher import board, leases, review, runs
from dispatcher.errors import MergeConflict
from dispatcher.models import Activity, Project
from dispatcher.transitions import move_ticket
from tests.gitting import commit, git
from tests.house import House, house
from tests.sandboxes import needs_landlock, needs_strict

pytestmark = pytest.mark.guarantee("the worktree cannot turn git on the host")


@pytest.fixture(params=[pytest.param("strict", marks=needs_strict), pytest.param("landlock", marks=needs_landlock)])
async def home(request: pytest.FixtureRequest, tmp_path: Path, repository: Path) -> AsyncIterator[House]:
    async with house(tmp_path, "", repository, sandbox=request.param) as made:
        yield made


def notes(home: House) -> str:
    with home.database.reading() as db:
        entries = db.exec(select(Activity).where(Activity.kind == "workspace.snapshot").order_by(col(Activity.id)))
        return "\n".join(note for entry in entries for note in entry.data.get("notes", []))


def refs(repository: Path) -> dict[str, str]:
    lines = git(repository, "for-each-ref", "--format=%(refname) %(objectname)").splitlines()
    return {name: sha for name, sha in (line.split() for line in lines) if not name.startswith("refs/heads/agent/")}


def head_of(home: House, key: str) -> str:
    return home.run(key).head_sha or ""


async def test_commits_come_over_as_they_are(home: House, repository: Path) -> None:
    git(repository, "tag", "-a", "-m", "One", "v1")
    seen = "git describe && git log --oneline && git status --porcelain | wc -l"
    key = home.file(
        f"{{ {seen}; }} > seen.txt 2>&1",
        "echo one > a.txt; git add a.txt; git commit -q -m 'First of the agent'",
        "echo two > b.txt; git add b.txt; git commit -q -m 'Second'; git commit -q --amend -m 'Second, amended'",
        "say Done.",
    )
    assert await home.work(key) == "review", home.run(key).summary
    assert git(repository, "log", "--format=%s", "-3", f"agent/{key}^1").splitlines() == [
        "Second, amended",
        "First of the agent",
        "Begin",
    ]
    assert git(repository, "show", f"agent/{key}:seen.txt").splitlines()[0] == "v1"
    assert git(repository, "show", f"agent/{key}:seen.txt").splitlines()[-1].strip() in ("0", "1")
    assert git(repository, "fsck", "--strict", "--no-dangling") == "" and notes(home) == ""


async def test_the_next_run_sees_what_was_committed_and_checks_see_a_clean_tree(home: House, repository: Path) -> None:
    home.edit(Project, check_command="git diff --exit-code && git diff --cached --exit-code && git log -1 --format=%s")
    key = home.file(
        "test -f a.txt && git log --format=%s > log.txt; echo x >> a.txt; git add -A; git commit -q -m Agent; say Done."
    )
    assert await home.work(key) == "review", home.checks(key)
    assert home.checks(key)[0].output == "Agent\n"
    home.do(again, key)
    assert await home.work(key) == "review"
    assert git(repository, "show", f"agent/{key}:log.txt").splitlines() == ["Agent", "Begin"]


async def test_stashes_stay_from_command_to_command_and_from_run_to_run(home: House, repository: Path) -> None:
    home.edit(Project, check_command="git stash list")
    key = home.file(
        "if test -e begun.txt; then git stash list > list.txt; git stash pop -q; git stash drop -q; git commit -q -a -m Popped",
        "else touch begun.txt; echo one >> README.md; git stash push -q -m 'The first'",
        "echo two > new.txt; git stash push -q -u -m 'The second' -- new.txt; fi",
        "say Done.",
    )
    before = refs(repository)
    assert await home.work(key) == "review", home.run(key).summary
    assert notes(home) == ""
    assert home.checks(key)[0].output.splitlines() == [
        f"stash@{{0}}: On agent/{key}: The second",
        f"stash@{{1}}: On agent/{key}: The first",
    ]
    assert not (Path(home.workspace(key).path) / "new.txt").exists() and refs(repository) == before
    home.do(again, key)
    assert await home.work(key) == "review", home.run(key).summary
    assert git(repository, "show", f"agent/{key}:new.txt") == "two" and home.checks(key)[-1].output == ""
    assert len(git(repository, "show", f"agent/{key}:list.txt").splitlines()) == 2 and notes(home) == ""
    assert git(repository, "show", f"agent/{key}:README.md") == "# Sample" and refs(repository) == before
    assert git(repository, "stash", "list") == "" and git(repository, "fsck", "--strict", "--no-dangling") == ""


async def test_a_stash_that_is_spoilt_costs_nothing_but_itself(home: House, repository: Path) -> None:
    key = home.file(
        "echo x >> a.txt; git add a.txt; git commit -q -m Good; echo y >> a.txt; git stash push -q",
        "dir=$(git rev-parse --git-dir); sha=$(git rev-parse 'stash:a.txt')",
        "chmod -R u+w $dir/objects; echo bad > $dir/objects/$(echo $sha | cut -c1-2)/$(echo $sha | cut -c3-)",
        "say Done.",
    )
    assert await home.work(key) == "review", home.run(key).summary
    assert git(repository, "show", f"agent/{key}:a.txt") == "x"
    home.do(again, key)
    assert await home.work(key) == "review", home.run(key).summary
    assert git(repository, "fsck", "--strict", "--no-dangling") == ""


def again(db: Any, ticket: Any) -> None:
    move_ticket(db, ticket, "change")
    runs.create_run(db, ticket, board.assigned_agent(db, ticket), reason="change")


async def test_no_ref_of_the_repository_moves(home: House, repository: Path) -> None:
    git(repository, "branch", "release")
    git(repository, "tag", "v1")
    before = refs(repository)
    key = home.file(
        "echo x > a.txt; git add a.txt; git commit -q -m Mine",
        "git update-ref refs/heads/main HEAD; git branch -f release HEAD; git tag -d v1; git branch mine; git tag v2",
        "git update-ref refs/heads/agent/OTHER-1 HEAD; git symbolic-ref HEAD refs/heads/main",
        "say Done.",
    )
    assert await home.work(key) == "review"
    assert refs(repository) == before and git(repository, "status", "--porcelain") == ""
    assert git(repository, "for-each-ref", "--format=%(refname)", "refs/heads/agent") == f"refs/heads/agent/{key}"
    assert git(repository, "show", f"agent/{key}:a.txt") == "x"


async def test_settings_hooks_and_filters_of_its_making_run_nowhere_but_inside(
    home: House, repository: Path, tmp_path: Path
) -> None:
    pwned = tmp_path / "pwned"
    program = f"echo ran >> '{pwned}'"
    key = home.file(
        f'git config core.fsmonitor "{program}"; git config core.sshCommand "{program}"; git config core.pager "{program}"',
        f'git config uploadpack.packObjectsHook "{program}"; git config core.alternateRefsCommand "{program}"',
        f'git config filter.x.clean "{program}"; git config filter.x.process "{program}"; echo "* filter=x" > .gitattributes',
        "mkdir -p $(git rev-parse --git-dir)/hooks; cd $(git rev-parse --git-dir)/hooks",
        f"printf '#!/bin/sh\\n%s\\n' \"{program}\" > pre-commit; chmod +x pre-commit",
        "for hook in post-checkout reference-transaction post-index-change; do cp pre-commit $hook; done; cd -",
        "git config core.hooksPath /dev/null; git config --unset core.fsmonitor",
        "echo x > a.txt; git add a.txt; git commit -q -m Mine",
        f'git config core.fsmonitor "{program}"; git config --unset core.hooksPath',
        "say Done.",
    )
    assert await home.work(key) == "review", home.run(key).summary
    git(repository, "status")
    home.do(again, key)
    assert await home.work(key) == "blocked" and home.run(key).outcome == "no_changes"
    home.do(board.accept, key)
    await asyncio.to_thread(review.approve, home.database, key)
    assert not pwned.exists()


async def test_objects_that_it_could_not_see_are_not_brought_in(home: House, repository: Path, tmp_path: Path) -> None:
    """It knows the name of a secret in another repository, and borrows that one's objects."""
    git(tmp_path, "init", "-q", "other")
    commit(tmp_path / "other", secret_txt="hunter2\n")
    blob = git(tmp_path / "other", "rev-parse", "HEAD:secret.txt")
    store = tmp_path / "other" / ".git" / "objects"
    key = home.file(
        "g=$(git rev-parse --git-dir)",
        f"echo '{store}' >> $g/objects/info/alternates",
        f"tree=$(printf '100644 blob {blob}\\tsecret.txt\\n' | git mktree --missing)",
        "echo x > a.txt",
        'git update-ref refs/heads/agent/$(basename "$PWD") $(git commit-tree -p HEAD -m Secret $tree)',
        "say Done.",
    )
    assert await home.work(key) == "review"
    assert "Secret" not in git(repository, "log", "--format=%s", f"agent/{key}")
    assert git(repository, "cat-file", "--batch-all-objects", "--batch-check=%(objectname)").find(blob) == -1


def script(text: str) -> list[str]:
    return [line.strip() for line in text.splitlines() if line.strip()]


WRITE = "git hash-object -w --literally --stdin -t"
SPOIL = {
    "a commit that is none": f"""
        c=$(printf 'tree %s\\nparent %s\\nauthor x\\n\\nBad' $(git rev-parse HEAD:) $(git rev-parse HEAD) | {WRITE} commit)
        git update-ref HEAD $c""",
    "a commit of a tree that is missing": f"""
        who='A <a@b> 1 +0000'
        form='tree %040d\\nparent %s\\nauthor %s\\ncommitter %s\\n\\nBad'
        c=$(printf "$form" 7 $(git rev-parse HEAD) "$who" "$who" | {WRITE} commit)
        echo $c > $g/refs/heads/agent/$k""",
    "a tree that leads out": f"""
        t=$(printf '100644 ../evil\\0%20s' aaaaaaaaaaaaaaaaaaaa | {WRITE} tree)
        git update-ref HEAD $(git commit-tree -p HEAD -m Bad $t)""",
    "garbage": "echo garbage > $g/refs/heads/agent/$k; echo garbage > $g/HEAD",
    "nothing": "rm -rf $g/*",
    "links": """
        mv $g/objects $g/gone; ln -s /etc $g/objects; rm -rf $g/refs; ln -s /etc $g/refs
        rm $g/HEAD; ln -s /etc/passwd $g/HEAD""",
    "links and a pipe": """
        rm -rf $g/modules; ln -s /etc $g/modules; rm $g/index; ln -s /etc/passwd $g/index
        rm -rf $g/refs/heads; mkfifo $g/refs/heads""",
    "no rights": "chmod -R 000 $g/objects $g/refs",
}


@pytest.mark.parametrize("spoil", SPOIL)
async def test_what_is_spoilt_stays_where_it_is(home: House, repository: Path, spoil: str) -> None:
    before = refs(repository)
    key = home.file('g=$(git rev-parse --git-dir); k=$(basename "$PWD")', "echo x > a.txt", *script(SPOIL[spoil]), "say Done.")
    assert await home.work(key) == "review", home.run(key).summary
    assert git(repository, "show", f"agent/{key}:a.txt") == "x" and refs(repository) == before
    assert git(repository, "fsck", "--strict", "--no-dangling") == ""
    home.do(again, key)
    assert await home.work(key) in ("review", "blocked")
    assert home.run(key).outcome in ("done", "no_changes")


@pytest.mark.parametrize(
    "swap", ["rm -f .git; git init -q .", "mv .git x; mkdir .git; echo 'ref: refs/heads/main' > .git/HEAD"]
)
async def test_another_git_in_its_place(home: House, repository: Path, tmp_path: Path, swap: str) -> None:
    pwned = tmp_path / "pwned"
    key = home.file(
        swap,
        f"git config core.fsmonitor \"touch '{pwned}'\"",
        "echo x > a.txt",
        "git add -A; git commit -q -m Own",
        "say Done.",
    )
    assert await home.work(key) == "review", home.run(key).summary
    git(Path(home.workspace(key).path), "status")
    assert git(repository, "show", f"agent/{key}:a.txt") == "x" and not pwned.exists()


async def test_a_merge_that_it_concludes_by_itself(home: House, repository: Path) -> None:
    resolve = "echo both > README.md; git add README.md; git commit -q --no-edit; say Resolved.;"
    key = home.file(
        f"if grep -q '<<<<' README.md; then git status > status.txt; {resolve} else echo ours > README.md; say Done.; fi"
    )
    assert await home.work(key) == "review"
    theirs = commit(repository, README_md="theirs\n")
    with pytest.raises(MergeConflict):
        await asyncio.to_thread(review.approve, home.database, key)
    home.do(board.answer, key, "")
    assert await home.work(key) == "review", home.run(key).summary
    assert "Unmerged paths" in git(repository, "show", f"agent/{key}:status.txt")
    assert git(repository, "merge-base", theirs, f"agent/{key}") == theirs and notes(home) == ""
    await asyncio.to_thread(review.approve, home.database, key)
    assert git(repository, "show", "main:README.md") == "both"


async def test_commits_of_a_lost_run_are_kept(home: House, repository: Path) -> None:
    key = home.file(
        "test -f half && { echo y > b; say Done.; exit 0; }",
        "echo x > half; git add half; git commit -q -m Half; say begun; sleep 60",
    )
    crew = home.crew()
    await crew.take()
    await home.until(lambda: any((home.settings.home / "homes").rglob("session.jsonl")))
    await asyncio.sleep(0.2)
    run = home.run(key)
    with home.database.transaction() as db:
        leases.renew(db, {run.id or 0: run.fence}, -1)
    other = home.crew("w2")
    await other.take_over()
    assert await home.work(key, crew=other) == "review"
    assert "Half" in git(repository, "log", "--format=%s", f"agent/{key}")


async def test_a_closed_ticket_leaves_none(home: House) -> None:
    key = home.file("echo x > a.txt", "say Done.")
    assert await home.work(key) == "review" and (home.settings.home / "gits" / key).is_dir()
    await asyncio.to_thread(review.approve, home.database, key)
    assert list((home.settings.home / "gits").iterdir()) == []
