"""What a page must not do: log an error, break its content policy, or ask another host for something."""

from __future__ import annotations

from urllib.parse import urlsplit

from playwright.async_api import ConsoleMessage, Page, Request


class Seen:
    """Listens to a page from its beginning."""

    def __init__(self, page: Page) -> None:
        self.problems: list[str] = []
        self.allowed: list[str] = []
        """Texts of problems that the test expects."""
        page.on("console", self._console)
        page.on("pageerror", lambda error: self.problems.append(str(error)))
        page.on("request", self._request)

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
