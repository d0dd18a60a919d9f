"""What the processes that `line_process.py` starts have in common: a bound on their memory, and one
JSON line a message.
"""

from __future__ import annotations

import json
import sys
from typing import Any

from vasari.verify.limits import WORKER_MEMORY_BYTES


def limit_memory() -> None:
    """Let the process take `WORKER_MEMORY_BYTES` of addresses; nothing where the system has no such
    limit.
    """
    try:
        import resource  # noqa: PLC0415 - POSIX only
    except ImportError:
        return
    resource.setrlimit(resource.RLIMIT_AS, (WORKER_MEMORY_BYTES, WORKER_MEMORY_BYTES))


def say(message: dict[str, Any]) -> None:
    """Write one message to the parent."""
    sys.stdout.write(json.dumps(message) + "\n")
    sys.stdout.flush()
