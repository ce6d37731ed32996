"""The calls of the API that the server knows, each as it is documented."""

from __future__ import annotations

import re
from typing import Any, NamedTuple

from tests.github_server import GitHub
from tests.gitting import git


class Call(NamedTuple):
    """One call."""

    method: str
    path: str
    query: dict[str, str]
    data: dict[str, Any]


Answer = tuple[int, Any, dict[str, str]]
MISSING: Answer = (404, {"message": "Not Found", "documentation_url": "https://docs.github.com/rest"}, {})


def route(hub: GitHub, call: Call) -> Answer:
    """The answer to a call."""
    if call.path == "/user":
        return 200, hub.people[hub.me], {}
    if call.path == "/app":
        return 200, {"id": 7, "slug": "octo-dispatcher", "name": "Octo dispatcher"}, {}
    if re.fullmatch(r"/app/installations/55/access_tokens", call.path):
        return 201, {"token": "ghs_installation", "expires_at": hub.now(3600), "permissions": hub.granted}, {}
    if found := re.fullmatch(r"/users/([^/]+)", call.path):
        person = hub.people.get(found[1])
        return (200, person, {}) if person else MISSING
    if call.path == "/api/graphql" if hub.prefix else call.path == "/graphql":
        return _graph(hub, call)
    if found := re.fullmatch(r"/repositories/999/issues/(\d+)", call.path):
        return 200, hub.moved[int(found[1])], {}
    old = next((name for name in hub.old_names if re.match(rf"/repos/{name}(?:/|$)", call.path)), None)
    if old is not None and not hub.hidden:
        place = call.path.replace(f"/repos/{old}", f"/repos/{hub.name}", 1)
        query = "&".join(f"{name}={value}" for name, value in call.query.items())
        message = {"message": "Moved Permanently", "url": f"{hub.url}{place}"}
        return 301 if call.method == "GET" else 307, message, {"location": f"{hub.url}{place}{'?' if query else ''}{query}"}
    if not call.path.startswith(f"/repos/{hub.name}") or hub.hidden:
        return MISSING
    rest = call.path.removeprefix(f"/repos/{hub.name}")
    if not hub.has_issues and rest.startswith("/issues"):
        return 410, {"message": "Issues are disabled for this repo"}, {}
    for pattern, answer in ROUTES:
        if (call.method, found := re.fullmatch(pattern[1], rest))[0] == pattern[0] and found:
            return answer(hub, call, *found.groups())
    return MISSING


def _page(hub: GitHub, call: Call, rows: list[Any], key: str | None = None) -> Answer:
    size, page = int(call.query.get("per_page", "30")), int(call.query.get("page", "1"))
    shown = rows[(page - 1) * size : page * size]
    headers = {}
    if page * size < len(rows):
        query = "&".join(f"{name}={value}" for name, value in {**call.query, "page": str(page + 1)}.items())
        headers["link"] = f'<{hub.url}{call.path}?{query}>; rel="next"'
    return 200, {"total_count": len(rows), key: shown} if key else shown, headers


def _repo(hub: GitHub, call: Call) -> Answer:
    return 200, hub.repository, {}


def _permission(hub: GitHub, call: Call, login: str) -> Answer:
    if login not in hub.permissions:  # nobody's collaborator
        return MISSING
    role = hub.permissions[login]
    plain = {"maintain": "write", "triage": "read"}.get(role, role)
    return 200, {"permission": plain, "role_name": role, "user": hub.people[login]}, {}


def _issues(hub: GitHub, call: Call) -> Answer:
    state, since = call.query.get("state", "open"), call.query.get("since", "")
    rows = [one for one in hub.issues.values() if state in ("all", one["state"]) and one["updated_at"] >= since]
    return _page(hub, call, sorted(rows, key=lambda one: one["updated_at"], reverse=call.query.get("direction") != "asc"))


def _graph(hub: GitHub, call: Call) -> Answer:
    """One query of an issue; what is in underscores here is not shown by REST."""
    if not hub.graphs:
        return 200, {"data": None, "errors": [{"type": "FORBIDDEN", "message": "Resource not accessible"}]}, {}
    for field in ("login", "__typename", "databaseId"):
        assert field in call.data["query"]
    if "id" in call.data["variables"]:
        comment = next(one for one in hub.comments.values() if one["node_id"] == call.data["variables"]["id"])
        editor = comment.get("_editor")
        told = {"lastEditedAt": comment["updated_at"] if editor else None, "editor": _actor(editor)}
        return 200, {"data": {"node": told}}, {}
    issue = hub.issues[call.data["variables"]["number"]]
    told = {"lastEditedAt": issue.get("_edited"), "editor": _actor(issue.get("_editor"))}
    return 200, {"data": {"repository": {"issue": told}}}, {}


def _actor(user: dict[str, Any] | None) -> dict[str, Any] | None:
    """As GraphQL tells of who REST has as `user`."""
    if user is None:
        return None
    return {"login": user["login"].removesuffix("[bot]"), "__typename": user["type"], "databaseId": user["id"]}


def _issue(hub: GitHub, call: Call, number: str) -> Answer:
    if int(number) in hub.moved:
        return 301, {"message": "Moved Permanently"}, {"location": f"{hub.url}/repositories/999/issues/{number}"}
    issue = hub.issues.get(int(number))
    return (200, issue, {}) if issue else MISSING


def _patch_issue(hub: GitHub, call: Call, number: str) -> Answer:
    from tests.github_people import change_issue

    issue = hub.issues.get(int(number))
    if issue is None:
        return MISSING
    change_issue(hub, hub.me, int(number), **call.data)
    return 200, issue, {}


