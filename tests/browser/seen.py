"""What a page must not do: log an error, break its content policy, or ask another host for something."""

from __future__ import annotations

from urllib.parse import urlsplit
from weakref import WeakKeyDictionary

from playwright.async_api import ConsoleMessage, Page, Request, Response

REFUSED = "the server responded with a status of 4"
"""How a browser logs a page or a form that was refused: the page shows why, and nothing is wrong with it."""

_all: WeakKeyDictionary[Page, Seen] = WeakKeyDictionary()


class Seen:
    """Listens to a page from its beginning."""

    def __init__(self, page: Page) -> None:
        self.problems: list[str] = []
        self.allowed: list[str] = [REFUSED]
        """Texts of problems that the test expects."""
        _all[page] = self
        page.on("console", self._console)
        page.on("pageerror", lambda error: self.problems.append(str(error)))
        page.on("request", self._request)
        page.on("response", self._response)

    def verify(self) -> None:
        """Fail with what there was."""
        wrong = [text for text in self.problems if not any(part in text for part in self.allowed)]
        assert not wrong, "\n".join(wrong)

    def _console(self, message: ConsoleMessage) -> None:
        if message.type in ("error", "warning"):
            self.problems.append(f"{message.type}: {message.text}")

    def _request(self, request: Request) -> None:
        if urlsplit(request.url).hostname not in ("127.0.0.1", None):
            self.problems.append(f"asked elsewhere: {request.url}")

    def _response(self, response: Response) -> None:
        if response.status >= 400 and response.request.resource_type in ("script", "stylesheet", "image", "font"):
            self.problems.append(f"not there: {response.url}")


def allow(page: Page, *texts: str) -> None:
    """Let problems pass whose text holds one of these: a test that stops the server sees the browser complain."""
    _all[page].allowed += texts
