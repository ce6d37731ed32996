"""Restricts this process and all that it starts by Landlock (https://docs.kernel.org/userspace-api/landlock.html)."""

from __future__ import annotations

import ctypes
import os
import stat
from collections.abc import Iterable

CREATE_RULESET, ADD_RULE, RESTRICT_SELF = 444, 445, 446
"""The same numbers on every architecture."""
PATH_BENEATH, NET_PORT = 1, 2
VERSION = 1
NO_NEW_PRIVILEGES = 38
EXECUTE, WRITE_FILE, READ_FILE, READ_DIR, TRUNCATE = 1 << 0, 1 << 1, 1 << 2, 1 << 3, 1 << 14
CONNECT_TCP = 1 << 1
SCOPED = 3
"""Abstract Unix sockets and signals stay within."""
READING = EXECUTE | READ_FILE | READ_DIR
OF_FILES = EXECUTE | WRITE_FILE | READ_FILE | TRUNCATE | 1 << 15
FILES, NETWORK, SCOPES = 1, 4, 6
"""The versions of the interface that brought each kind of rule."""


class Ruleset(ctypes.Structure):
    """struct landlock_ruleset_attr"""

    _fields_ = (("files", ctypes.c_uint64), ("network", ctypes.c_uint64), ("scoped", ctypes.c_uint64))


class Beneath(ctypes.Structure):
    """struct landlock_path_beneath_attr"""

    _pack_ = 1
    _fields_ = (("allowed", ctypes.c_uint64), ("parent", ctypes.c_int32))


class Port(ctypes.Structure):
    """struct landlock_net_port_attr"""

    _fields_ = (("allowed", ctypes.c_uint64), ("port", ctypes.c_uint64))


def version() -> int:
    """The version of the interface that this kernel has; 0 for none."""
    libc = ctypes.CDLL(None, use_errno=True)
    return max(0, int(libc.syscall(CREATE_RULESET, None, ctypes.c_size_t(0), VERSION)))


def restrict(read: Iterable[str], write: Iterable[str], ports: Iterable[int]) -> None:
    """Allow reading and running below `read`, everything below `write`, connecting to `ports`, and nothing else.

    Raises `OSError` where the kernel does not have it. What it has no rule for stays open: UDP, Unix sockets on disk, and
    before version 4 all of TCP.
    """
    libc = ctypes.CDLL(None, use_errno=True)
    has = version()
    if has < FILES:
        raise OSError(95, "this kernel has no Landlock")
    handled = _rights(has)
    network = CONNECT_TCP if has >= NETWORK else 0
    ruleset = Ruleset(handled, network, SCOPED if has >= SCOPES else 0)
    size = 24 if has >= SCOPES else 16 if has >= NETWORK else 8
    descriptor = _call(libc, CREATE_RULESET, ctypes.byref(ruleset), ctypes.c_size_t(size), 0)
    for allowed, paths in ((READING & handled, read), (handled, write)):
        for path in paths:
            _allow(libc, descriptor, path, allowed)
    for port in ports if network else ():
        _call(libc, ADD_RULE, descriptor, NET_PORT, ctypes.byref(Port(CONNECT_TCP, port)), 0)
    if libc.prctl(NO_NEW_PRIVILEGES, 1, 0, 0, 0):
        raise OSError(ctypes.get_errno(), "prctl")
    _call(libc, RESTRICT_SELF, descriptor, 0)
    os.close(descriptor)


def _rights(has: int) -> int:
    """All rights to files that this version knows: 13 at first, then renaming, truncating, and ioctl on devices."""
    return (1 << 13) - 1 | (1 << 13 if has >= 2 else 0) | (TRUNCATE if has >= 3 else 0) | (1 << 15 if has >= 5 else 0)


def _allow(libc: ctypes.CDLL, ruleset: int, path: str, rights: int) -> None:
    parent = os.open(path, os.O_PATH | os.O_CLOEXEC)
    try:
        if not stat.S_ISDIR(os.fstat(parent).st_mode):
            rights &= OF_FILES
        _call(libc, ADD_RULE, ruleset, PATH_BENEATH, ctypes.byref(Beneath(rights, parent)), 0)
    finally:
        os.close(parent)


def _call(libc: ctypes.CDLL, number: int, *args: object) -> int:
    result = int(libc.syscall(number, *args))
    if result < 0:
        code = ctypes.get_errno()
        raise OSError(code, f"landlock: {os.strerror(code)}")
    return result
