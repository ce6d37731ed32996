"""What people and programs do on GitHub, with the deliveries that it causes; and how our own calls change things there."""

from __future__ import annotations

from typing import Any

from tests.github_server import Delivery, GitHub
from tests.gitting import git


def open_issue(hub: GitHub, by: str, title: str, body: str | None = "", *labels: str) -> int:
    number, at = hub.number(), hub.now()
    hub.issues[number] = {
        "id": hub.number(),
        "node_id": f"I_{number}",
        "number": number,
        "url": f"{hub.url}/repos/{hub.name}/issues/{number}",
        "html_url": f"{hub.url}/{hub.name}/issues/{number}",
        "title": title,
        "body": body,
        "user": hub.people[by],
        "labels": [_label(name) for name in labels],
        "assignees": [],
        "state": "open",
        "state_reason": None,
        "locked": False,
        "comments": 0,
        "author_association": "NONE",
        "created_at": at,
        "updated_at": at,
        "closed_at": None,
    }
    hub.deliver("issues", {"action": "opened", "issue": hub.issues[number]}, by)
    for name in labels:  # GitHub sends one of these for each label too
        _happened(hub, by, number, "labeled", at, label=_label(name))
        hub.deliver("issues", {"action": "labeled", "issue": hub.issues[number], "label": _label(name)}, by)
    return number


def change_issue(hub: GitHub, by: str, number: int, **values: Any) -> None:
    """Title, body, labels, state: as the call to update an issue takes them."""
    issue, before = hub.issues[number], dict(hub.issues[number])
    labels = [_label(name) for name in values["labels"]] if "labels" in values else issue["labels"]
    issue |= {name: value for name, value in values.items() if name in ("title", "body", "state", "state_reason")}
    issue |= {"labels": labels, "updated_at": hub.now()}
    edits = {name: {"from": before[name]} for name in ("title", "body") if issue[name] != before[name]}
    if "body" in edits:
        issue |= {"_edited": issue["updated_at"], "_editor": hub.people[by]}
    if "title" in edits:
        _happened(hub, by, number, "renamed", issue["updated_at"], rename={"from": before["title"], "to": issue["title"]})
    if edits:
        hub.deliver("issues", {"action": "edited", "issue": issue, "changes": edits}, by)
    old = [one["name"] for one in before["labels"]]
    for one in labels:
        if one["name"] not in old:
            _happened(hub, by, number, "labeled", issue["updated_at"], label=one)
            hub.deliver("issues", {"action": "labeled", "issue": issue, "label": one}, by)
    for one in before["labels"]:
        if one not in labels:
            _happened(hub, by, number, "unlabeled", issue["updated_at"], label=one)
            hub.deliver("issues", {"action": "unlabeled", "issue": issue, "label": one}, by)
    if issue["state"] != before["state"]:
        issue["closed_at"] = issue["updated_at"] if issue["state"] == "closed" else None
        hub.deliver("issues", {"action": "closed" if issue["state"] == "closed" else "reopened", "issue": issue}, by)


def add_label(hub: GitHub, by: str, number: int, name: str) -> None:
    change_issue(hub, by, number, labels=[*(one["name"] for one in hub.issues[number]["labels"]), name])


def assign(hub: GitHub, by: str, number: int, login: str) -> None:
    issue = hub.issues[number]
    issue |= {"assignees": [*issue["assignees"], hub.people[login]], "updated_at": hub.now()}
    _happened(hub, by, number, "assigned", issue["updated_at"], assignee=hub.people[login])
    hub.deliver("issues", {"action": "assigned", "issue": issue, "assignee": hub.people[login]}, by)


def unassign(hub: GitHub, by: str, number: int, login: str) -> None:
    issue = hub.issues[number]
    left = [one for one in issue["assignees"] if one["login"] != login]
    issue |= {"assignees": left, "updated_at": hub.now()}
    _happened(hub, by, number, "unassigned", issue["updated_at"], assignee=hub.people[login])
    hub.deliver("issues", {"action": "unassigned", "issue": issue, "assignee": hub.people[login]}, by)


