"""Files of a run, read by offset."""

from __future__ import annotations

from pathlib import Path

from adapters.redact import Redactor


def read_log(path: Path, offset: int, limit: int, redactor: Redactor) -> bytes:
    """At most `limit` bytes from `offset` on, their secrets masked; none where the file is not there (yet)."""
    begin = max(0, offset - redactor.reach)
    try:
        with path.open("rb") as file:
            file.seek(begin)
            data = file.read(offset - begin + limit + redactor.reach)
    except FileNotFoundError:
        return b""
    return redactor.bytes(data)[offset - begin :][:limit]
