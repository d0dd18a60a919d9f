"""Answers and failures as lines of the store, and back."""

from __future__ import annotations

import time
from typing import Any

from vasari.endpoint.libraries import orjson
from vasari.endpoint.response import Failure, Response
from vasari.endpoint.usage import Usage


def response_line(key: str, response: Response, model: str, request_id: str, usage: Usage) -> bytes:
    """An answer as one line of JSON."""
    return orjson.dumps(
        {
            "key": key,
            "index": response.index,
            "id": _clean(request_id),
            "model": model,
            "text": response.text,
            "reasoning": response.reasoning,
            "finish_reason": response.finish_reason,
            "limit": response.limit,
            "tokens": [response.input_tokens, response.cached_input_tokens, response.output_tokens],
            "served": response.model,
            "seconds": round(response.seconds, 4),
            "attempts": response.attempts,
            "usage": usage.to_row(),
            "time": round(time.time(), 3),
        },
        option=orjson.OPT_APPEND_NEWLINE,
    )


def response_of(row: dict[str, Any]) -> Response:
    """The inverse of `response_line`."""
    prompt, cached, completion = row["tokens"]
    return Response(
        text=row["text"],
        finish_reason=row["finish_reason"],
        reasoning=row["reasoning"],
        index=row["index"],
        limit=row["limit"],
        input_tokens=prompt,
        cached_input_tokens=cached,
        output_tokens=completion,
        model=row["served"],
        seconds=row["seconds"],
        attempts=row["attempts"],
        from_store=True,
    )


def failure_line(key: str, failure: Failure, model: str, usage: Usage) -> bytes:
    """A failure as one line of JSON."""
    return orjson.dumps(
        {
            "key": key,
            "index": failure.index,
            "id": _clean(failure.request_id),
            "model": model,
            "failure": failure.reason,
            "detail": failure.detail,
            "limit": failure.limit,
            "status": failure.status,
            "attempts": failure.attempts,
            "usage": usage.to_row(),
            "time": round(time.time(), 3),
        },
        option=orjson.OPT_APPEND_NEWLINE,
    )


def failure_of(row: dict[str, Any]) -> Failure:
    """The inverse of `failure_line`."""
    return Failure(
        reason=row["failure"],
        detail=row["detail"],
        request_id=row["id"],
        index=row["index"],
        limit=row["limit"],
        status=row["status"],
        attempts=row["attempts"],
        from_store=True,
    )


def _clean(text: str) -> str:
    """The text without lone surrogates, which JSON cannot hold."""
    return text.encode("utf-8", "replace").decode()
