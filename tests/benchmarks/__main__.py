"""`make bench`: the measured promises, each as a ratio or a bound in one run on this machine. Ends 1 when one is missed."""

from __future__ import annotations

import argparse
import asyncio
import sys
import tempfile
from collections.abc import Awaitable, Callable
from pathlib import Path

from tests.benchmarks import crowd, diffs, gateway, latency, pages, reading, recovery, sandbox, stream, transcript
from tests.benchmarks.figures import Figure

BENCHES: dict[str, Callable[[Path], Awaitable[list[Figure]]]] = {
    "latency": latency.bench,
    "sandbox": sandbox.bench,
    "gateway": gateway.bench,
    "stream": stream.bench,
    "crowd": crowd.bench,
    "reading": reading.bench,
    "pages": pages.bench,
    "transcript": transcript.bench,
    "diffs": diffs.bench,
    "recovery": recovery.recovery,
    "outage": recovery.outage,
}


def main() -> int:
    parser = argparse.ArgumentParser(prog="python -m tests.benchmarks", description=__doc__)
    parser.add_argument("names", nargs="*", metavar="NAME", help=f"which: {', '.join(BENCHES)} (default: all)")
    names = parser.parse_args().names or list(BENCHES)
    missed = 0
    for name in names:
        with tempfile.TemporaryDirectory(prefix="dispatcher-bench-") as folder:
            for figure in asyncio.run(BENCHES[name](Path(folder))):
                print(figure.line(), flush=True)
                missed += not figure.met
    print(f"{missed} promise(s) missed" if missed else "every promise kept")
    return 1 if missed else 0


if __name__ == "__main__":
    sys.exit(main())
