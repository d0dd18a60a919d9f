"""Requests as plain records, the hash that identifies them in the store, and the bytes sent.

The key names what decides an answer: model, messages, images by content, sampling, seed. What only
limits the answer (`max_tokens`) or only labels the row (`id`) stays outside, so that raising a
limit does not buy everything again.
"""

from __future__ import annotations

import hashlib
import json
import re
import secrets
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from functools import cached_property
from typing import Any, Literal

import orjson

from vasari.core.errors import DataError
from vasari.core.records import ImageRef

Role = Literal["system", "developer", "user", "assistant"]

LimitField = Literal["max_tokens", "max_completion_tokens"]
"""Name of the token limit's field; OpenAI's reasoning models take the second only."""

KEY_VERSION = 1
"""Part of every key: a change of the canonical form must not find old answers."""

OWN_FIELDS = frozenset(
    {
        "model",
        "messages",
        "temperature",
        "top_p",
        "stop",
        "seed",
        "max_tokens",
        "max_completion_tokens",
        "n",
        "stream",
    }
)
"""Fields that `Sampling.extra` may not set: they have their own place, or would change the form of
the answer."""

_KEY_FIELDS = frozenset(
    {"api_key", "api-key", "apikey", "key", "authorization", "access_token", "password", "secret"}
)

_MEDIA_TYPE = re.compile(r"[a-z]+/[a-z0-9.+-]+")

# Stands for an image until the rest is JSON; being random, it is in no text.
_MARK = secrets.token_hex(16)
_MARK_BYTES = _MARK.encode()

# The standard library writes floats by repr, which has not changed in ten years: keys outlive
# versions of orjson.
_CANONICAL = json.JSONEncoder(
    sort_keys=True, separators=(",", ":"), ensure_ascii=False, allow_nan=False
)


@dataclass(frozen=True, slots=True, kw_only=True)
class Image:
    """Image in a message, identified by the hash of its bytes; made by `image_part`."""

    digest: str
    """SHA-256 of the encoded bytes, in hex."""
    media_type: str
    """`image/png`, ..."""
    detail: str | None = None
    """OpenAI's `low` or `high`; None leaves it to the server."""
    ref: ImageRef | None = field(default=None, compare=False, repr=False)
    """Where the bytes are, which sending needs and the key does not."""

    def __post_init__(self) -> None:
        if not _MEDIA_TYPE.fullmatch(self.media_type):
            raise DataError(f"an image's media type is like 'image/png', got {self.media_type!r}")


@dataclass(frozen=True, slots=True, kw_only=True)
class Message:
    """One turn of a conversation: the role, and texts and images in order."""

    role: Role
    parts: tuple[str | Image, ...]

    def __post_init__(self) -> None:
        if isinstance(self.parts, str):  # type: ignore[unreachable]  # not every caller checks types
            raise DataError(
                "a message's parts are a tuple of texts and images, got the text"
                f" {self.parts[:40]!r} itself"
            )


@dataclass(frozen=True, slots=True, kw_only=True)
class Sampling:
    """Sampling parameters of a request; all but `max_tokens` must match to reuse stored answers."""

    temperature: float | None = None
    """None leaves it to the server, as with all these fields."""
    top_p: float | None = None
    stop: tuple[str, ...] = ()
    max_tokens: int | None = None
    """A limit: raising it asks only those again whose answer was truncated."""
    extra: Mapping[str, Any] = field(default_factory=dict)
    """Further JSON fields as the server takes them: `top_k`, `response_format`,
    `chat_template_kwargs`, ..."""

    def __post_init__(self) -> None:
        if self.max_tokens is not None and self.max_tokens < 1:
            raise DataError(f"max_tokens must be at least 1 or None, got {self.max_tokens}")
        if taken := sorted(OWN_FIELDS & set(self.extra)):
            raise DataError(
                f"sampling.extra may not set {taken}: they have fields of their own, or change the"
                " answer's form"
            )
        if keys := sorted(name for name in self.extra if name.lower() in _KEY_FIELDS):
            raise DataError(
                f"sampling.extra may not set {keys}: a key belongs into an environment variable"
                " (api_key_env)"
            )
        try:
            if self.extra:
                _CANONICAL.encode(dict(self.extra))
        except (TypeError, ValueError) as error:
            raise DataError(f"sampling.extra is not JSON: {error}") from error


def checked_extra(extra: Mapping[str, Any]) -> Mapping[str, Any]:
    """Return a recipe's further fields of requests; raise ValueError where they cannot be sent."""
    try:
        Sampling(extra=dict(extra))
    except DataError as error:
        raise ValueError(str(error)) from error
    return extra


