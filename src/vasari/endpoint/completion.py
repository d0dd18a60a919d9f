"""Reading a chat completion: the text of its first choice, whatever stands beside it."""

from __future__ import annotations

import json
import math
from typing import Any

import orjson

from vasari.core.secrets import blot_pieces
from vasari.endpoint.response import NoAnswerError, Response, failure_of_status

_MOST_TOKENS = 10**9
"""A count beyond any context would not fit the store's integers."""

_MOST_NAME = 200
"""Characters that are kept of a name: of the model, or of why it ended."""

_SHOWN = 300
"""Characters of a server's message that are kept."""


def parse_completion(body: bytes, *, seconds: float = 0.0) -> Response:
    """Parse a chat completion's JSON body, which took `seconds`, and return its first choice.

    A field beside the text (usage, id, log-probabilities, ...) never costs the answer.

    Raises:
        NoAnswerError: Malformed JSON, an error in place of an answer, or another shape.
    """
    try:
        content = read_json(body)
    except ValueError as error:
        raise NoAnswerError("malformed_json", f"{error}; {glimpse(body)}", status=200) from error
    if not isinstance(content, dict):
        raise NoAnswerError(
            "not_a_completion", f"expected an object, got {glimpse(body)}", status=200
        )
    choice = _choice(content.get("choices"))
    finish = choice.get("finish_reason") if choice is not None else None
    if content.get("error") and (choice is None or finish == "error" or not _said(choice)):
        raise _error_in_body(content)
    if choice is None:
        raise NoAnswerError(
            "not_a_completion", f"no choices[0].message: {glimpse(body)}", status=200
        )
    if finish == "error":
        raise _error_in_body(choice if choice.get("error") else content)
    message = choice["message"]
    text, declined = _text(message.get("content")), _text(message.get("refusal"))
    if not text and declined and finish in (None, "", "stop"):
        finish = "refusal"
    prompt, cached, completion = _counts(content.get("usage"))
    return Response(
        text=blot_pieces(text or declined, words=True),
        finish_reason=_name(finish),
        reasoning=blot_pieces(_reasoning(message), words=True),
        input_tokens=prompt,
        cached_input_tokens=cached,
        output_tokens=completion,
        model=_name(content.get("model")),
        seconds=seconds,
    )


def read_json(body: bytes) -> Any:
    """Return the content of a server's JSON; more is accepted than the standard allows.

    Python's own servers write NaN and -Infinity for log-probabilities, and half a character where
    the token limit cut one.

    Raises:
        ValueError: It is not JSON.
    """
    try:
        return orjson.loads(body)
    except orjson.JSONDecodeError as error:
        try:
            return json.loads(body.decode("utf-8-sig", "replace"), parse_int=_integer)
        except (ValueError, RecursionError):
            raise error from None


def error_text(content: Any) -> str:
    """Return the error message in a server's JSON response, in one line."""
    if isinstance(content, list) and len(content) == 1:
        content = content[0]
    for names in (("error",), ("message", "code")):
        if isinstance(content, dict):
            content = next((content[name] for name in names if content.get(name)), content)
    return " ".join(str(content).split())[:_SHOWN]


def error_codes(content: Any) -> frozenset[str]:
    """Return the codes and types that a server's error names, in lower case."""
    if isinstance(content, list) and content:  # Gemini's
        content = content[0]
    found = content.get("error") if isinstance(content, dict) else None
    levels = [content, found]
    if isinstance(found, dict):
        levels += [found.get("innererror"), found.get("inner_error"), found.get("metadata")]
    values = (
        level.get(name)
        for level in levels
        if isinstance(level, dict)
        for name in ("code", "type", "status", "error_type")
    )
    return frozenset(str(value).lower() for value in values if isinstance(value, str | int))


def glimpse(body: bytes) -> str:
    """Return a body's size and its beginning, to show in a message."""
    shown = body[:80].decode("utf-8", "replace")
    return f"{len(body):,} bytes that begin with {shown!r}"


def _error_in_body(content: dict[str, Any]) -> NoAnswerError:
    """The failure that stands for an error in the body of a 200; gateways keep its status there."""
    detail, codes = error_text(content), error_codes(content)
    status = next((int(code) for code in codes if code.isdecimal() and len(code) == 3), 500)
    reason = failure_of_status(status if status >= 400 else 500, codes)
    return NoAnswerError(reason, f"200 with an error: {detail}", status=200)


def _choice(choices: Any) -> dict[str, Any] | None:
    """The first choice that has a message."""
    for choice in choices if isinstance(choices, list) else ():
        if isinstance(choice, dict) and isinstance(choice.get("message"), dict):
            return choice
    return None


def _said(choice: dict[str, Any]) -> str:
    return _text(choice["message"].get("content"))


def _text(content: Any) -> str:
    """The text of a message: a string, or the texts in a list of parts."""
    if isinstance(content, str):
        return _whole(content)
    parts = content if isinstance(content, list) else [content]
    texts = (
        part if isinstance(part, str) else part.get("text")
        for part in parts
        if isinstance(part, str)
        or (isinstance(part, dict) and part.get("type", "text") in ("text", "output_text"))
    )
    return "".join(_whole(text) for text in texts if isinstance(text, str))


def _reasoning(message: dict[str, Any]) -> str:
    for name in ("reasoning_content", "reasoning"):
        if isinstance(message.get(name), str) and message[name]:
            return _whole(message[name])
    return ""


def _name(value: Any) -> str:
    return blot_pieces(_whole(value))[:_MOST_NAME] if isinstance(value, str) else ""


def _whole(text: str) -> str:
    """A text without halves of characters, which no file can hold."""
    try:
        text.encode()
    except UnicodeEncodeError:
        return text.encode("utf-16", "surrogatepass").decode("utf-16", "replace")
    return text


def _counts(usage: Any) -> tuple[int, int, int]:
    """Input tokens, input tokens from a cache, and output tokens; 0 where the server gives none."""
    if not isinstance(usage, dict):
        return 0, 0, 0
    details = usage.get("prompt_tokens_details")
    cached = _count(details.get("cached_tokens")) if isinstance(details, dict) else 0
    prompt = _count(usage.get("prompt_tokens"))
    return prompt, min(cached, prompt), _count(usage.get("completion_tokens"))


def _count(value: Any) -> int:
    """A number of tokens; 0 for anything else, as where the server does not count."""
    try:
        number = float(value) if isinstance(value, int | float | str) else 0.0
    except (ValueError, OverflowError):
        return 0
    return int(min(number, _MOST_TOKENS)) if number > 0 and not math.isnan(number) else 0


def _integer(digits: str) -> int | float:
    return int(digits) if len(digits) < 19 else float(digits)
