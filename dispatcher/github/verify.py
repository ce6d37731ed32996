"""Whether a delivery is GitHub's: HMAC SHA-256 over the body's bytes, compared in constant time.

https://docs.github.com/en/webhooks/using-webhooks/validating-webhook-deliveries. GitHub still sends the SHA-1 signature beside
it, for old receivers; it is not looked at, and the client library's own check, which takes it, is not used.
"""

from __future__ import annotations

import hashlib
import hmac

HEADER = "x-hub-signature-256"
PREFIX = "sha256="


def sign(secret: str, body: bytes) -> str:
    """The header that GitHub sends with a body."""
    return PREFIX + hmac.new(secret.encode(), body, hashlib.sha256).hexdigest()


def signed(secret: str, body: bytes, header: str) -> bool:
    """Whether the header is that of the body. Never for an empty secret, which everybody knows."""
    # Both sides as bytes: a text that is not ASCII would raise instead of being unequal.
    right = hmac.compare_digest(sign(secret, body).encode(), header.encode("utf-8", "replace"))
    return right and bool(secret)
