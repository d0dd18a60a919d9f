"""Paths of benchmark result files, named after question, machine and day."""

from __future__ import annotations

import datetime
import os
import platform
from pathlib import Path

MACHINE = f"{platform.machine()}-{os.cpu_count()}cpu"
RESULTS = Path(__file__).parent / "results"


def result_file(question: str, folder: Path = RESULTS) -> Path:
    """Return the path of today's result file, making its folder if missing."""
    folder.mkdir(parents=True, exist_ok=True)
    return folder / f"{question}_{MACHINE}_{datetime.date.today().isoformat()}.md"