def _comments(hub: GitHub, call: Call, number: str = "") -> Answer:
    since = call.query.get("since", "")
    rows = [one for one in hub.comments.values() if one["updated_at"] >= since]
    return _page(hub, call, [one for one in rows if not number or one["issue_url"].endswith(f"/{number}")])


def _post_comment(hub: GitHub, call: Call, number: str) -> Answer:
    from tests.github_people import add_comment

    if int(number) not in hub.issues:
        return (410, {"message": "This issue was deleted"}, {}) if int(number) not in hub.pulls else MISSING
    if hub.issues[int(number)]["locked"]:
        return 403, {"message": "Unable to create comment because issue is locked."}, {}
    return 201, add_comment(hub, hub.me, int(number), call.data["body"]), {}


def _comment(hub: GitHub, call: Call, number: str) -> Answer:
    return (200, hub.comments[int(number)], {}) if int(number) in hub.comments else MISSING


def _delete_comment(hub: GitHub, call: Call, number: str) -> Answer:
    from tests.github_people import remove_comment

    if int(number) not in hub.comments:
        return MISSING
    remove_comment(hub, hub.me, int(number))
    return 204, None, {}


def _patch_comment(hub: GitHub, call: Call, number: str) -> Answer:
    from tests.github_people import change_comment

    comment = hub.comments.get(int(number))
    if comment is None:
        return MISSING
    if comment["user"]["login"] != hub.me:
        return 403, {"message": "Must have admin rights to Repository."}, {}
    change_comment(hub, hub.me, int(number), call.data["body"])
    return 200, comment, {}


def _events(hub: GitHub, call: Call, number: str) -> Answer:
    rows = [one for one in hub.events if one["number"] == int(number)]
    return _page(hub, call, [{name: value for name, value in one.items() if name != "number"} for one in rows])


def _pulls(hub: GitHub, call: Call) -> Answer:
    head, state = call.query.get("head", ""), call.query.get("state", "open")
    rows = [one for one in hub.pulls.values() if state in ("all", one["state"]) and head in ("", one["head"]["label"])]
    return _page(hub, call, rows)


def _post_pull(hub: GitHub, call: Call) -> Answer:
    from tests.github_people import open_pull

    branch = call.data["head"]
    head = git(hub.bare, "for-each-ref", "--format=%(objectname)", f"refs/heads/{branch}")
    if not head:
        wrong = [{"resource": "PullRequest", "field": "head", "code": "invalid"}]
        return 422, {"message": "Validation Failed", "errors": wrong}, {}
    if any(one["head"]["ref"] == branch and one["state"] == "open" for one in hub.pulls.values()):
        message = f"A pull request already exists for octo:{branch}."
        return (
            422,
            {"message": "Validation Failed", "errors": [{"resource": "PullRequest", "code": "custom", "message": message}]},
            {},
        )
    return 201, open_pull(hub, call.data, head), {}


def _pull(hub: GitHub, call: Call, number: str) -> Answer:
    from tests.github_people import fresh

    pull = hub.pulls.get(int(number))
    return (200, fresh(hub, pull), {}) if pull else MISSING


def _patch_pull(hub: GitHub, call: Call, number: str) -> Answer:
    from tests.github_people import change_pull

    return (200, change_pull(hub, hub.me, int(number), **call.data), {}) if int(number) in hub.pulls else MISSING


def _reviews(hub: GitHub, call: Call, number: str) -> Answer:
    return _page(hub, call, [one for one in hub.reviews.values() if one["pull_request_url"].endswith(f"/{number}")])


def _review(hub: GitHub, call: Call, _number: str, review: str) -> Answer:
    return (200, hub.reviews[int(review)], {}) if int(review) in hub.reviews else MISSING


def _lines(hub: GitHub, call: Call, _number: str, review: str) -> Answer:
    return _page(hub, call, [one for one in hub.lines.values() if one["pull_request_review_id"] == int(review)])


def _checks(hub: GitHub, call: Call, sha: str) -> Answer:
    return _page(hub, call, [one for one in hub.checks if one["head_sha"] == sha or sha == "HEAD"], "check_runs")


def _hooks(hub: GitHub, call: Call) -> Answer:
    if hub.hooks is None:
        return 403, {"message": "Resource not accessible by personal access token"}, {}
    return _page(hub, call, hub.hooks)


ROUTES: list[tuple[tuple[str, str], Any]] = [
    (("GET", ""), _repo),
    (("GET", r"/collaborators/([^/]+)/permission"), _permission),
    (("GET", "/hooks"), _hooks),
    (("GET", "/issues"), _issues),
    (("GET", "/issues/comments"), _comments),
    (("GET", r"/issues/comments/(\d+)"), _comment),
    (("PATCH", r"/issues/comments/(\d+)"), _patch_comment),
    (("DELETE", r"/issues/comments/(\d+)"), _delete_comment),
    (("GET", r"/issues/(\d+)"), _issue),
    (("PATCH", r"/issues/(\d+)"), _patch_issue),
    (("GET", r"/issues/(\d+)/comments"), _comments),
    (("POST", r"/issues/(\d+)/comments"), _post_comment),
    (("GET", r"/issues/(\d+)/events"), _events),
    (("GET", "/pulls"), _pulls),
    (("POST", "/pulls"), _post_pull),
    (("GET", r"/pulls/(\d+)"), _pull),
    (("PATCH", r"/pulls/(\d+)"), _patch_pull),
    (("GET", r"/pulls/(\d+)/reviews"), _reviews),
    (("GET", r"/pulls/(\d+)/reviews/(\d+)"), _review),
    (("GET", r"/pulls/(\d+)/reviews/(\d+)/comments"), _lines),
    (("GET", r"/commits/([0-9a-f]{40}|HEAD)/check-runs"), _checks),
]
