"""`python -m workers.sandbox`: which sandboxes this machine can make, as JSON on one line."""

from __future__ import annotations

import asyncio
import json

from workers.sandbox.attempted import attempt_all

if __name__ == "__main__":
    print(json.dumps([attempted.to_json() for attempted in asyncio.run(attempt_all())]))