def remove_issue(hub: GitHub, by: str, number: int, how: str = "deleted") -> None:
    issue = hub.issues.pop(number)
    if how == "transferred":
        hub.moved[number] = issue | {"id": hub.number(), "url": f"{hub.url}/repos/octo/other/issues/{number}"}
    hub.deliver("issues", {"action": how, "issue": issue}, by)


def add_comment(hub: GitHub, by: str, number: int, body: str) -> dict[str, Any]:
    comment, at = hub.number(), hub.now()
    hub.comments[comment] = {
        "id": comment,
        "node_id": f"IC_{comment}",
        "url": f"{hub.url}/repos/{hub.name}/issues/comments/{comment}",
        "html_url": f"{hub.url}/{hub.name}/issues/{number}#issuecomment-{comment}",
        "issue_url": f"{hub.url}/repos/{hub.name}/issues/{number}",
        "user": hub.people[by],
        "author_association": "NONE",
        "created_at": at,
        "updated_at": at,
        "body": body,
    }
    issue = hub.issues[number]
    issue |= {"comments": issue["comments"] + 1, "updated_at": at}
    hub.deliver("issue_comment", {"action": "created", "issue": issue, "comment": hub.comments[comment]}, by)
    return hub.comments[comment]


def change_comment(hub: GitHub, by: str, comment: int, body: str) -> None:
    row = hub.comments[comment]
    before = row["body"]
    row |= {"body": body, "updated_at": hub.now(), "_editor": hub.people[by]}
    issue = hub.issues[int(row["issue_url"].rpartition("/")[2])]
    hub.deliver(
        "issue_comment", {"action": "edited", "issue": issue, "comment": row, "changes": {"body": {"from": before}}}, by
    )


def remove_comment(hub: GitHub, by: str, comment: int) -> None:
    row = hub.comments.pop(comment)
    issue = hub.issues[int(row["issue_url"].rpartition("/")[2])]
    issue |= {"comments": issue["comments"] - 1, "updated_at": hub.now()}
    hub.deliver("issue_comment", {"action": "deleted", "issue": issue, "comment": row}, by)


def open_pull(hub: GitHub, data: dict[str, Any], head: str) -> dict[str, Any]:
    number, at = hub.number(), hub.now()
    hub.pulls[number] = {
        "id": hub.number(),
        "node_id": f"PR_{number}",
        "number": number,
        "url": f"{hub.url}/repos/{hub.name}/pulls/{number}",
        "html_url": f"{hub.url}/{hub.name}/pull/{number}",
        "title": data["title"],
        "body": data.get("body"),
        "user": hub.people[hub.me],
        "state": "open",
        "merged": False,
        "merged_by": None,
        "merge_commit_sha": None,
        "head": {"ref": data["head"], "sha": head, "label": f"octo:{data['head']}", "repo": hub.repository},
        "base": {"ref": data["base"], "sha": git(hub.bare, "rev-parse", data["base"]), "repo": hub.repository},
        "created_at": at,
        "updated_at": at,
        "closed_at": None,
        "merged_at": None,
    }
    hub.deliver("pull_request", {"action": "opened", "number": number, "pull_request": hub.pulls[number]}, hub.me)
    return hub.pulls[number]


def fresh(hub: GitHub, pull: dict[str, Any]) -> dict[str, Any]:
    """A pull request with its branch's head of now."""
    head = git(hub.bare, "for-each-ref", "--format=%(objectname)", f"refs/heads/{pull['head']['ref']}")
    pull["head"]["sha"] = head or pull["head"]["sha"]
    return pull


def change_pull(hub: GitHub, by: str, number: int, **values: Any) -> dict[str, Any]:
    pull = fresh(hub, hub.pulls[number])
    before = pull["state"]
    pull |= {name: value for name, value in values.items() if name in ("title", "body", "state")} | {"updated_at": hub.now()}
    action = "edited" if pull["state"] == before else "closed" if pull["state"] == "closed" else "reopened"
    hub.deliver("pull_request", {"action": action, "number": number, "pull_request": pull}, by)
    return pull


