"""Where benchmarks write their results: a file named after question, machine and day."""

from __future__ import annotations

import datetime
import os
import platform
from pathlib import Path

MACHINE = f"{platform.machine()}-{os.cpu_count()}cpu"
RESULTS = Path(__file__).parent / "results"


def result_file(question: str, folder: Path = RESULTS) -> Path:
    """The file of today's result in the folder, which is made if it is missing."""
    folder.mkdir(parents=True, exist_ok=True)
    return folder / f"{question}_{MACHINE}_{datetime.date.today().isoformat()}.md"
