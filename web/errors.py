"""Errors as answers: JSON for the API, a page for people; one shape each, and never a traceback."""

from __future__ import annotations

import json
import logging
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from fastapi import FastAPI, Request
from fastapi.exceptions import RequestValidationError
from sqlalchemy.exc import OperationalError, SQLAlchemyError
from starlette.datastructures import Headers
from starlette.exceptions import HTTPException
from starlette.responses import JSONResponse, Response
from starlette.types import Scope

from adapters.base import AdapterError
from dispatcher.errors import DispatcherError
from web.render import page, snake

log = logging.getLogger(__name__)

_UNREAD = "There was an error parsing the body"
"""FastAPI's words for a body that is no text (fastapi/routing.py, get_request_handler)."""
_WORDS = {404: "there is no such page or call", 405: "this address does not take that method"}


@dataclass(frozen=True)
class Problem:
    """One error, as it is told."""

    status: int
    message: str
    hint: str = ""
    field: str | None = None
    code: str = "error"

    def body(self) -> dict[str, Any]:
        """The JSON of the API's errors."""
        return {"error": {"message": self.message, "hint": self.hint, "field": self.field, "code": self.code}}


def problem_of(error: DispatcherError | AdapterError) -> Problem:
    """A use case's or an adapter's error."""
    if isinstance(error, AdapterError):
        return Problem(422, str(error), error.hint, code=snake(type(error).__name__))
    return Problem(error.status, error.message, error.hint, error.field, snake(type(error).__name__))


def respond(scope: Scope, problem: Problem) -> Response:
    """The answer for an error: JSON below /api/, a message for htmx, which asked for a part of a page, a page elsewhere."""
    if scope["path"].startswith("/api/"):
        return JSONResponse(problem.body(), problem.status)
    if Headers(scope=scope).get("hx-request") == "true":
        told: dict[str, Any] = {
            "text": problem.message,
            "hint": problem.hint,
            "error": True,
            "undo": None,
            "words": "",
            "partial": False,
        }
        answer = page("shell/toast.html", problem.status, **told)
        answer.headers.update({"hx-retarget": "#toasts", "hx-reswap": "beforeend"})
        return answer
    asked = problem.status == 422 and scope["method"] in {"GET", "HEAD"}
    return page("error.html", problem.status, problem=problem, path=scope["path"], asked=asked)


def install(app: FastAPI) -> None:
    """Answer all errors of the application."""
    app.add_exception_handler(DispatcherError, _on_error)
    app.add_exception_handler(AdapterError, _on_error)
    app.add_exception_handler(RequestValidationError, _on_invalid)
    app.add_exception_handler(HTTPException, _on_http)
    app.add_exception_handler(OperationalError, _on_database)


class AsciiJSON(JSONResponse):
    """JSON in ASCII: what harnesses record may hold half a surrogate pair, which is no UTF-8."""

    def render(self, content: Any) -> bytes:
        """The body."""
        return json.dumps(content, allow_nan=False, separators=(",", ":")).encode()


async def _on_error(request: Request, error: Exception) -> Response:
    assert isinstance(error, DispatcherError | AdapterError)
    return respond(request.scope, problem_of(error))


async def _on_invalid(request: Request, error: Exception) -> Response:
    assert isinstance(error, RequestValidationError)
    return respond(request.scope, invalid(error.errors()))


async def _on_database(request: Request, error: Exception) -> Response:
    assert isinstance(error, OperationalError)
    return respond(request.scope, database_down(request.scope, error))


def database_down(scope: Scope, error: SQLAlchemyError) -> Problem:
    """What is told while the database is away; the log is told too."""
    words = str(getattr(error, "orig", None) or error).strip().partition("\n")[0]
    log.warning("%s %s: the database does not answer: %s", scope["method"], scope["path"], words)
    hint = "check DISPATCHER_DATABASE_URL and the server there; nothing was changed"
    return Problem(503, f"the database does not answer: {words}", hint, code="database_down")


async def _on_http(request: Request, error: Exception) -> Response:
    assert isinstance(error, HTTPException)
    if error.status_code == 400 and error.detail == _UNREAD:
        return respond(request.scope, Problem(422, "the body is no JSON: it is no text in UTF-8", code="invalid"))
    words = _WORDS.get(error.status_code, error.detail)
    api = request.url.path.startswith("/api/")
    hint = "the API is described at /api/v1/openapi.json" if error.status_code in (404, 405) and api else ""
    if error.status_code == 413:
        hint = "shorten it, or raise DISPATCHER_MAX_BODY"
    codes = {404: "not_found", 405: "method_not_allowed", 413: "too_large"}
    answer = respond(request.scope, Problem(error.status_code, words, hint, code=codes.get(error.status_code, "bad_request")))
    if error.headers:
        answer.headers.update(error.headers)
    return answer


def invalid(errors: Sequence[Any]) -> Problem:
    """What a request's validation found: the first, with its field."""
    first = errors[0]
    if first["type"] == "json_invalid":
        return Problem(422, f"the body is no JSON: {first['ctx']['error']}", code="invalid")
    where = [str(part) for part in first["loc"]]
    field = ".".join(where[1:]) or None
    if first["type"] == "extra_forbidden":
        return Problem(422, f"{field} is not known here", "leave it out, or look for a typing mistake", field, "invalid")
    if first["type"] == "missing":
        what = field or "the body"
        return Problem(422, f"{what} is missing", "the calls are described at /api/v1/openapi.json", field, "invalid")
    message = first["msg"][:1].lower() + first["msg"][1:]
    more = f"{len(errors) - 1} more like this" if len(errors) > 1 else ""
    return Problem(422, f"{field}: {message}" if field else message, more, field, "invalid")
