"""How often somebody may do something: a bucket of tokens for each key, in this process, in bounded memory."""

from __future__ import annotations

import math
import time
from collections import OrderedDict
from collections.abc import Callable
from threading import Lock

MOST_KEYS = 10_000


class Buckets:
    """`burst` at once, then one each `1 / per_second`; keys that were not used for longest are forgotten first."""

    def __init__(self, burst: int, per_second: float, clock: Callable[[], float] = time.monotonic) -> None:
        self._burst = burst
        self._rate = per_second
        self._clock = clock
        self._left: OrderedDict[str, tuple[float, float]] = OrderedDict()
        self._lock = Lock()

    def wait(self, key: str) -> int:
        """Seconds until the key may again, 0 where it may now; takes nothing."""
        with self._lock:
            return self._seconds(self._now(key)[0])

    def take(self, key: str) -> int:
        """Take one where there is one: 0; else the seconds until there will be."""
        with self._lock:
            left, now = self._now(key)
            wait = self._seconds(left)
            self._left[key] = (left if wait else left - 1, now)
            self._left.move_to_end(key)
            if len(self._left) > MOST_KEYS:
                self._left.popitem(last=False)
            return wait

    def __len__(self) -> int:
        return len(self._left)

    def _now(self, key: str) -> tuple[float, float]:
        now = self._clock()
        left, at = self._left.get(key, (float(self._burst), now))
        return min(self._burst, left + (now - at) * self._rate), now

    def _seconds(self, left: float) -> int:
        return 0 if left >= 1 else max(1, math.ceil((1 - left) / self._rate))
