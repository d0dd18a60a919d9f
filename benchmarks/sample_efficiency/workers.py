"""Run each cell (training run) in a process of its own, with its own log."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from collections import deque
from collections.abc import Sequence
from pathlib import Path

from sample_efficiency.study import Cell

_SCRIPT = Path(__file__).parents[1] / "sample_efficiency.py"


def run_cells(cells: Sequence[Cell], *, jobs: int) -> list[Cell]:
    """Run cells (training runs) in order, `jobs` at a time, and return those that failed."""
    waiting, running, failed = deque(cells), {}, []
    done, started = 0, time.monotonic()
    signal.signal(
        signal.SIGTERM, lambda *_: sys.exit(1)
    )  # so that `finally` ends the cells as well
    try:
        while waiting or running:
            while waiting and len(running) < jobs:
                cell = waiting.popleft()
                running[_start(cell)] = cell
            time.sleep(0.2)
            for process in [process for process in running if process.poll() is not None]:
                cell, done = running.pop(process), done + 1
                hours = (time.monotonic() - started) / 3600
                left = hours / done * (len(cells) - done)
                ok = process.returncode == 0 and cell.curve_path.exists()
                state = "done" if ok else f"FAILED, see {cell.folder / 'log.txt'}"
                print(
                    f"{done}/{len(cells)} {cell.name}: {state}; {hours:.2f} h, about {left:.2f} h"
                    " left",
                    flush=True,
                )
                if not ok:
                    failed.append(cell)
    finally:
        for process in running:
            process.terminate()
    return failed


def _start(cell: Cell) -> subprocess.Popen[bytes]:
    cell.prepare()
    threads = {"OMP_NUM_THREADS": "1", "MKL_NUM_THREADS": "1", "TOKENIZERS_PARALLELISM": "false"}
    with (cell.folder / "log.txt").open("ab") as log:
        return subprocess.Popen(
            [sys.executable, str(_SCRIPT), "--run-cell", str(cell.folder)],
            stdout=log,
            stderr=subprocess.STDOUT,
            env=os.environ | threads,
        )
