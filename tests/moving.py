"""A program for one test: names that lead elsewhere, where the test owns /etc/hosts. Prints `kept` at its end."""

from __future__ import annotations

import asyncio
import os
import socket
import ssl
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path

import httpx
from aiohttp import web

from dispatcher.addresses import Barred
from dispatcher.endpoints import check, check_address
from dispatcher.models import Endpoint
from workers.gateway import Gateway

HOSTS = Path("/etc/hosts")


def lead(hosts: str) -> None:
    """Make names lead where these lines say."""
    HOSTS.write_text(hosts)


@asynccontextmanager
async def server(address: str, port: int, tls: ssl.SSLContext | None = None) -> AsyncIterator[None]:
    """A model server that says where it is."""

    async def answer(_: web.Request) -> web.Response:
        return web.json_response({"id": address, "model": "m", "choices": []})

    app = web.Application()
    app.router.add_route("*", "/{path:.*}", answer)
    runner = web.AppRunner(app, shutdown_timeout=0.1)
    await runner.setup()
    await web.TCPSite(runner, address, port, reuse_address=True, ssl_context=tls).start()
    try:
        yield
    finally:
        await runner.cleanup()


async def main() -> None:
    with socket.create_server(("127.0.0.1", 0)) as free:
        port = free.getsockname()[1]
    lead("169.254.169.254 cloud.test\nfe80::1 mixed.test\n127.0.0.1 mixed.test\n127.0.0.1 gpu.test\n")
    url = f"http://cloud.test:{port}/v1"
    try:
        await check_address(url)
        raise AssertionError("taken at entry")
    except Barred as error:
        assert error.field == "base_url" and "169.254.169.254" in error.message, error.line()
    health = await check(Endpoint(name="cloud", base_url=url, model="m"))
    assert health.state == "barred" and health.hint, health
    try:
        async with Gateway().open(Endpoint(name="cloud", base_url=url, model="m"), 5):
            raise AssertionError("a door was opened")
    except Barred:
        pass
    await check_address(f"http://mixed.test:{port}/v1")
    gpu = Endpoint(name="gpu", base_url=f"http://gpu.test:{port}/v1", model="m")
    async with Gateway().open(gpu, 5) as door, httpx.AsyncClient(base_url=door.base_url, timeout=20) as client:
        client.headers["Authorization"] = f"Bearer {door.token}"

        async def asked() -> str:
            return str((await client.post("/chat/completions", json={"model": "m", "messages": []})).json().get("id"))

        async with server("127.0.0.2", port):
            async with server("127.0.0.1", port):
                assert await asked() == "127.0.0.1"
                lead("127.0.0.2 gpu.test\n")
                assert await asked() == "127.0.0.1", "a name that moves takes no run along"
            assert await asked() == "127.0.0.2"
            assert door.pin.moves == ["gpu.test was at 127.0.0.1 and is now at 127.0.0.2"], door.pin.moves
            lead("169.254.169.254 gpu.test\n")
            assert await asked() == "127.0.0.2"
        answer = await client.post("/chat/completions", json={"model": "m", "messages": []})
        assert answer.status_code == 400 and door.gave_up.is_set(), answer.text
        assert door.fault is not None and door.fault.kind == "misconfigured" and "169.254.169.254" in door.fault.text, (
            door.fault
        )
    await certified(port)
    print("kept")


async def certified(port: int) -> None:
    """What is connected to is an address, and the certificate is that of the name."""
    lead("127.0.0.1 tls.test other.test\n")
    context = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH)
    context.load_cert_chain(os.environ["SSL_CERT_FILE"], os.environ["KEY_FILE"])
    async with server("127.0.0.1", port, context):
        for name, status in (("tls.test", 200), ("other.test", 503)):
            endpoint = Endpoint(name="tls", base_url=f"https://{name}:{port}/v1", model="m")
            health = await check(endpoint, patience=5)
            assert (health.state == "tls") == (status == 503), health
            async with Gateway().open(endpoint, 0.1) as door, httpx.AsyncClient(base_url=door.base_url, timeout=20) as client:
                answer = await client.get("/models", headers={"Authorization": f"Bearer {door.token}"})
                assert answer.status_code == status, answer.text


if __name__ == "__main__":
    asyncio.run(main())
