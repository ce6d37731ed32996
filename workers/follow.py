"""Files of a running harness to items: by byte offset, so that nothing is read twice."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Awaitable, Callable
from dataclasses import dataclass, replace
from pathlib import Path

from adapters.base import Branching, ChildItems, Decoder
from adapters.session import Item
from workers.limits import Ended, Watch
from workers.process import Process

CHUNK = 1 << 20
POLL_SECONDS = 0.2

Sink = Callable[[list[Item], str | None], Awaitable[None]]
"""Takes numbered items and the session's native id, and writes them down."""
ChildSink = Callable[[ChildItems], Awaitable[None]]
"""Takes what a child session gained, its items numbered."""


@dataclass
class Tail:
    """One growing file, and how far it was read."""

    stream: str
    path: Path
    offset: int = 0

    @classmethod
    def from_end(cls, stream: str, path: Path) -> Tail:
        """A file that earlier runs wrote to: only what comes now belongs to this one."""
        return cls(stream, path, path.stat().st_size if path.exists() else 0)

    def read(self) -> bytes:
        """What came since the last call, at most one chunk; a file that is not there yet has nothing."""
        try:
            with self.path.open("rb") as file:
                file.seek(self.offset)
                data = file.read(CHUNK)
        except FileNotFoundError:
            return b""
        self.offset += len(data)
        return data


class Numbering:
    """Gives provisional items their `seq`; an item whose id was seen keeps its place."""

    def __init__(self) -> None:
        self._seqs: dict[str, int] = {}
        self._next = 0

    def number(self, items: list[Item]) -> list[Item]:
        """The newest state of each item, numbered, in order."""
        newest: dict[int, Item] = {}
        for item in items:
            seq = self._seqs.get(item.id) if item.id is not None else None
            if seq is None:
                seq, self._next = self._next, self._next + 1
                if item.id is not None:
                    self._seqs[item.id] = seq
            item.seq = seq
            newest[seq] = item
        return [newest[seq] for seq in sorted(newest)]


class Children:
    """The child sessions of a run, each with numbers of its own."""

    def __init__(self, decoder: Decoder) -> None:
        self._decoder = decoder if isinstance(decoder, Branching) else None
        self._numberings: dict[str, Numbering] = {}

    def gained(self) -> list[ChildItems]:
        """What they gained by the last poll."""
        told = self._decoder.children() if self._decoder is not None else []
        numberings = [self._numberings.setdefault(child.native_id, Numbering()) for child in told]
        return [replace(child, items=numbers.number(child.items)) for child, numbers in zip(told, numberings, strict=True)]


async def follow(
    process: Process,
    decoder: Decoder,
    tails: list[Tail],
    watch: Watch,
    *,
    sink: Sink,
    every: float,
    child_sink: ChildSink | None = None,
) -> Ended | None:
    """Follow a process to its end, or until `watch` says that it has to be ended; gives that verdict."""
    numbering, children = Numbering(), Children(decoder)
    exited = asyncio.ensure_future(process.wait())
    polled, native_id = 0.0, decoder.native_id
    try:
        while True:
            last = exited.done()
            items, grew = _read(decoder, tails)
            if last or time.monotonic() - polled >= POLL_SECONDS:
                items += decoder.poll()
                polled = time.monotonic()
            if items or decoder.native_id != native_id:
                native_id = decoder.native_id
                items = numbering.number(items)
                watch.note(items)
                await sink(items, native_id)
            if child_sink is not None:
                for child in children.gained():
                    await child_sink(child)
            if grew:
                watch.heard()
            elif last:
                return None
            if (ended := watch.verdict()) is not None and not last:
                return ended
            if not grew:
                await asyncio.wait({exited}, timeout=every)
    finally:
        exited.cancel()


def _read(decoder: Decoder, tails: list[Tail]) -> tuple[list[Item], bool]:
    items: list[Item] = []
    grew = False
    for tail in tails:
        if data := tail.read():
            grew = True
            items += decoder.feed(tail.stream, data)
    return items, grew
