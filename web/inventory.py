"""What this machine has, kept for a little while: asking harnesses for their versions and ports for servers takes seconds."""

from __future__ import annotations

import asyncio
import threading
import time
from dataclasses import dataclass, field

from dispatcher.discovery import Found, discover, ports_of
from dispatcher.harnesses import HarnessRow, list_harnesses
from dispatcher.settings import Settings

HARNESS_SECONDS = 30.0
SERVER_SECONDS = 20.0


@dataclass
class Inventory:
    """The harnesses and the model servers of the machine that the web app runs on."""

    settings: Settings
    _harnesses: list[HarnessRow] = field(default_factory=list)
    _harnesses_at: float = float("-inf")
    _servers: list[Found] = field(default_factory=list)
    _servers_at: float = float("-inf")
    _lock: threading.Lock = field(default_factory=threading.Lock)
    _asking: asyncio.Lock = field(default_factory=asyncio.Lock)

    def harnesses(self) -> list[HarnessRow]:
        """Every harness, as it was found within the last half minute."""
        with self._lock:
            if time.monotonic() - self._harnesses_at > HARNESS_SECONDS:
                self._harnesses = list_harnesses(self.settings.harness_root)
                self._harnesses_at = time.monotonic()
            return self._harnesses

    def forget(self) -> None:
        """Look anew the next time."""
        self._harnesses_at = float("-inf")

    async def servers(self, *, anew: bool = False) -> list[Found]:
        """The model servers that answer on this machine."""
        async with self._asking:
            if anew or time.monotonic() - self._servers_at > SERVER_SECONDS:
                self._servers = await discover(ports_of(self.settings.discovery_ports))
                self._servers_at = time.monotonic()
            return self._servers
