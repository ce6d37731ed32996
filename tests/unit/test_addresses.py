"""Where an endpoint may be, in every way that an address can be written."""

from __future__ import annotations

import pytest

from dispatcher.addresses import Barred, barred, check_host, literal, resolve
from dispatcher.endpoints import checked_url

REFUSED = [
    "169.254.169.254",
    "169.254.0.1",
    "[fe80::1]",
    "[febf::1]",
    "[::ffff:169.254.169.254]",
    "[::ffff:a9fe:a9fe]",
    "[64:ff9b::a9fe:a9fe]",
    "[2002:a9fe:a9fe::1]",
    "[::a9fe:a9fe]",
    "[fd00:ec2::254]",
    "100.100.100.200",
    "2852039166",
    "0xa9fea9fe",
    "0251.0376.0251.0376",
    "169.254.43518",
    "0.0.0.0",
    "0",
    "0.1.2.3",
    "[::]",
    "[::ffff:0.0.0.0]",
    "224.0.0.1",
    "239.255.255.250",
    "[ff02::1]",
    "255.255.255.255",
    "240.0.0.1",
]
TAKEN = [
    "127.0.0.1",
    "127.0.0.53",
    "[::1]",
    "10.1.2.3",
    "172.16.0.1",
    "192.168.1.20",
    "100.64.0.7",
    "[fd12:3456::1]",
    "[::ffff:127.0.0.1]",
    "203.0.113.7",
    "[2001:db8::1]",
    "gpu.lan",
    "localhost",
    "gpu-1",
]


@pytest.mark.parametrize("host", REFUSED)
async def test_an_endpoint_is_refused_where_no_model_server_is(host: str) -> None:
    with pytest.raises(Barred) as caught:
        checked_url(f"http://{host}:8000/v1")
    assert caught.value.field == "base_url" and caught.value.hint
    with pytest.raises(Barred):
        await resolve(f"http://{host}:8000/v1")


@pytest.mark.parametrize("host", TAKEN)
def test_an_endpoint_may_be_on_this_machine_and_in_any_network(host: str) -> None:
    assert checked_url(f"http://{host}:8000/v1")


@pytest.mark.parametrize(
    ("host", "meant"), [("2130706433", "127.0.0.1"), ("127.1", "127.0.0.1"), ("0300.0250.1.20", "192.168.1.20")]
)
def test_an_address_in_an_old_form_is_refused_with_the_usual_one(host: str, meant: str) -> None:
    with pytest.raises(Barred) as caught:
        check_host(f"http://{host}:8000/v1")
    assert caught.value.hint == f"use http://{meant}:8000/v1"


def test_a_name_is_no_address() -> None:
    assert literal("gpu.lan") is None and literal("1.example.org") is None and literal("") is None
    address = literal("127.0.0.1")
    assert address is not None and barred(address) == ""


async def test_names_lead_to_what_the_system_says() -> None:
    assert {str(address) for address in await resolve("http://localhost:8000/v1")} <= {"127.0.0.1", "::1"}
    with pytest.raises(OSError, match=r"not known|no host name|No address|resolution"):
        await resolve("http://nothing.invalid/v1")
    with pytest.raises(OSError, match="no host name"):
        await resolve(f"http://{'a' * 70}.example/v1")
