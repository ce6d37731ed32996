"""Text that both databases keep: harnesses and programs print what they like."""

from __future__ import annotations

import hashlib
import json
from typing import Any


def digest(data: Any) -> str:
    """A short name for a text or other data: equal data has an equal one."""
    return hashlib.sha256(json.dumps(data, sort_keys=True, ensure_ascii=True).encode()).hexdigest()[:32]


def storable(value: Any) -> Any:
    """A text, or JSON data with texts in it, without what a database refuses.

    PostgreSQL takes no NUL in text, and half a surrogate pair is no UTF-8 (and refused in JSON:
    https://www.postgresql.org/docs/current/datatype-json.html).
    """
    if isinstance(value, str):
        return value.replace("\x00", "\\x00").encode("utf-8", "replace").decode()
    if isinstance(value, list):
        return [storable(part) for part in value]
    if isinstance(value, dict):
        return {storable(key): storable(part) for key, part in value.items()}
    return value
