"""One event loop for all rollouts."""

from __future__ import annotations

import asyncio
from collections.abc import Coroutine
from typing import Any

_LOOP = asyncio.new_event_loop()


def run(coro: Coroutine[Any, Any, Any]) -> Any:
    """The result of a coroutine."""
    return _LOOP.run_until_complete(coro)
