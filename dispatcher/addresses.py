"""Where an endpoint may be: on this machine, in a private network, on the internet; but at no address that belongs to a link.

Clouds serve the keys of a machine at link-local addresses, to whoever can make it ask (169.254.169.254, and the others of
https://docs.aws.amazon.com/AWSEC2/latest/UserGuide/instancedata-data-retrieval.html,
https://cloud.google.com/compute/docs/metadata/querying-metadata, https://www.alibabacloud.com/help/en/ecs/user-guide/view-instance-metadata).
"""

from __future__ import annotations

import asyncio
import socket
from ipaddress import IPv4Address, IPv6Address, IPv6Network, ip_address
from urllib.parse import urlsplit

from dispatcher.errors import Invalid

Address = IPv4Address | IPv6Address

_METADATA = frozenset(map(ip_address, ("100.100.100.200", "fd00:ec2::254", "fd20:ce::254")))
_TRANSLATED = (IPv6Network("64:ff9b::/96"), IPv6Network("::/96"))
"""IPv6 that carries an IPv4 address in its last 32 bits (RFC 6052 section 2.1, RFC 4291 section 2.5.5.1)."""
LOOKUP_SECONDS = 10.0


class Barred(Invalid):
    """No endpoint may be at this address, or none is written so."""


def barred(address: Address) -> str:
    """Why no endpoint may be there, in words that end a sentence; empty where one may."""
    inner = _carried(address)
    if inner is not None:
        return barred(inner)
    if address in _METADATA or address.is_link_local:
        return (
            "a link-local address, where clouds keep a machine's keys"
            if address.is_link_local
            else "a cloud's metadata address"
        )
    if address.is_unspecified:
        return "the address of no machine"
    if address.is_multicast:
        return "a multicast address"
    if isinstance(address, IPv4Address) and (address.packed[0] == 0 or address.packed[0] >= 240):
        return "a reserved address"
    return ""


def check_host(url: str) -> None:
    """Look at a URL's host as it is written; raises `Barred` with the fix. Names are looked up by `resolve` alone."""
    host = urlsplit(url).hostname or ""
    address = literal(host)
    if address is None:
        return
    if why := barred(address):
        raise _refusal(host, address, why)
    if ":" not in host and host != str(address):
        better = url.replace(host, str(address), 1)
        raise Barred(f"{host} is another way to write {address}", f"use {better}", "base_url")


def literal(host: str) -> Address | None:
    """The address that a host is written as, also in the old forms (decimal, octal, hex, short); None for a name."""
    try:
        return ip_address(host)
    except ValueError:
        pass
    try:
        return IPv4Address(socket.inet_aton(host.rstrip(".")))
    except (OSError, ValueError):
        return None


async def resolve(url: str) -> tuple[Address, ...]:
    """The addresses at which an endpoint's URL may be reached, in the system's order of preference.

    What is barred among them is left out; raises `Barred` where nothing else is left, and `OSError` for an unknown name.
    """
    host = urlsplit(url).hostname or ""
    found = [known] if (known := literal(host)) is not None else await _look_up(host)
    allowed = tuple(dict.fromkeys(address for address in found if not barred(address)))
    if not allowed:
        raise _refusal(host, found[0], barred(found[0]))
    return allowed


async def check_reach(url: str) -> None:
    """Raises `Barred` where the name in a URL leads to nothing but addresses that are barred. Unknown names pass: the check of
    the endpoint tells of them, and a machine may be off."""
    try:
        await resolve(url)
    except OSError:
        return


async def _look_up(host: str) -> list[Address]:
    loop = asyncio.get_running_loop()
    try:
        async with asyncio.timeout(LOOKUP_SECONDS):
            rows = await loop.getaddrinfo(host, None, type=socket.SOCK_STREAM)
    except UnicodeError as error:  # a label that is empty or too long
        raise socket.gaierror(socket.EAI_NONAME, f"{host} is no host name") from error
    return [ip_address(row[4][0]) for row in rows]


def _carried(address: Address) -> Address | None:
    """The IPv4 address within an IPv6 one."""
    if isinstance(address, IPv4Address) or address.is_unspecified or address.is_loopback:
        return None
    if address.ipv4_mapped or address.sixtofour:
        return address.ipv4_mapped or address.sixtofour
    if any(address in network for network in _TRANSLATED):
        return IPv4Address(address.packed[-4:])
    return None


def _refusal(host: str, address: Address, why: str) -> Barred:
    place = str(address) if host == str(address) else f"{host} leads to {address}, and that"
    hint = "use 127.0.0.1 for this machine" if address.is_unspecified else "give the address of the model server itself"
    return Barred(f"{place} is {why}: no endpoint is taken there", hint, "base_url")