def review(hub: GitHub, by: str, number: int, state: str, body: str = "", *lines: tuple[str, int, str]) -> int:
    """A submitted review with comments on lines, as (path, line, text)."""
    pull, one, at = fresh(hub, hub.pulls[number]), hub.number(), hub.now()
    hub.reviews[one] = {
        "id": one,
        "node_id": f"PRR_{one}",
        "user": hub.people[by],
        "body": body,
        "state": state.upper(),
        "html_url": f"{pull['html_url']}#pullrequestreview-{one}",
        "pull_request_url": pull["url"],
        "submitted_at": at,
        "commit_id": pull["head"]["sha"],
        "author_association": "MEMBER",
    }
    told = hub.reviews[one] | {"state": state.lower()}  # in deliveries the state is in lower case, in the API in upper case
    hub.deliver("pull_request_review", {"action": "submitted", "review": told, "pull_request": pull}, by)
    for path, line, text in lines:
        comment = hub.number()
        hub.lines[comment] = {
            "id": comment,
            "pull_request_review_id": one,
            "path": path,
            "line": line,
            "original_line": line,
            "side": "RIGHT",
            "body": text,
            "diff_hunk": "@@ -1 +1 @@",
            "user": hub.people[by],
            "created_at": at,
            "updated_at": at,
        }
        hub.deliver(
            "pull_request_review_comment", {"action": "created", "comment": hub.lines[comment], "pull_request": pull}, by
        )
    return one


def merge(hub: GitHub, by: str, number: int) -> str:
    """Merge a pull request as its button does: a merge commit on the base; issues that its body fixes are closed."""
    pull = fresh(hub, hub.pulls[number])
    base, head = git(hub.bare, "rev-parse", pull["base"]["ref"]), pull["head"]["sha"]
    tree = git(hub.bare, "merge-tree", "--write-tree", base, head)
    sha = git(hub.bare, "commit-tree", tree, "-p", base, "-p", head, "-m", f"Merge pull request #{number}")
    git(hub.bare, "update-ref", f"refs/heads/{pull['base']['ref']}", sha)
    at = hub.now()
    pull |= {
        "state": "closed",
        "merged": True,
        "merged_by": hub.people[by],
        "merge_commit_sha": sha,
        "merged_at": at,
        "updated_at": at,
    }
    for issue in [one for one in hub.issues if f"Fixes #{one}" in (pull["body"] or "")]:
        change_issue(hub, by, issue, state="closed", state_reason="completed")
    hub.deliver("pull_request", {"action": "closed", "number": number, "pull_request": pull}, by)
    return sha


def check(hub: GitHub, sha: str, name: str, conclusion: str | None, **output: str) -> None:
    """A check run of that commit; None while it runs."""
    row = next((one for one in hub.checks if (one["head_sha"], one["name"]) == (sha, name)), None)
    if row is None:
        row = {"id": hub.number(), "head_sha": sha, "name": name, "html_url": f"{hub.url}/{hub.name}/runs/1"}
        hub.checks.append(row)
    row |= {"status": "completed" if conclusion else "in_progress", "conclusion": conclusion, "output": output}
    hub.deliver("check_run", {"action": "completed" if conclusion else "created", "check_run": row}, "renovate[bot]")
    if all(one["status"] == "completed" for one in hub.checks if one["head_sha"] == sha):
        hub.deliver(
            "check_suite",
            {"action": "completed", "check_suite": {"id": 1, "head_sha": sha, "conclusion": conclusion}},
            "renovate[bot]",
        )


def ping(hub: GitHub) -> list[Delivery]:
    hub.deliver("ping", {"zen": "Design for failure.", "hook_id": 77, "hook": {"type": "Repository", "id": 77}}, "ada")
    return hub.flush()


def _label(name: str) -> dict[str, Any]:
    return {"id": sum(name.encode()), "name": name, "color": "ededed", "default": False}


def _happened(hub: GitHub, by: str, number: int, event: str, at: str, **values: Any) -> None:
    row = {"id": hub.number(), "event": event, "actor": hub.people[by], "created_at": at, "number": number}
    hub.events.append(row | values)
