"""Import of Ray with its usage statistics off; an error says how to install Ray."""

from __future__ import annotations

import os

from vasari.core.errors import MissingExtraError

# Read when Ray starts; a user who wants the statistics sent may still say so.
os.environ.setdefault("RAY_USAGE_STATS_ENABLED", "0")

try:
    import ray
except ImportError as error:  # named here once, so that every way into the package says the same
    raise MissingExtraError("--engine ray needs Ray: pip install 'vasari[ray]'") from error

__all__ = ["ray"]
