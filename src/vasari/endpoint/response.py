"""What came back: an answer, or a failure with a name."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any, Final

from vasari.endpoint.libraries import orjson

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
"""Why there is no answer. All but `not_sent` are kept in the store."""

TRANSIENT: Final = frozenset(
    {
        *(
            "rate_limited",
            "server_error",
            "timeout",
            "slow_body",
            "no_connection",
            "cut_connection",
        ),
        *("wrong_content_type", "malformed_json", "not_a_completion"),
    }
)
"""Reasons for which the same attempt is made again: a proxy's error page is as passing as the 502
that it stands for."""

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
    """One answer."""

    text: str
    finish_reason: str = ""
    """As the server says: `stop`, `length`, `content_filter`, ..."""
    reasoning: str = ""
    """What a reasoning model wrote before its answer, where the server gives it."""
    index: int = 0
    """Number of the answer among those to the same request."""
    limit: int | None = None
    """The `max_tokens` that it was asked with."""
    input_tokens: int = 0
    cached_input_tokens: int = 0
    """Those of the input tokens that the server had in its cache."""
    output_tokens: int = 0
    """Reasoning included."""
    model: str = ""
    """What the server calls the model that answered."""
    seconds: float = field(default=0.0, compare=False)
    """From sending to the last byte, of the attempt that succeeded."""
    attempts: int = field(default=1, compare=False)
    from_store: bool = field(default=False, compare=False)
    """It was already there, and cost nothing now."""

    @property
    def truncated(self) -> bool:
        """Whether the token limit ended it."""
        return self.finish_reason in _TRUNCATED


@dataclass(frozen=True, slots=True, kw_only=True)
class Failure:
    """Why there is no answer."""

    reason: str
    """One of `FAILURE_REASONS`."""
    detail: str = ""
    """What was seen, for a person; the key is blotted out."""
    request_id: str = ""
    index: int = 0
    limit: int | None = None
    status: int | None = None
    """HTTP status of the last attempt, if there was one."""
    attempts: int = 0
    from_store: bool = field(default=False, compare=False)


class NotACompletionError(Exception):
    """The body is not a chat completion; `reason` is the failure's name."""

    def __init__(self, reason: str, detail: str) -> None:
        super().__init__(detail)
        self.reason = reason


def parse_completion(
    body: bytes,
    *,
    index: int = 0,
    limit: int | None = None,
    seconds: float = 0.0,
    attempts: int = 1,
) -> Response:
    """The first choice of a chat completion.

    Args:
        body: The JSON.
        index: Number of the answer, and with the others what `Response` says of how it was asked.
        limit: The `max_tokens`.
        seconds: From sending to the last byte.
        attempts: How many it took.

    Raises:
        NotACompletionError: Malformed JSON, an error in place of an answer, or another shape.
    """
    try:
        content = orjson.loads(body)
    except orjson.JSONDecodeError as error:
        raise NotACompletionError("malformed_json", f"{error}; {_glimpse(body)}") from error
    if not isinstance(content, dict):
        raise NotACompletionError("not_a_completion", f"expected an object, got {_glimpse(body)}")
    if content.get("error"):
        raise NotACompletionError(
            "server_error", f"200 with an error: {error_text(content['error'])}"
        )
    try:
        choice = content["choices"][0]
        message = choice["message"]
        text = _text(message.get("content"))
        reasoning = message.get("reasoning_content") or message.get("reasoning") or ""
        finish = choice.get("finish_reason") or ""
        counts = _counts(content.get("usage"))
    except (KeyError, IndexError, TypeError, AttributeError, ValueError, OverflowError) as error:
        raise NotACompletionError(
            "not_a_completion", f"no choices[0].message ({error!r}): {_glimpse(body)}"
        ) from error
    return Response(
        text=text or _text(message.get("refusal")),
        finish_reason=str(finish),
        reasoning=reasoning if isinstance(reasoning, str) else "",
        input_tokens=counts[0],
        cached_input_tokens=counts[1],
        output_tokens=counts[2],
        model=str(content.get("model") or ""),
        index=index,
        limit=limit,
        seconds=seconds,
        attempts=attempts,
    )


def error_text(error: Any) -> str:
    """What an error object says, in one line."""
    if isinstance(error, dict):
        error = error.get("message") or error.get("code") or error
    return " ".join(str(error).split())[:300]


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
    """Input tokens, those of them from a cache, output tokens; zeros when the server does not
    say.
    """
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