@dataclass(frozen=True, kw_only=True)
class Request:
    """Request to a model: the conversation to continue, sampling parameters and a seed."""

    model: str
    messages: tuple[Message, ...]
    sampling: Sampling = field(default_factory=Sampling)
    seed: int | None = None
    """Sent with the first answer; further answers to the same request get seeds derived from it."""
    id: str = field(default="", compare=False)
    """The caller's name for the row, for failures and batch files; not part of the key."""

    def __post_init__(self) -> None:
        if not self.messages:
            raise DataError(f"request {self.id!r} has no messages")

    @cached_property
    def key(self) -> str:
        """Hash of the request's JSON text, 128 bits in hex, by which the store identifies it."""
        return hashlib.blake2b(
            canonical(self).encode("utf-8", "surrogatepass"), digest_size=16
        ).hexdigest()

    @cached_property
    def images(self) -> tuple[Image, ...]:
        """All images of the request, in the order in which they are sent."""
        return tuple(
            part for message in self.messages for part in message.parts if isinstance(part, Image)
        )

    @cached_property
    def text_bytes(self) -> int:
        """Number of UTF-8 bytes in all texts of the request."""
        texts = (
            part for message in self.messages for part in message.parts if isinstance(part, str)
        )
        return sum(len(text.encode("utf-8", "replace")) for text in texts)


def user_message(text: str, images: Sequence[Image] = ()) -> Message:
    """Return a user message: the images first, then the text."""
    return Message(role="user", parts=(*images, text))


def canonical(request: Request) -> str:
    """Return a request's JSON text for the hash `Request.key`: images by hash, no token limit."""
    sampling = request.sampling
    return _CANONICAL.encode(
        {
            "version": KEY_VERSION,
            "model": request.model,
            "messages": [
                [message.role, [_canonical_part(part) for part in message.parts]]
                for message in request.messages
            ],
            "temperature": _real(sampling.temperature),
            "top_p": _real(sampling.top_p),
            "stop": sampling.stop,
            "extra": dict(sampling.extra),
            "seed": None if request.seed is None else int(request.seed),
        }
    )


def rollout_seed(seed: int | None, index: int) -> int | None:
    """Seed of a request's `index`-th answer: `seed` for index 0, else a 31-bit hash of both."""
    return seed if seed is None or index == 0 else hashed_seed(f"{seed}:{index}")


def hashed_seed(text: str) -> int:
    """Return a 31-bit seed that is the hash of a text."""
    return int.from_bytes(hashlib.blake2b(text.encode(), digest_size=4).digest(), "big") >> 1


def wire_body(
    request: Request,
    index: int,
    encoded: Sequence[bytes],
    *,
    limit_field: LimitField = "max_tokens",
) -> bytes:
    """Return the JSON body of a chat completion request, with images in base64.

    Args:
        request: What is asked.
        index: Number of the answer, which decides the seed.
        encoded: Base64 of each of the request's images, in order.
        limit_field: What the server calls `max_tokens`.

    Raises:
        DataError: A text is not valid Unicode.
    """
    sampling = request.sampling
    body: dict[str, Any] = {
        "model": request.model,
        "messages": [
            {"role": message.role, "content": _content(message)} for message in request.messages
        ],
    }
    if sampling.temperature is not None:
        body["temperature"] = sampling.temperature
    if sampling.top_p is not None:
        body["top_p"] = sampling.top_p
    if sampling.stop:
        body["stop"] = sampling.stop
    if sampling.max_tokens is not None:
        body[limit_field] = sampling.max_tokens
    if request.seed is not None:
        body["seed"] = rollout_seed(request.seed, index)
    body.update(sampling.extra)
    try:
        first, *others = orjson.dumps(body).split(_MARK_BYTES)
    except orjson.JSONEncodeError as error:
        raise DataError(f"request {request.id!r} cannot be written as JSON: {error}") from error
    # Base64 needs no search for characters to escape, and is copied once.
    pieces = [first]
    for image, data, text in zip(request.images, encoded, others, strict=True):
        pieces += (b"data:", image.media_type.encode(), b";base64,", data, text)
    return b"".join(pieces)


def _real(value: float | None) -> float | None:
    """A float in one form: 1 as 1.0, and -0.0 as 0.0."""
    return None if value is None else float(value) + 0.0


def _canonical_part(part: str | Image) -> str | dict[str, str | None]:
    if isinstance(part, str):
        return part
    return {"detail": part.detail, "image": part.digest, "media_type": part.media_type}


def _content(message: Message) -> str | list[dict[str, Any]]:
    """A message's content in OpenAI's form, with a mark in the place of each image's data."""
    if len(message.parts) == 1 and isinstance(message.parts[0], str):
        # Servers that take no lists, and chat templates that take no parts, take this.
        return message.parts[0]
    return [_part(part) for part in message.parts]


def _part(part: str | Image) -> dict[str, Any]:
    if isinstance(part, str):
        return {"type": "text", "text": part}
    return {
        "type": "image_url",
        "image_url": (
            {"url": _MARK} if part.detail is None else {"url": _MARK, "detail": part.detail}
        ),
    }
