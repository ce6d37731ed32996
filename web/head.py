"""HEAD, as GET without its body: what monitors, load balancers and checkers of links ask.

https://www.rfc-editor.org/rfc/rfc9110#section-9.3.2
"""

from __future__ import annotations

from anyio import CancelScope
from starlette.types import ASGIApp, Message, Receive, Scope, Send


class Head:
    """A layer below which every HEAD is a GET. Above the one that compresses, so that both tell of the same length."""

    def __init__(self, app: ASGIApp) -> None:
        self._app = app

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """One request."""
        if scope["type"] != "http" or scope["method"] != "HEAD":
            await self._app(scope, receive, send)
            return
        with CancelScope() as within:

            async def without_body(message: Message) -> None:
                if message["type"] == "http.response.start":
                    await send(message)
                    await send({"type": "http.response.body", "body": b"", "more_body": False})
                elif message.get("more_body"):
                    within.cancel()  # a stream, of which nobody reads the rest

            await self._app({**scope, "method": "GET"}, receive, without_body)
