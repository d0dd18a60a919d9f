"""Sending one request over HTTP, in bounded time and memory; gives an answer or a failure."""

from __future__ import annotations

import asyncio
import datetime
import os
import time
from collections.abc import Iterable
from dataclasses import replace
from typing import Literal

import aiohttp

from vasari.core.errors import ConfigError
from vasari.core.secrets import BLOT, SHORTEST_KEY, protect
from vasari.endpoint.completion import error_codes, error_text, parse_completion, read_json
from vasari.endpoint.limits import retry_after
from vasari.endpoint.response import (
    Failure,
    NoAnswerError,
    Response,
    failure_of_status,
)
from vasari.endpoint.settings import EndpointSettings

_GLIMPSE = 80
"""Bytes that tell a page from an answer."""

_ERROR_BYTES = 4096
"""Bytes that are read of an error's body, for its message."""

_MOST_HEADER_BYTES = 64 * 2**10


class Secret:
    """API key of a server; appears in the request header only, never in `repr` or a pickle.

    From when it is made, the key is replaced in whatever a server says, and in files of ours.
    """

    __slots__ = ("__value",)

    def __init__(self, value: str | None) -> None:
        self.__value = value
        if value is not None:
            protect(value)

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

    def __repr__(self) -> str:
        return "Secret()" if self.__value is None else f"Secret({BLOT})"

    def __reduce__(self) -> str:
        raise TypeError("a key is not pickled")


def protect_keys(variables: Iterable[str]) -> None:
    """Keep the keys that are in these environment variables out of files and messages."""
    for name in variables:
        protect(os.environ.get(name, "").strip())


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
        try:
            answer = await self._exchange(body)
            return parse_completion(answer, seconds=time.perf_counter() - started)
        except NoAnswerError as error:
            return replace(error.failure, server=self._settings.base_url)

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
                if not 200 <= answer.status < 300:
                    raise await self._refusal(answer)
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
        limit, kind, shown = self._settings.max_response_bytes, answer.content_type, b""
        if not (kind == "application/json" or kind.endswith("+json")):
            # Some servers call JSON a text, or nothing at all; a proxy's page begins otherwise.
            shown = await _beginning(answer, _GLIMPSE)
            if not shown.lstrip(b"\xef\xbb\xbf \t\r\n").startswith(b"{"):
                page = shown.decode("utf-8", "replace")
                raise NoAnswerError("wrong_content_type", f"{kind}: {page!r}", status=200)
        if answer.content_length is not None and answer.content_length > limit:
            raise NoAnswerError(
                "too_large",
                f"{answer.content_length:,} bytes announced, the limit is {limit:,}",
                status=200,
                most_bytes=limit,
            )
        body = shown + await _beginning(answer, max(0, limit + 1 - len(shown)))
        if len(body) > limit:
            raise NoAnswerError(
                "too_large", f"more than {limit:,} bytes", status=200, most_bytes=limit
            )
        return body

    async def _refusal(self, answer: aiohttp.ClientResponse) -> NoAnswerError:
        """The failure that stands for an HTTP status other than 200."""
        status, codes = answer.status, frozenset[str]()
        wait = retry_after(answer.headers, now=datetime.datetime.now(datetime.UTC))
        body = await _beginning(answer, _ERROR_BYTES)
        try:
            content = read_json(body)
            detail, codes = f"{status}: {error_text(content)}", error_codes(content)
        except ValueError:
            detail = f"{status}: {error_text(body.decode('utf-8', 'replace'))}"
        reason = failure_of_status(status, codes)
        if reason == "redirected":
            detail = f"{status} to {answer.headers.get('Location', 'nowhere')!r}"
        if reason not in ("rate_limited", "server_error"):
            wait = None
        return NoAnswerError(reason, detail, status=status, wait_seconds=wait)


async def _beginning(answer: aiohttp.ClientResponse, limit: int) -> bytes:
    """At most the first `limit` bytes of a body."""
    try:
        return await answer.content.readexactly(limit)
    except asyncio.IncompleteReadError as error:
        return error.partial


def _name(error: BaseException) -> str:
    # Not the whole error: aiohttp's carry the request with its headers, and so the key.
    return f"{type(error).__name__}: {' '.join(str(error).split())[:200]}"
