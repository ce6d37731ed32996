"""What processes that serve for days go through when they collect garbage: not their own code, again and again."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
from pathlib import Path

import pytest

PROGRAM = """
import gc, logging, signal, sys
from {module} import run
from dispatcher.settings import Settings
signal.signal(signal.SIGTERM, lambda *_: None)  # the site raises again what it was ended by
logging.basicConfig(level=logging.INFO, stream=sys.stdout)
run(Settings(port=0))
print("left out", gc.get_freeze_count(), "gone through", len(gc.get_objects()))
"""


@pytest.mark.parametrize(("module", "ready"), [("web.main", "startup complete"), ("workers.main", "takes up to")])
def test_collections_leave_out_what_was_there_when_the_process_began(tmp_path: Path, module: str, ready: str) -> None:
    with subprocess.Popen(
        [sys.executable, "-c", PROGRAM.format(module=module)],
        env=os.environ | {"DISPATCHER_HOME": str(tmp_path), "DISPATCHER_REDIS_URL": ""},
        stdout=subprocess.PIPE,
        text=True,
    ) as process:
        try:
            assert process.stdout is not None
            assert any(ready in line for line in process.stdout)
            process.send_signal(signal.SIGTERM)
            said = process.communicate(timeout=60)[0].split()
        finally:
            process.kill()
    left_out, gone_through = int(said[-4]), int(said[-1])
    assert left_out > 100_000
    assert gone_through < left_out / 4
