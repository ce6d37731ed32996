"""Requests that go to addresses at which endpoints may be, and to no others: what a check of an endpoint connects by."""

from __future__ import annotations

import httpx

from dispatcher.addresses import Barred, resolve


class Elsewhere(httpx.ConnectError):
    """The host leads to an address at which no endpoint may be; `why` says which."""

    def __init__(self, why: Barred, request: httpx.Request) -> None:
        super().__init__(why.message, request=request)
        self.why = why


class Allowed(httpx.AsyncBaseTransport):
    """Looks each request's host up itself and connects to what was found and allowed, in turn.

    TLS asks for the certificate of the name (https://www.python-httpx.org/advanced/extensions/, `sni_hostname`).
    """

    def __init__(self) -> None:
        self._inner = httpx.AsyncHTTPTransport()

    async def handle_async_request(self, request: httpx.Request) -> httpx.Response:
        """One request; raises `httpx.ConnectError` where no address takes it, `Elsewhere` where none is allowed."""
        try:
            addresses = await resolve(str(request.url))
        except Barred as why:
            raise Elsewhere(why, request) from why
        except OSError as error:
            raise httpx.ConnectError(str(error), request=request) from error
        host = request.url.host
        for left, address in enumerate(addresses, 1 - len(addresses)):
            extensions = request.extensions | {"sni_hostname": host}
            url = request.url.copy_with(host=str(address))
            sent = httpx.Request(request.method, url, headers=request.headers, stream=request.stream, extensions=extensions)
            try:
                return await self._inner.handle_async_request(sent)
            except httpx.ConnectError:
                if not left:
                    raise
        raise AssertionError("`resolve` gives one address or more")

    async def aclose(self) -> None:
        """Close its connections."""
        await self._inner.aclose()
