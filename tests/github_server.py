"""A server that answers as GitHub's REST API is documented to, with its git over HTTP and its webhooks; on loopback.

https://docs.github.com/en/rest and https://docs.github.com/en/webhooks/webhook-events-and-payloads. What people do there is in
tests/github_people.py: it causes the deliveries that GitHub would send, signed, to `hook`.
"""

from __future__ import annotations

import json
import os
import re
import subprocess
import threading
import time
import uuid
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any
from urllib.parse import parse_qs, urlsplit

import httpx
import jwt

from dispatcher.github.verify import sign
from tests.gitting import git

TOKEN = "github_pat_for_tests"
INSTALLATION = "ghs_installation"


@dataclass
class Fault:
    """An answer instead of the right one, for so many calls whose "METHOD path" begins so."""

    call: str
    status: int
    headers: dict[str, str] = field(default_factory=dict)
    times: int = 1
    after: bool = False
    """Whether the call is carried out all the same: the answer gets lost on its way."""
    message: str = "this is a fault of the test's"


@dataclass
class Delivery:
    """One webhook delivery, as it was sent."""

    guid: str
    event: str
    body: bytes
    status: int | None = None


class GitHub:
    """One repository, its people, and all that there is in it."""

    def __init__(self, repository: Path, folder: Path) -> None:
        self.bare = folder / "web.git"
        subprocess.run(["git", "clone", "-q", "--bare", str(repository), str(self.bare)], check=True)
        git(self.bare, "config", "http.receivepack", "true")
        self.name, self.repo_id = "octo/web", 4242
        self.people: dict[str, dict[str, Any]] = {}
        self.permissions: dict[str, str] = {}
        self.issues: dict[int, dict[str, Any]] = {}
        self.comments: dict[int, dict[str, Any]] = {}
        self.events: list[dict[str, Any]] = []
        self.pulls: dict[int, dict[str, Any]] = {}
        self.reviews: dict[int, dict[str, Any]] = {}
        self.lines: dict[int, dict[str, Any]] = {}
        self.checks: list[dict[str, Any]] = []
        self.app_key = ""
        """The App's public key, where there is one."""
        self.calls: list[str] = []
        self.faults: list[Fault] = []
        self.hook, self.secret = "", ""
        self.silent = False
        """Whether the webhook is out of order."""
        self.sent: list[Delivery] = []
        self.queue: list[tuple[str, dict[str, Any]]] = []
        self.lock = threading.RLock()
        self.behind = timedelta(0)
        """So much its clock is behind."""
        self._clock = datetime.now(UTC).replace(microsecond=0) - timedelta(seconds=1)
        self._next = 100
        for login, permission, kind in (
            ("octo-dispatcher[bot]", "write", "Bot"),
            ("ada", "admin", "User"),
            ("wren", "write", "User"),
            ("tess", "triage", "User"),
            ("mallory", "read", "User"),
            ("renovate[bot]", "write", "Bot"),
        ):
            self.person(login, permission, kind)
        self.me = "octo-dispatcher[bot]"
        self.url = ""
        """Where the REST API is."""
        self.prefix = ""
        """What its paths begin with: /api/v3 on a GitHub Enterprise server."""
        self.moved: dict[int, dict[str, Any]] = {}
        """Issues that were transferred, as they are in the other repository."""
        self.hooks: list[dict[str, Any]] | None = None
        """The repository's webhooks; None where the token may not see them."""
        self.graphs = True
        """Whether GraphQL is answered."""
        self.old_names: list[str] = []
        """Under which it was known: calls to them are led on, as to a renamed repository."""
        self.has_issues = True
        self.hidden = False
        """Whether the token was taken away from the repository: to it nothing of it is there."""
        self.granted = {"metadata": "read", "issues": "write", "pull_requests": "write", "contents": "write", "checks": "read"}
        """What the App's installation may do."""

    def person(self, login: str, permission: str, kind: str = "User") -> None:
        self.people[login] = {"login": login, "id": self.number(), "node_id": f"U_{login}", "type": kind, "site_admin": False}
        self.permissions[login] = permission

    def put_back(self, behind: timedelta) -> None:
        """Put its clock so far behind."""
        self.behind, self._clock = behind, self._clock - behind

    def rename(self, name: str) -> None:
        """Give the repository another name; all that is told of it bears that."""
        self.old_names.append(self.name)
        old, self.name = self.name, name
        for table in (self.issues, self.comments, self.pulls, self.reviews):
            for number, row in table.items():
                table[number] = json.loads(json.dumps(row).replace(f"/{old}/", f"/{name}/"))

    def number(self) -> int:
        self._next += 1
        return self._next

    def now(self, step: int = 1) -> str:
        """GitHub's time, to the second; it moves on with every change, as it would between people's doings."""
        real = datetime.now(UTC).replace(microsecond=0) - self.behind
        self._clock = max(self._clock + timedelta(seconds=step), real)
        return self._clock.strftime("%Y-%m-%dT%H:%M:%SZ")

    @property
    def repository(self) -> dict[str, Any]:
        return {
            "id": self.repo_id,
            "node_id": "R_1",
            "name": self.name.partition("/")[2],
            "full_name": self.name,
            "private": False,
            "html_url": f"{self.url}/{self.name}",
            "clone_url": f"{self.url}/{self.name}.git",
            "default_branch": "main",
            "has_issues": self.has_issues,
            "owner": {"login": self.name.partition("/")[0], "id": 1, "type": "Organization"},
            "permissions": {"admin": False, "maintain": False, "push": True, "triage": True, "pull": True},
        }

    def deliver(self, event: str, payload: dict[str, Any], sender: str) -> None:
        """Send a delivery, after the call that caused it is answered; kept in `sent` whatever comes of it."""
        whole = payload | {"repository": self.repository, "sender": self.people[sender]}
        self.queue.append((event, json.loads(json.dumps(whole))))

    def flush(self) -> list[Delivery]:
        """Send what waits; not under the lock, since what is told may ask back."""
        with self.lock:
            queue, self.queue = self.queue, []
        return [self.send(Delivery(str(uuid.uuid4()), event, json.dumps(payload).encode())) for event, payload in queue]

    def send(self, delivery: Delivery) -> Delivery:
        """Send that delivery, for the first time or once more."""
        if delivery not in self.sent:
            self.sent.append(delivery)
        if self.hook and not self.silent:
            headers = headers_of(delivery, self.secret)
            delivery.status = httpx.post(
                self.hook, content=delivery.body, headers=headers, timeout=30, trust_env=False
            ).status_code
        return delivery

    @contextmanager
    def serving(self) -> Iterator[GitHub]:
        handler = type("Bound", (Handler,), {"github": self})
        server = ThreadingHTTPServer(("127.0.0.1", 0), handler)
        server.daemon_threads = True
        self.url = f"http://127.0.0.1:{server.server_port}{self.prefix}"
        thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.02}, daemon=True)
        thread.start()
        try:
            yield self
        finally:
            server.shutdown()
            server.server_close()
            thread.join(5)


