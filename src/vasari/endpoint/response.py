"""What a server returned: an answer, or a failure with a named reason."""

from __future__ import annotations

from collections.abc import Collection
from dataclasses import dataclass, field
from typing import Any, Final, Self

from vasari.core.errors import DataError, ImageError
from vasari.core.secrets import blot_pieces
from vasari.endpoint.declining import declines

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
    "withheld": "a content filter kept the answer, or a part of it",
    "declined": "the model declined to answer",
    "empty": "the answer has no text",
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

FINAL: Final = frozenset({"too_large"})
"""Reasons that are the model's own: it wrote without end. Such a request is not sent again, unless
`max_response_bytes` has been raised."""

RETRIABLE: Final = frozenset(FAILURE_REASONS) - FINAL - {"not_sent"}
"""Reasons that a key, an address, a quota, a filter, a proxy or a file caused: `--retry-failed`
sends these again."""

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

_TRUNCATED = frozenset({"length", "max_tokens"})
_FILTERED = frozenset(
    {
        "content_filter",
        "content-filter",
        "safety",
        "recitation",
        "prohibited_content",
        "blocklist",
        "spii",
        "image_safety",
        "sensitive",
    }
)
"""Finish reasons of a content filter: OpenAI's, Gemini's, GLM's."""

_FILTER_CODES = ("content_filter", "content_policy", "responsibleaipolicy", "moderation")
_QUOTA_CODES = frozenset(
    {"insufficient_quota", "billing_hard_limit_reached", "insufficient_balance"}
)
"""Codes of a 429 that no waiting mends."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Response:
    """One answer of a server, with its token counts, time and number of attempts."""

    text: str
    finish_reason: str = ""
    """As the server gives it: `stop`, `length`, `content_filter`, ...; `refusal` where the model
    declined in the field for it."""
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
        return self.finish_reason.lower() in _TRUNCATED

    @property
    def fault(self) -> str:
        """Why this is no answer of the model (`withheld`, `declined`, `empty`); "" if it is one."""
        finish = self.finish_reason.lower()
        if finish in _FILTERED:
            return "withheld"
        if finish == "refusal":
            return "declined"
        if self.truncated:
            return ""
        return ("declined" if declines(self.text) else "") if self.text.strip() else "empty"

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
    server: str = ""
    """Address that was asked; "" where that is not known. A failure counts for this server only."""
    most_bytes: int | None = None
    """The `max_response_bytes` that the answer exceeded, if that was the reason."""
    key: str = ""
    """The request's key."""
    attempts: int = 0
    from_store: bool = field(default=False, compare=False)
    wait_seconds: float | None = field(default=None, compare=False)
    """How long the server asked to wait (`Retry-After`); not stored."""

    @classmethod
    def of_error(cls, error: DataError, *, request_id: str = "", index: int = 0) -> Self:
        """Make the failure of a request that cannot be sent, e.g. for a missing image."""
        reason = "image" if isinstance(error, ImageError) else "unreadable_request"
        return cls(reason=reason, detail=str(error), request_id=request_id, index=index)

    @classmethod
    def of_faulty(cls, response: Response, **fields: Any) -> Self:
        """Make the failure of an answer that is none of the model: filtered, declined or empty."""
        said = f"finish_reason {response.finish_reason or 'not given'!r}"
        if response.text.strip():
            said += f": {' '.join(response.text.split())[:200]}"
        return cls(
            reason=response.fault,
            detail=said,
            index=response.index,
            limit=response.limit,
            status=200,
            attempts=response.attempts,
            from_store=response.from_store,
            **fields,
        )

    def summary(self) -> dict[str, Any]:
        """Return the failure as a dict for a table: request id, answer number, reason, details."""
        names = ("index", "reason", "detail", "status", "attempts", "key")
        return {"id": self.request_id} | {name: getattr(self, name) for name in names}

    def to_row(self) -> dict[str, Any]:
        """Return the failure as a dict of the JSON fields that the store keeps."""
        return {
            "failure": self.reason,
            "detail": self.detail,
            "limit": self.limit,
            "status": self.status,
            "attempts": self.attempts,
            **({"server": self.server} if self.server else {}),
            **({"most_bytes": self.most_bytes} if self.most_bytes else {}),
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
            server=row.get("server", ""),
            most_bytes=row.get("most_bytes"),
            key=row["key"],
            from_store=True,
        )


def is_raised(limit: int | None, old: int | None) -> bool:
    """Whether a token limit allows more tokens than an old limit; None means no limit."""
    return old is not None and (limit is None or limit > old)


def failure_of_status(status: int, codes: Collection[str] = ()) -> str:
    """Return the reason of failure that an HTTP status other than 2xx, and its codes, stand for.

    Args:
        status: Of the answer.
        codes: Codes and types that the error names, in lower case.
    """
    if 300 <= status < 400:
        return "redirected"
    if any(name in code for code in codes for name in _FILTER_CODES):
        return "withheld"
    if status == 401:
        return "unauthorised"
    if status == 429:
        return "refused" if _QUOTA_CODES & set(codes) else "rate_limited"
    return "server_error" if status in (408, 409, 425) or status >= 500 else "refused"


class NoAnswerError(Exception):
    """Raised when an attempt brought no answer; `failure` says why."""

    def __init__(self, reason: str, detail: str, **fields: Any) -> None:
        detail = blot_pieces(detail)  # of the server: it may repeat the key
        super().__init__(detail)
        self.failure = Failure(reason=reason, detail=detail, attempts=1, **fields)
