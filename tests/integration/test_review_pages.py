"""The review without scripts, its parts for htmx, and its API."""

from __future__ import annotations

import os
from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from tests.gitting import commit, git
from tests.integration.test_pages import page, post
from tests.reviewing import BUSY, PARSER, busy, mended, reviewed, work
from tests.webbing import Web, open_web

PATH = "src/shop/parser.py"
HTMX = {"HX-Request": "true"}


@pytest.fixture
async def web(tmp_path: Path, repository: Path) -> AsyncIterator[Web]:
    async with open_web(f"sqlite:///{tmp_path / 'dispatcher.db'}", tmp_path / "data") as web:
        await web.furnish(repository)
        yield web


async def simple(web: Web, repository: Path) -> str:
    return await reviewed(web, repository, {PATH: mended()}, {PATH: PARSER})


async def test_care_stands_first_in_page_and_api(web: Web, repository: Path) -> None:
    key = await reviewed(web, repository, busy, BUSY)
    diff = await web.send("GET", f"/tickets/{key}/diff")
    kinds = {file["path"]: [one["kind"] for one in file["care"]] for file in diff["files"]}
    assert kinds["src/shop/auth.py"] == ["hidden"] and kinds["AGENTS.md"] == ["agent"] and kinds["shortcut"] == ["link"]
    assert kinds["run.sh"] == ["mode"] and kinds["tests/test_parser.py"] == ["test", "test"] and kinds[PATH] == []
    with_care = [bool(file["care"]) for file in diff["files"]]
    assert with_care == sorted(with_care, reverse=True) and with_care.count(True) == 9
    shown = await page(web, f"/tickets/{key}/changes")
    assert shown.text.index("src/shop/auth.py") < shown.text.index("AGENTS.md") < shown.text.index("docs")
    assert "It is a link to ../../etc/passwd, outside of the repository." in shown.text
    assert "0 of 13 viewed" in shown.text and "def find" not in shown.text


async def test_all_lines_on_one_page_without_scripts(web: Web, repository: Path) -> None:
    key = await reviewed(web, repository, busy, BUSY)
    shown = await page(web, f"/tickets/{key}/changes?all=1")
    for told in ("raise KeyError(wanted)", "pull_request_target", "similarity index 100%", "new mode 100755", "\\u202e"):
        assert told in shown.text, told
    assert "../../etc/passwd" in shown.text and "Binary files /dev/null and b/logo.png differ" in shown.text


async def test_files_and_parts_of_a_patch_belong_together(web: Web, repository: Path) -> None:
    """A file that becomes a link is two parts of a patch; with space left out some files have none."""

    def change(folder: Path) -> None:
        (folder / "b.txt").unlink()
        (folder / "b.txt").symlink_to("c.txt")
        (folder / "c.txt").write_text("  c\n")
        (folder / "d.txt").write_text("changed\n")

    key = await reviewed(web, repository, change, {"b.txt": "b\n", "c.txt": "c\n", "d.txt": "d\n"})
    for query in ("?all=1", "?all=1&w=1"):
        shown = (await web.client.get(f"/tickets/{key}/changes{query}")).text
        last = shown[shown.rindex('data-path="d.txt"') :]
        assert "changed" in last and "c.txt</td>" not in last
    assert (await web.send("GET", f"/tickets/{key}/diff?w=1"))["files"][1]["additions"] == 0


async def test_drafts_by_forms(web: Web, repository: Path) -> None:
    key = await simple(web, repository)
    at = f"/tickets/{key}"
    saved = await post(web, f"{at}/drafts", path=PATH, start_line="7", line="9", side="new", body="Why `partition`?")
    assert saved.headers["location"] == f"{at}/changes#part-threads"
    await post(web, f"{at}/drafts", path=PATH, line="9", side="old", body="```suggestion\n        pass\n```")
    shown = await page(web, f"{at}/changes")
    assert "lines 7 to 9" in shown.text and "line 9 that was removed" in shown.text and shown.text.count("Pending") == 2
    assert "Suggested change" in shown.text and "2 pending comments go with it" in shown.text
    first, second = await web.send("GET", f"{at}/drafts")
    await post(web, f"{at}/drafts/{first['id']}", body="Because?")
    await post(web, f"{at}/drafts/{second['id']}", delete="1")
    assert [one["body"] for one in await web.send("GET", f"{at}/drafts")] == ["Because?"]
    await post(web, f"{at}/changes", body="Please.", drafts="1")
    ticket = await web.send("GET", at)
    assert ticket["run"]["feedback"].startswith(f"Please.\n\n1. {PATH}:7-9:\n```\n7: ") and not await web.send(
        "GET", f"{at}/drafts"
    )
    (said,) = ticket["comments"]
    assert (said["start_line"], said["line"], said["side"], said["author"]) == (7, 9, "new", "admin")
    assert said["snippet"].startswith("        if not line.strip():")


