"""Sending one request over HTTP, in bounded time and memory; gives an answer or a failure."""

from __future__ import annotations

import asyncio
import datetime
import os
import time
from dataclasses import replace
from typing import Literal

import aiohttp
import orjson

from vasari.core.errors import ConfigError
from vasari.endpoint.limits import retry_after
from vasari.endpoint.response import (
    Failure,
    NoAnswerError,
    Response,
    error_text,
    parse_completion,
)
from vasari.endpoint.settings import EndpointSettings

REDACTED = "[key]"

SHORTEST_KEY = 8
"""A shorter key could be part of ordinary words, and replacing it would damage answers."""

_ERROR_BYTES = 4096
"""Bytes that are read of an error's body, for its message."""

_MOST_HEADER_BYTES = 64 * 2**10


class Secret:
    """API key of a server; appears in the request header only, never in `repr` or a pickle."""

    __slots__ = ("__value",)

    def __init__(self, value: str | None) -> None:
        self.__value = value

    @classmethod
    def from_environment(cls, name: str | None) -> Secret:
        """Read the API key from the environment variable `name`; None means no key.

        Raises:
            ConfigError: The variable is not set, or what it holds cannot be a key.
        """
        if name is None:
            return cls(None)
        value = os.environ.get(name, "").strip()
        if not value:
            raise ConfigError(
                f"the environment variable {name} (api_key_env) is not set; it must hold the"
                " server's key"
            )
        printable = value.isascii() and value.isprintable() and " " not in value
        if len(value) < SHORTEST_KEY or not printable:
            raise ConfigError(
                f"the environment variable {name} (api_key_env) holds no key: "
                f"a key has at least {SHORTEST_KEY} printable ASCII characters and no space"
            )
        return cls(value)

    def header(self, style: Literal["authorization", "api-key"]) -> dict[str, str]:
        """Return the HTTP header that carries the API key; empty without a key."""
        if self.__value is None:
            return {}
        return (
            {"Authorization": f"Bearer {self.__value}"}
            if style == "authorization"
            else {"api-key": self.__value}
        )

    def redact(self, text: str) -> str:
        """Return a text with the API key replaced by "[key]", as servers repeat it in errors."""
        return text if self.__value is None else text.replace(self.__value, REDACTED)

    def __repr__(self) -> str:
        return "Secret()" if self.__value is None else f"Secret({REDACTED})"

    def __reduce__(self) -> str:
        raise TypeError("a key is not pickled")


