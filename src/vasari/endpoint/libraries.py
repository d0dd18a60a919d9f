"""The libraries of the endpoint client, or one line that says how to install them."""

from __future__ import annotations

import base64
from collections.abc import Callable

from vasari.core.errors import MissingExtraError

try:
    import aiohttp
    import orjson
except ImportError as error:  # named here once, so that every way into the package says the same
    raise MissingExtraError(
        f"asking an endpoint needs {error.name}: pip install 'vasari[curate]'"
    ) from error

base64_of: Callable[[bytes], bytes]
"""The data in base64."""
try:
    import pybase64

    # The same bytes in less time, of which images cost most: benchmarks/endpoint_speed.py measures
    # the client with both.
    base64_of = pybase64.b64encode
except ImportError:  # not built for this machine, or an older environment
    base64_of = base64.b64encode

__all__ = ["aiohttp", "base64_of", "orjson"]
