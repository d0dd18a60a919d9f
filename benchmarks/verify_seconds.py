"""How many processor seconds does `verify_answer` take for sets of arguments?

    PYTHONPATH=CHECKOUT/src python benchmarks/verify_seconds.py FILE

FILE is JSON: lists of [response, answer, choices, kind] by name. Prints the seconds by name, as
JSON; its worker's are counted, but not its start. `verify_speed.py` runs it on two checkouts in
turns.
"""

from __future__ import annotations

import json
import sys
from pathlib import Path

import psutil

from vasari.verify import verify_answer
from vasari.verify.symbolic import shared_worker


def used() -> float:
    """Return the processor seconds of this process and its children so far."""
    me = psutil.Process()
    return sum(sum(process.cpu_times()[:2]) for process in (me, *me.children()))


def main() -> None:
    """Judge all sets and print the seconds."""
    sets = json.loads(Path(sys.argv[1]).read_text(encoding="utf-8"))
    shared_worker().compare("x", "x")
    seconds = {}
    for name, rows in sets.items():
        start = used()
        for row in rows:
            verify_answer(*row)
        seconds[name] = used() - start
    print(json.dumps(seconds))


if __name__ == "__main__":
    main()
