"""The two libraries of the endpoint client, or one line that says how to install them."""

from __future__ import annotations

from vasari.errors import MissingExtraError

try:
    import aiohttp
    import orjson
except ImportError as error:  # named here once, so that every way into the package says the same
    raise MissingExtraError(f"asking an endpoint needs {error.name}: pip install 'vasari[curate]'") from error

__all__ = ["aiohttp", "orjson"]