async def test_a_refused_draft_keeps_what_was_typed(web: Web, repository: Path) -> None:
    key = await simple(web, repository)
    for values, status, words in (
        ({"line": "two"}, 422, "is no line number"),
        ({"line": "900"}, 422, "has no line 900"),
        ({"line": "3", "start_line": "5"}, 422, "start line cannot be taken"),
        ({"path": "other.py"}, 404, "the diff has no file"),
    ):
        refused = await post(web, f"/tickets/{key}/drafts", status, **({"path": PATH, "body": "Kept <b>"} | values))
        assert (
            words in refused.text
            and "Kept &lt;b&gt;</textarea>" in refused.text
            and '<details id="line-comment" class="panel unscripted" open>' in refused.text
        )
    scripted = await web.client.post(f"/tickets/{key}/drafts", data={"path": PATH, "body": " "}, headers=HTMX)
    assert scripted.status_code == 422 and scripted.text.startswith('<div class="problem" role="alert">')


async def test_viewed_marks_by_forms(web: Web, repository: Path) -> None:
    key = await simple(web, repository)
    (file,) = await web.send("GET", f"/tickets/{key}/viewed")
    assert (file["path"], file["viewed"], file["changed"]) == (PATH, False, False)
    marked = await post(web, f"/tickets/{key}/viewed", file=file["file"], viewed="1")
    assert marked.headers["location"] == f"/tickets/{key}/changes#f-{file['file']}"
    assert "1 of 1 viewed" in (await page(web, f"/tickets/{key}/changes")).text
    await web.send("POST", f"/tickets/{key}/changes", {"body": "Again."})
    work(web, repository, {PATH: PARSER + "# more\n"})
    shown = await page(web, f"/tickets/{key}/changes")
    assert "0 of 1 viewed" in shown.text and "changed since you viewed it" in shown.text
    put = await web.send("PUT", f"/tickets/{key}/viewed", {"file": PATH})
    assert put == {"file": file["file"], "path": PATH, "viewed": True, "changed": False}
    part = await web.client.post(f"/tickets/{key}/viewed", data={"file": file["file"], "viewed": "0"}, headers=HTMX)
    assert "0</span> of" in part.text and 'hx-target="#part-progress"' in part.text


async def test_verdicts_by_htmx_answer_with_parts(web: Web, repository: Path) -> None:
    key = await simple(web, repository)
    refused = await web.client.post(f"/tickets/{key}/approve", data={"head": "0" * 40, "message": "Mine"}, headers=HTMX)
    assert refused.status_code == 409 and "has moved since you looked" in refused.text and "Mine</textarea>" in refused.text
    assert refused.text.startswith('<hx-partial hx-target="#part-verdict"')
    done = await web.client.post(f"/tickets/{key}/approve", data={"method": "squash"}, headers=HTMX)
    assert done.status_code == 200 and f"{key} is merged as" in done.text and 'hx-target="#part-head"' in done.text
    assert git(repository, "log", "-1", "--format=%s") == f"Mend the parser ({key})"


async def test_a_conflict_is_shown_before_and_blocks_after(web: Web, repository: Path) -> None:
    key = await simple(web, repository)
    commit(repository)
    (repository / PATH).write_text(PARSER.replace('line.split("=")', 'line.rsplit("=")'))
    git(repository, "commit", "-qam", "Meanwhile")
    shown = await page(web, f"/tickets/{key}/changes")
    assert "Conflicts in 1 file" in shown.text and 'line.rsplit("=")' in shown.text
    assert "<<<<<<< main" in shown.text and f">>>>>>> agent/{key}" in shown.text
    outlook = await web.send("GET", f"/tickets/{key}/merge")
    assert [clash["path"] for clash in outlook["conflicts"]] == [PATH] and not outlook["fast_forward"]
    await post(web, f"/tickets/{key}/approve", 409, method="merge")
    ticket = await web.send("GET", f"/tickets/{key}")
    assert (ticket["state"], ticket["blocker"]["files"]) == ("blocked", [PATH])


async def test_a_branch_that_moved_is_told_and_not_swapped_in(web: Web, repository: Path) -> None:
    key = await simple(web, repository)
    head = (await web.send("GET", f"/tickets/{key}"))["workspace"]["head_sha"]
    part = f"/tickets/{key}/changes?part=moved&seen={head}"
    assert "has moved" not in (await web.client.get(part)).text
    await web.send("POST", f"/tickets/{key}/changes", {"body": "Again."})
    work(web, repository, {PATH: PARSER + "# more\n"})
    moved = (await web.client.get(part)).text
    assert "The branch has moved since you opened it." in moved and f"/tickets/{key}/changes?since={head}" in moved
    assert f'data-refresh="{part.replace("&", "&amp;")}"' in moved
    late = await post(web, f"/tickets/{key}/changes", 409, body="Old words", head=head)
    assert "has moved since you looked" in late.text and "Old words</textarea>" in late.text
    since = await page(web, f"/tickets/{key}/changes?since={head}")
    assert "since my last review" in since.text and "in 1 file" in since.text
    unknown = await page(web, f"/tickets/{key}/changes?since=main", 422)
    assert "there is no commit" in unknown.text and "The whole branch" in unknown.text


