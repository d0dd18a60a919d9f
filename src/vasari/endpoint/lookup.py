"""Whether a request has its answer already."""

from __future__ import annotations

from collections.abc import Collection
from dataclasses import replace

from vasari.endpoint.request import Request
from vasari.endpoint.response import Failure, Response
from vasari.endpoint.store import ResponseStore


def look_up(
    store: ResponseStore, request: Request, index: int, *, retry_failed: Collection[str] = ()
) -> Response | Failure | None:
    """What the store says of answer number `index`; None where the request must be asked.

    A truncated answer does not count once the limit has been raised. A failure counts, unless its
    reason is in `retry_failed`; one at a raised limit leaves the truncated answer in the store for
    runs with the old limit.
    """
    response = store.get(request.key, index)
    limit = request.sampling.max_tokens
    if response is not None and not (response.truncated and is_raised(limit, response.limit)):
        return response
    failure = store.get_failure(request.key, index)
    if failure is None or failure.reason in retry_failed:
        return None
    if response is not None and is_raised(limit, failure.limit):
        return None
    return replace(failure, request_id=request.id)


def is_raised(limit: int | None, old: int | None) -> bool:
    """Whether a limit allows more than an old one; None is no limit."""
    return old is not None and (limit is None or limit > old)
