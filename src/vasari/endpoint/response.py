"""What a server returned: an answer, or a failure with a named reason."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any, Final, Self

import orjson

from vasari.core.errors import DataError, ImageError

FAILURE_REASONS: Final[dict[str, str]] = {
    "rate_limited": "429 to every attempt",
    "server_error": "5xx, or an error in the body of a 200, to every attempt",
    "timeout": "no answer within the time limit",
    "slow_body": "the answer began but did not end within the time limit",
    "no_connection": "the server could not be reached",
    "cut_connection": "the connection ended before the answer did",
    "too_large": "the answer exceeds the size limit",
    "wrong_content_type": "the answer is not JSON by its own word",
    "malformed_json": "the answer is not JSON in fact",
    "not_a_completion": "JSON, but no chat completion",
    "redirected": "3xx: the key is not sent to another address",
    "refused": "4xx: the server will not answer this request",
    "image": "an image of the request is missing or has changed",
    "unreadable_request": "the request cannot be written as JSON",
    "not_sent": "the run stopped before this was asked",
}
"""Why a request has no answer, by name. All but `not_sent` are kept in the store."""

CONGESTION: Final = frozenset(
    {"rate_limited", "server_error", "timeout", "slow_body", "no_connection", "cut_connection"}
)
"""Reasons that load may have caused: fewer requests are then sent at once."""

TRANSIENT: Final = frozenset(
    {
        *CONGESTION,
        "wrong_content_type",
        "malformed_json",
        "not_a_completion",
    }
)
"""Reasons after which the request is sent again; a proxy's error page counts like the 502 behind
it."""

BILLED_PERHAPS: Final = frozenset(
    {
        "timeout",
        "slow_body",
        "cut_connection",
        "too_large",
        "wrong_content_type",
        "malformed_json",
        "not_a_completion",
    }
)
"""Reasons after which a provider may charge for an answer that never arrived whole."""

_TRUNCATED = frozenset({"length", "max_tokens", "MAX_TOKENS"})


@dataclass(frozen=True, slots=True, kw_only=True)
class Response:
    """One answer of a server, with its token counts, time and number of attempts."""

    text: str
    finish_reason: str = ""
    """As the server gives it: `stop`, `length`, `content_filter`, ..."""
    reasoning: str = ""
    """What a reasoning model wrote before its answer, where the server gives it."""
    index: int = 0
    """Number of the answer among those to the same request."""
    limit: int | None = None
    """The `max_tokens` that it was asked with."""
    input_tokens: int = 0
    cached_input_tokens: int = 0
    """Input tokens that the server had in its cache."""
    output_tokens: int = 0
    """Tokens of the answer and its reasoning."""
    model: str = ""
    """Name of the model that answered, as the server gives it."""
    seconds: float = field(default=0.0, compare=False)
    """From sending to the last byte, of the attempt that succeeded."""
    attempts: int = field(default=1, compare=False)
    from_store: bool = field(default=False, compare=False)
    """It was in the store already, and cost nothing now."""

    @property
    def truncated(self) -> bool:
        """Whether the token limit cut the answer."""
        return self.finish_reason in _TRUNCATED

    def to_row(self) -> dict[str, Any]:
        """Return the answer as a dict of the JSON fields that the store keeps."""
        return {
            "text": self.text,
            "reasoning": self.reasoning,
            "finish_reason": self.finish_reason,
            "limit": self.limit,
            "tokens": [self.input_tokens, self.cached_input_tokens, self.output_tokens],
            "served": self.model,
            "seconds": round(self.seconds, 4),
            "attempts": self.attempts,
        }

    @classmethod
    def from_row(cls, row: dict[str, Any]) -> Self:
        """Make an answer from a stored row: the fields of `to_row`, and `index`."""
        prompt, cached, completion = row["tokens"]
        return cls(
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


@dataclass(frozen=True, slots=True, kw_only=True)
class Failure:
    """The reason why a request has no answer, with details."""

    reason: str
    """One of `FAILURE_REASONS`."""
    detail: str = ""
    """What the server or the system said, with the key replaced by "[key]"."""
    request_id: str = ""
    index: int = 0
    limit: int | None = None
    status: int | None = None
    """HTTP status of the last attempt, if there was one."""
    attempts: int = 0
    from_store: bool = field(default=False, compare=False)
    wait_seconds: float | None = field(default=None, compare=False)
    """How long the server asked to wait (`Retry-After`); not stored."""

    @classmethod
    def of_error(cls, error: DataError, *, request_id: str = "", index: int = 0) -> Self:
        """Make the failure of a request that cannot be sent, e.g. for a missing image."""
        reason = "image" if isinstance(error, ImageError) else "unreadable_request"
        return cls(reason=reason, detail=str(error), request_id=request_id, index=index)

    def summary(self) -> dict[str, Any]:
        """Return the failure as a dict for a table: request id, answer number, reason, details."""
        names = ("index", "reason", "detail", "status", "attempts")
        return {"id": self.request_id} | {name: getattr(self, name) for name in names}

    def to_row(self) -> dict[str, Any]:
        """Return the failure as a dict of the JSON fields that the store keeps."""
        return {
            "failure": self.reason,
            "detail": self.detail,
            "limit": self.limit,
            "status": self.status,
            "attempts": self.attempts,
        }

    @classmethod
    def from_row(cls, row: dict[str, Any]) -> Self:
        """Make a failure from a stored row: the fields of `to_row`, `id` and `index`."""
        return cls(
            reason=row["failure"],
            detail=row["detail"],
            request_id=row["id"],
            index=row["index"],
            limit=row["limit"],
            status=row["status"],
            attempts=row["attempts"],
            from_store=True,
        )


def is_raised(limit: int | None, old: int | None) -> bool:
    """Whether a token limit allows more tokens than an old limit; None means no limit."""
    return old is not None and (limit is None or limit > old)


class NoAnswerError(Exception):
    """Raised when an attempt brought no answer; `failure` says why."""

    def __init__(self, reason: str, detail: str, **fields: Any) -> None:
        super().__init__(detail)
        self.failure = Failure(reason=reason, detail=detail, attempts=1, **fields)


def parse_completion(body: bytes, *, seconds: float = 0.0) -> Response:
    """Parse a chat completion's JSON body, which took `seconds`, and return its first choice.

    Raises:
        NoAnswerError: Malformed JSON, an error in place of an answer, or another shape.
    """
    try:
        content = orjson.loads(body)
    except orjson.JSONDecodeError as error:
        raise NoAnswerError("malformed_json", f"{error}; {_glimpse(body)}", status=200) from error
    if not isinstance(content, dict):
        raise NoAnswerError(
            "not_a_completion", f"expected an object, got {_glimpse(body)}", status=200
        )
    if content.get("error"):
        raise NoAnswerError("server_error", f"200 with an error: {error_text(content)}", status=200)
    try:
        choice = content["choices"][0]
        message = choice["message"]
        text = _text(message.get("content"))
        reasoning = message.get("reasoning_content") or message.get("reasoning") or ""
        finish = choice.get("finish_reason") or ""
        prompt, cached, completion = _counts(content.get("usage"))
    except (KeyError, IndexError, TypeError, AttributeError, ValueError, OverflowError) as error:
        raise NoAnswerError(
            "not_a_completion",
            f"no choices[0].message ({error!r}): {_glimpse(body)}",
            status=200,
        ) from error
    return Response(
        text=text or _text(message.get("refusal")),
        finish_reason=str(finish),
        reasoning=reasoning if isinstance(reasoning, str) else "",
        input_tokens=prompt,
        cached_input_tokens=cached,
        output_tokens=completion,
        model=str(content.get("model") or ""),
        seconds=seconds,
    )


def error_text(content: Any) -> str:
    """Return the error message in a server's JSON response, in one line."""
    for names in (("error",), ("message", "code")):
        if isinstance(content, dict):
            content = next((content[name] for name in names if content.get(name)), content)
    return " ".join(str(content).split())[:300]


def _text(content: Any) -> str:
    """The text of a message: a string, nothing, or a list of parts."""
    if content is None:
        return ""
    if isinstance(content, str):
        return content
    if isinstance(content, list):
        return "".join(part["text"] for part in content if part.get("type") == "text")
    raise TypeError(f"content is a {type(content).__name__}")


def _counts(usage: Any) -> tuple[int, int, int]:
    """Input tokens, input tokens from a cache, and output tokens; 0 where the server gives none."""
    if not isinstance(usage, dict):
        return 0, 0, 0
    details = usage.get("prompt_tokens_details")
    cached = details.get("cached_tokens") if isinstance(details, dict) else 0
    given = usage.get("prompt_tokens"), cached, usage.get("completion_tokens")
    # A count beyond any context would not fit the store's integers.
    prompt, cached, completion = (min(max(0, int(value or 0)), 10**9) for value in given)
    return prompt, min(cached, prompt), completion


def _glimpse(body: bytes) -> str:
    shown = body[:80].decode("utf-8", "replace")
    return f"{len(body):,} bytes that begin with {shown!r}"