def headers_of(delivery: Delivery, secret: str) -> dict[str, str]:
    """The headers of a delivery."""
    return {
        "content-type": "application/json",
        "user-agent": "GitHub-Hookshot/0000001",
        "x-github-event": delivery.event,
        "x-github-delivery": delivery.guid,
        "x-github-hook-id": "77",
        "x-hub-signature": "sha1=0000000000000000000000000000000000000000",
        "x-hub-signature-256": sign(secret, delivery.body),
    }


class Handler(BaseHTTPRequestHandler):
    """Answers the calls."""

    github: GitHub
    protocol_version = "HTTP/1.1"
    disable_nagle_algorithm = True  # head and body are two writes: the second would wait 40 ms for the first one's receipt

    def log_message(self, format: str, *args: Any) -> None:
        pass

    def date_time_string(self, timestamp: float | None = None) -> str:
        return super().date_time_string((timestamp or time.time()) - self.github.behind.total_seconds())

    def do_GET(self) -> None:
        self._answer("GET")

    def do_POST(self) -> None:
        self._answer("POST")

    def do_PATCH(self) -> None:
        self._answer("PATCH")

    def do_PUT(self) -> None:
        self._answer("PUT")

    def do_DELETE(self) -> None:
        self._answer("DELETE")

    def _answer(self, method: str) -> None:
        hub = self.github
        url = urlsplit(self.path)
        body = self._read()
        if ".git/" in url.path:
            self._git(method, url.path, url.query, body)
            return
        from tests.github_routes import Call, route

        if hub.prefix and url.path != "/api/graphql":  # an Enterprise server: nothing of it is at the root
            path = url.path.removeprefix(hub.prefix)
            url = url._replace(path=path if path != url.path else "/none")
        with hub.lock:
            hub.calls.append(f"{method} {self.path}")
            fault = next((one for one in hub.faults if one.times > 0 and f"{method} {url.path}".startswith(one.call)), None)
            if fault is not None:
                fault.times -= 1
            if fault is not None and not fault.after:
                self._send(fault.status, {"message": fault.message}, fault.headers)
                return
            refused = self._identify(url.path)
            query = {name: values[0] for name, values in parse_qs(url.query).items()}
            data = json.loads(body) if body else {}
            status, answer, headers = (401, refused, {}) if refused else route(hub, Call(method, url.path, query, data))
        if fault is not None:
            self._send(fault.status, {"message": "the answer was lost"}, fault.headers)
        else:
            self._send(status, answer, headers)
        # As GitHub does: some time after the call was answered. Without a hook the test brings them itself.
        if hub.hook:
            threading.Thread(target=hub.flush, daemon=True).start()

    def _identify(self, path: str) -> dict[str, Any] | None:
        kind, _, secret = self.headers.get("authorization", "").partition(" ")
        if path.startswith("/app"):
            try:
                claims = jwt.decode(secret, self.github.app_key, algorithms=["RS256"], options={"verify_iss": False})
            except jwt.PyJWTError:
                return {"message": "A JSON web token could not be decoded"}
            fine = kind.lower() == "bearer" and claims["exp"] - claims["iat"] <= 600
            return None if fine else {"message": "'Expiration time' claim ('exp') is too far in the future"}
        return None if secret in (TOKEN, INSTALLATION) else {"message": "Bad credentials"}

    def _read(self) -> bytes:
        if self.headers.get("transfer-encoding") == "chunked":
            parts = []
            while size := int(self.rfile.readline().strip() or b"0", 16):
                parts.append(self.rfile.read(size))
                self.rfile.readline()
            self.rfile.readline()
            return b"".join(parts)
        return self.rfile.read(int(self.headers.get("content-length") or 0))

    def _send(self, status: int, answer: Any, headers: dict[str, str]) -> None:
        body = json.dumps(answer).encode() if status != 204 else b""
        self.send_response(status)
        usual = {
            "content-type": "application/json; charset=utf-8",
            "x-ratelimit-limit": "5000",
            "x-ratelimit-remaining": "4999",
        }
        usual["x-ratelimit-reset"] = str(int(datetime.now(UTC).timestamp()) + 3600)
        for name, value in ({**usual, "content-length": str(len(body))} | headers).items():
            self.send_header(name, value)
        self.end_headers()
        self.wfile.write(body)

    def _git(self, method: str, path: str, query: str, body: bytes) -> None:
        """Git's own server program, behind the token."""
        import base64

        self.github.calls.append(f"{method} {self.path}")
        given = self.headers.get("authorization", "")
        rights = {"Basic " + base64.b64encode(f"x-access-token:{one}".encode()).decode() for one in (TOKEN, INSTALLATION)}
        if given not in rights:
            self.send_response(401)
            self.send_header("www-authenticate", 'Basic realm="GitHub"')
            self.send_header("content-length", "0")
            self.end_headers()
            return
        env = {
            "PATH": os.environ["PATH"],
            "GIT_PROJECT_ROOT": str(self.github.bare.parent),
            "GIT_HTTP_EXPORT_ALL": "1",
            "PATH_INFO": re.sub(r"^.*/(?=[^/]+\.git/)", "/", path),
            "QUERY_STRING": query,
            "REQUEST_METHOD": method,
            "CONTENT_TYPE": self.headers.get("content-type", ""),
            "CONTENT_LENGTH": str(len(body)),
            "REMOTE_USER": "x-access-token",
            "HTTP_CONTENT_ENCODING": self.headers.get("content-encoding", ""),
            "GIT_CONFIG_NOSYSTEM": "1",
            "GIT_CONFIG_GLOBAL": os.devnull,
        }
        done = subprocess.run(["git", "http-backend"], input=body, env=env, capture_output=True, check=True)
        head, _, content = done.stdout.partition(b"\r\n\r\n")
        fields = dict(line.split(": ", 1) for line in head.decode().split("\r\n"))
        self.send_response(int(fields.pop("Status", "200").split(" ")[0]))
        for name, value in fields.items():
            self.send_header(name, value)
        self.send_header("content-length", str(len(content)))
        self.end_headers()
        self.wfile.write(content)