class Transport:
    """Pool of HTTP connections to one server.

    Raises:
        ConfigError: The key's variable is not set, or what it holds cannot be a key.
    """

    def __init__(self, settings: EndpointSettings) -> None:
        self._settings = settings
        self._secret = Secret.from_environment(settings.api_key_env)
        self._url = f"{settings.base_url}/chat/completions"
        self._session: aiohttp.ClientSession | None = None

    async def open(self) -> None:
        """Open the pool of connections, within the event loop that uses it."""
        settings = self._settings
        self._session = aiohttp.ClientSession(
            connector=aiohttp.TCPConnector(
                limit=settings.max_concurrency, keepalive_timeout=15.0, ttl_dns_cache=300
            ),
            # No compression: a small answer must not unpack to a large one, and it costs time.
            headers={
                "Content-Type": "application/json",
                "Accept": "application/json",
                "Accept-Encoding": "identity",
            }
            | self._secret.header(settings.auth_header),
            timeout=aiohttp.ClientTimeout(
                total=settings.timeout_seconds, sock_connect=settings.connect_seconds
            ),
            cookie_jar=aiohttp.DummyCookieJar(),
            max_line_size=_MOST_HEADER_BYTES,
            max_field_size=_MOST_HEADER_BYTES,
        )

    async def close(self) -> None:
        """Close all connections."""
        if self._session is not None:
            await self._session.close()

    async def post(self, body: bytes) -> Response | Failure:
        """Send one chat completion request; return the answer, or a failure if none came.

        Raises:
            asyncio.CancelledError: It was cancelled.
        """
        started = time.perf_counter()
        redact = self._secret.redact
        try:
            answer = await self._exchange(body)
            seconds = time.perf_counter() - started
            response = parse_completion(answer, seconds=seconds)
        except NoAnswerError as error:
            return replace(error.failure, detail=redact(error.failure.detail))
        text, reasoning = redact(response.text), redact(response.reasoning)
        if (text, reasoning) == (response.text, response.reasoning):
            return response
        return replace(response, text=text, reasoning=reasoning)

    async def _exchange(self, body: bytes) -> bytes:
        """The body of an answer with status 200.

        Raises:
            NoAnswerError: Anything else.
        """
        if self._session is None:
            raise RuntimeError("the client is used outside of `async with`")
        began = False
        try:
            async with self._session.post(self._url, data=body, allow_redirects=False) as answer:
                began = True
                if answer.status != 200:
                    raise await self._refusal(answer)
                kind = answer.content_type
                if kind != "application/json" and not kind.endswith("+json"):
                    shown = (await _beginning(answer, 80)).decode("utf-8", "replace")
                    raise NoAnswerError("wrong_content_type", f"{kind}: {shown!r}", status=200)
                return await self._read(answer)
        except aiohttp.ConnectionTimeoutError:
            raise NoAnswerError(
                "no_connection", f"no connection after {self._settings.connect_seconds:g} s"
            ) from None
        except TimeoutError:  # aiohttp's own time-outs are of this kind
            limit = f"after {self._settings.timeout_seconds:g} s"
            if began:
                raise NoAnswerError(
                    "slow_body", f"the answer had begun but not ended {limit}", status=200
                ) from None
            raise NoAnswerError("timeout", f"no answer {limit}") from None
        except aiohttp.ClientConnectorError as error:
            raise NoAnswerError("no_connection", _name(error)) from None
        except (aiohttp.ClientError, OSError, asyncio.IncompleteReadError) as error:
            raise NoAnswerError("cut_connection", _name(error)) from None

    async def _read(self, answer: aiohttp.ClientResponse) -> bytes:
        """The body of an answer, if it is not larger than the limit."""
        limit = self._settings.max_response_bytes
        if answer.content_length is not None and answer.content_length > limit:
            raise NoAnswerError(
                "too_large",
                f"{answer.content_length:,} bytes announced, the limit is {limit:,}",
                status=200,
            )
        body = await _beginning(answer, limit + 1)
        if len(body) > limit:
            raise NoAnswerError("too_large", f"more than {limit:,} bytes", status=200)
        return body

    async def _refusal(self, answer: aiohttp.ClientResponse) -> NoAnswerError:
        """The failure that stands for an HTTP status other than 200."""
        status = answer.status
        wait = retry_after(answer.headers, now=datetime.datetime.now(datetime.UTC))
        body = (await _beginning(answer, _ERROR_BYTES)).decode("utf-8", "replace")
        try:
            detail = f"{status}: {error_text(orjson.loads(body))}"
        except orjson.JSONDecodeError:
            detail = f"{status}: {error_text(body)}"
        if 300 <= status < 400:
            where = answer.headers.get("Location", "nowhere")
            return NoAnswerError("redirected", f"{status} to {where!r}", status=status)
        if status == 429:
            return NoAnswerError("rate_limited", detail, status=status, wait_seconds=wait)
        if status == 401:
            return NoAnswerError("unauthorised", detail, status=status)
        if status in (408, 425, 409) or status >= 500:
            return NoAnswerError("server_error", detail, status=status, wait_seconds=wait)
        return NoAnswerError("refused", detail, status=status)


async def _beginning(answer: aiohttp.ClientResponse, limit: int) -> bytes:
    """At most the first `limit` bytes of a body."""
    try:
        return await answer.content.readexactly(limit)
    except asyncio.IncompleteReadError as error:
        return error.partial


def _name(error: BaseException) -> str:
    # Not the whole error: aiohttp's carry the request with its headers, and so the key.
    return f"{type(error).__name__}: {' '.join(str(error).split())[:200]}"
