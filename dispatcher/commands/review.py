"""`dispatcher diff`, `approve`, `changes`, `discard`: a person's verdict on what an agent did."""

from __future__ import annotations

import re
from enum import StrEnum
from typing import Annotated, Any
from urllib.parse import urlencode

import typer
from rich.text import Text

from dispatcher.commands.common import Json, Usage, Wait, Yes, api, confirm, example
from dispatcher.commands.output import as_json, clean, console, for_people, note, one_line, say
from dispatcher.commands.tickets import Key, act

_COMMENT = re.compile(r"(?P<path>[^:]+):(?P<old>-?)(?P<first>\d{1,9})(?:-(?P<last>\d{1,9}))?:(?P<body>.*)", re.DOTALL)


class Method(StrEnum):
    """How the branch gets into its target."""

    merge = "merge"
    squash = "squash"
    ff = "ff"


def register(app: typer.Typer) -> None:
    """Add the commands."""
    app.command("diff", epilog=example("dispatcher diff WEB-12 --stat"))(diff)
    app.command("approve", epilog=example("dispatcher approve WEB-12 --method squash"))(approve)
    app.command("changes", epilog=example("dispatcher changes WEB-12 -m 'Add a test' --comment src/login.py:14:'Why?'"))(
        changes
    )
    app.command("discard", epilog=example("dispatcher discard WEB-12 --yes"))(discard)


def diff(
    key: Key,
    *,
    stat: Annotated[bool, typer.Option("--stat", help="Files and counts only, and why one should look at them.")] = False,
    since_review: Annotated[bool, typer.Option("--since-review", help="Only what is new since your last verdict.")] = False,
    since: Annotated[str, typer.Option(metavar="POINT", help="Begin at run-2, or a commit of the ticket's.")] = "",
    until: Annotated[str, typer.Option(metavar="POINT", help="End at run-2, or a commit of the ticket's.")] = "",
    ignore_space: Annotated[bool, typer.Option("--ignore-space", "-w", help="Leave out what differs in space alone.")] = False,
    as_data: Json = False,
) -> None:
    """Show what a ticket's branch changes; files that deserve care come first."""
    if since_review and since:
        raise Usage("--since-review and --since both say where to begin", "give one of them")
    asked = {"since": "review" if since_review else since, "until": until, "w": "true" if ignore_space else ""}
    query = urlencode({name: value for name, value in asked.items() if value})
    with api() as client:
        changed = client.get(f"/tickets/{key}/diff{'?' + query if query else ''}")
    if as_data:
        as_json(changed)
        return
    for told in changed["notes"]:
        note(told)
    if stat:
        show_stat(changed)
    else:
        show_diff(changed["text"])


def approve(
    key: Key,
    method: Annotated[Method | None, typer.Option(help="Another way than the project's own.")] = None,
    message: Annotated[str | None, typer.Option("--message", "-m", help="The merge commit's message.")] = None,
    as_data: Json = False,
) -> None:
    """Approve a ticket and merge its branch into its target, or offer it to GitHub where the project does that."""
    body = {"method": method.value if method else None, "message": message}
    with api() as client:
        client.post(f"/tickets/{key}/approve", {name: value for name, value in body.items() if value is not None})
        page = client.get(f"/tickets/{key}")
    if as_data:
        as_json(page)
        return
    if page["state"] == "review":
        say(f"{page['key']} is approved; its pull request is being opened, and is merged on GitHub", "green")
        return
    at = f" as {page['merged_sha'][:12]}" if page["merged_sha"] else ""
    say(f"{page['key']} is {page['state']}; its branch is merged{at}", "green")


def changes(
    key: Key,
    *,
    message: Annotated[str, typer.Option("--message", "-m", metavar="TEXT", help="What is to be done otherwise.")],
    comment: Annotated[
        list[str] | None,
        typer.Option(
            "--comment",
            "-c",
            metavar="PATH:LINES:TEXT",
            help="About line 12, lines 12-15, or -12 of those removed; several times.",
        ),
    ] = None,
    drafts: Annotated[
        bool, typer.Option("--drafts", help="Send the comments too that you have drafted in the browser.")
    ] = False,
    waiting: Wait = False,
    as_data: Json = False,
) -> None:
    """Send a ticket back to its agent, with comments."""
    body = {"body": message, "comments": [_comment(text) for text in comment or []], "drafts": drafts}
    act(key, "changes", body, f"{key.upper()} goes back to its agent", waiting=waiting, as_data=as_data)


def discard(key: Key, yes: Yes = False) -> None:
    """Remove a ticket's branch and worktree, and what is in them."""
    with api() as client:
        page = client.get(f"/tickets/{key}")
        branch = page["workspace"]["branch"] if page["workspace"] else "the branch"
        confirm(f"Remove {branch} of {page['key']} and its worktree, with all work in them?", yes=yes)
        client.post(f"/tickets/{page['key']}/discard", {"confirm": page["key"]})
    say(f"discarded the work on {page['key']}")


def show_diff(text: str) -> None:
    """A diff, coloured for people."""
    if not for_people():
        print(text, end="" if text.endswith("\n") else "\n")
        return
    out = console()
    for line in text.splitlines():
        out.print(Text(clean(line.replace("\t", "    ")), style=_style(line)))


def show_stat(changed: dict[str, Any]) -> None:
    """Files and counts, those that deserve care first, each with the reasons."""
    for file in changed["files"]:
        count = "binary" if file["binary"] else f"+{file['additions']} -{file['deletions']}"
        name = f"{file['old_path']} -> {file['path']}" if file.get("old_path") not in (None, file["path"]) else file["path"]
        say(f"{file['status']}\t{count}\t{one_line(name)}")
        for care in file["care"]:
            say(f"  ! it {one_line(care['text'])}", "yellow")


def _style(line: str) -> str:
    for start, style in (("+++", "bold"), ("---", "bold"), ("@@", "cyan"), ("diff ", "bold"), ("+", "green"), ("-", "red")):
        if line.startswith(start):
            return style
    return ""


def _comment(text: str) -> dict[str, Any]:
    """`src/a.py:12:Why?`, `src/a.py:12-15:Why?`, `src/a.py:-12:Why?` (a line that was removed)."""
    found = _COMMENT.fullmatch(text)
    if found is None or not found["body"].strip():
        raise Usage(f"--comment {text!r} is no comment on a line", "write it as PATH:LINE:TEXT or PATH:FIRST-LAST:TEXT")
    first, last = int(found["first"]), int(found["last"] or found["first"])
    comment = {"path": found["path"], "line": last, "body": found["body"].strip()}
    if last != first:
        comment["start_line"] = first
    if found["old"]:
        comment["side"] = "old"
    return comment