async def test_a_file_by_its_lines_in_the_api(web: Web, repository: Path) -> None:
    key = await simple(web, repository)
    diff = await web.send("GET", f"/tickets/{key}/diff/file?file={PATH}")
    assert [(hunk["old"], hunk["new"]) for hunk in diff["hunks"]] == [(4, 4), (33, 33)]
    assert diff["hunks"][0]["lines"][3] == ["del", 7, None, "        if not line:"]
    assert (diff["old_lines"], diff["new_lines"], diff["left"], diff["notes"]) == (36, 36, 0, [])
    lines = await web.send("GET", f"/tickets/{key}/diff/lines?file={diff['id']}&start=1&end=3")
    assert lines == {"start": 1, "lines": ["import re", "", ""]}
    old = await web.send("GET", f"/tickets/{key}/diff/lines?file={PATH}&start=36&end=99&side=old")
    assert old["lines"] == ["    return None"]
    assert (await web.refused("GET", f"/tickets/{key}/diff/file?file=nothing"))["status"] == 404


async def test_names_and_contents_of_all_kinds(web: Web, repository: Path) -> None:
    names = [
        'quo"te.txt',
        "new\nline.txt",
        "sp ace & <b>.txt",
        "tab\t.txt",
        ":(glob)*.txt",
        "ünï.txt",
        os.fsdecode(b"\xff\xfe.txt"),
    ]

    def change(folder: Path) -> None:
        for number, name in enumerate(names):
            (folder / name).write_text(f"{number}\n")
        (folder / "crlf.txt").write_bytes(b"a\r\nB\r\n")
        (folder / "ends.txt").write_bytes(b"one\ntwo")
        (folder / "bytes.txt").write_bytes(b"\xff\xfe latin \xe9\n")
        (folder / "long.txt").write_text("x" * 300_000 + "\n")

    key = await reviewed(web, repository, change, {"crlf.txt": "a\r\nb\r\n", "ends.txt": "one\ntwo\n"})
    files = {file["path"]: file for file in (await web.send("GET", f"/tickets/{key}/diff"))["files"]}
    assert len(files) == 11 and "\\xff\\xfe.txt" in files
    for number, name in enumerate(names):
        file = files[name if name.isprintable() or "\n" in name or "\t" in name else "\\xff\\xfe.txt"]
        diff = await web.send("GET", f"/tickets/{key}/diff/file?file={file['id']}")
        assert diff["hunks"][0]["lines"] == [["add", None, 1, str(number)]], name

    async def lines(path: str) -> list[tuple[str, str]]:
        diff = await web.send("GET", f"/tickets/{key}/diff/file?file={files[path]['id']}")
        return [(line[0], line[3]) for line in diff["hunks"][0]["lines"]]

    assert await lines("crlf.txt") == [("same", "a"), ("del", "b"), ("add", "B")]
    assert await lines("ends.txt") == [("same", "one"), ("del", "two"), ("add", "two"), ("note", "No newline at end of file")]
    assert (await lines("bytes.txt"))[0][1] == "�� latin �" and (await lines("long.txt"))[0][1].endswith(
        "… 298,000 more characters"
    )
    for query in ("", "?all=1"):
        shown = (await web.client.get(f"/tickets/{key}/changes{query}")).text
        assert "<b>.txt" not in shown and "&lt;b&gt;.txt" in shown


async def test_two_thousand_files(web: Web, repository: Path) -> None:
    key = await reviewed(
        web, repository, {f"src/part_{number % 40}/file_{number}.py": f"x = {number}\n" for number in range(2000)}
    )
    answer = await web.client.get(f"/tickets/{key}/changes", headers={"Accept-Encoding": "gzip"})
    assert answer.status_code == 200 and answer.text.count('<section class="file') == 2000
    assert answer.num_bytes_downloaded < 300_000


async def test_a_viewer_sees_no_forms(web: Web, repository: Path) -> None:
    from tests.entering import bearer

    key = await simple(web, repository)
    await web.send("POST", "/users", {"name": "eve", "role": "viewer"}, status=201)
    eyes = bearer(web.database, "eve")
    shown = await web.anonymous.get(f"/tickets/{key}/changes", headers=eyes)
    assert shown.status_code == 200 and "Approve and merge" not in shown.text and "remark-form" not in shown.text
    refused = await web.anonymous.post(f"/tickets/{key}/drafts", data={"path": PATH, "body": "x"}, headers=eyes)
    assert refused.status_code == 403


async def test_nothing_to_review_yet(web: Web, repository: Path) -> None:
    key = await web.ticket("Not begun")
    assert "Nothing has changed yet" in (await page(web, f"/tickets/{key}/changes")).text
