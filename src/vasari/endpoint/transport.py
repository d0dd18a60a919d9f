"""One attempt over HTTP: an answer, or a failure with a name, in bounded time and bounded
memory.
"""

from __future__ import annotations

import asyncio
import datetime
import time
from dataclasses import dataclass, replace
from types import TracebackType
from typing import Self

from vasari.endpoint.libraries import aiohttp, orjson
from vasari.endpoint.rates import retry_after
from vasari.endpoint.response import NotACompletionError, Response, error_text, parse_completion
from vasari.endpoint.secret import Secret
from vasari.endpoint.settings import EndpointSettings

_ERROR_BYTES = 4096
"""Of an error's body, this much is read, for its message."""

_MOST_HEADER_BYTES = 64 * 2**10


@dataclass(frozen=True, slots=True)
class Attempt:
    """What one attempt brought: a response, or the reason why not."""

    response: Response | None = None
    reason: str = ""
    detail: str = ""
    status: int | None = None
    wait_seconds: float | None = None
    """What the server asked to wait (`Retry-After`)."""
    seconds: float = 0.0


class _RefusedError(Exception):
    """An answer that is none; carried to where attempts are made."""

    def __init__(
        self, reason: str, detail: str, status: int | None = None, wait: float | None = None
    ) -> None:
        super().__init__(detail)
        self.reason, self.detail, self.status, self.wait = reason, detail, status, wait


class Transport:
    """A pool of connections to one server."""

    def __init__(self, settings: EndpointSettings, secret: Secret) -> None:
        self._settings = settings
        self._secret = secret
        self._url = f"{settings.base_url}/chat/completions"
        self._session: aiohttp.ClientSession | None = None

    async def __aenter__(self) -> Self:
        settings = self._settings
        self._session = aiohttp.ClientSession(
            connector=aiohttp.TCPConnector(
                limit=settings.max_concurrency, keepalive_timeout=15.0, ttl_dns_cache=300
            ),
            # No compression: a small answer must not unfold into a large one, and time is better
            # spent elsewhere.
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
        return self

    async def __aexit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        if self._session is not None:
            await self._session.close()

    async def post(
        self, body: bytes, *, index: int = 0, limit: int | None = None, attempts: int = 1
    ) -> Attempt:
        """Send one chat completion request; never raises but when cancelled.

        Args:
            body: What is sent.
            index: Number of the answer, and with the others what the response is to say of how it
                was asked.
            limit: The `max_tokens`.
            attempts: How many this one makes.
        """
        started = time.perf_counter()
        try:
            answer = await self._exchange(body)
            seconds = time.perf_counter() - started
            response = parse_completion(
                answer, index=index, limit=limit, seconds=seconds, attempts=attempts
            )
        except _RefusedError as error:
            attempt = Attempt(
                reason=error.reason,
                detail=error.detail,
                status=error.status,
                wait_seconds=error.wait,
            )
        except NotACompletionError as error:
            attempt = Attempt(reason=error.reason, detail=str(error), status=200)
        else:
            return Attempt(response=self._blotted(response), status=200, seconds=seconds)
        return replace(
            attempt, detail=self._secret.blot(attempt.detail), seconds=time.perf_counter() - started
        )

    def _blotted(self, response: Response) -> Response:
        text, reasoning = self._secret.blot(response.text), self._secret.blot(response.reasoning)
        if text is response.text and reasoning is response.reasoning:
            return response
        return replace(response, text=text, reasoning=reasoning)

    async def _exchange(self, body: bytes) -> bytes:
        """The body of a 200.

        Raises:
            _RefusedError: Anything else.
        """
        if self._session is None:
            raise RuntimeError("the transport is used outside of `async with`")
        began = False
        try:
            async with self._session.post(self._url, data=body, allow_redirects=False) as answer:
                began = True
                if answer.status != 200:
                    raise await self._refusal(answer)
                kind = answer.content_type
                if kind != "application/json" and not kind.endswith("+json"):
                    shown = await _beginning(answer, 80)
                    raise _RefusedError("wrong_content_type", f"{kind}: {shown!r}", 200)
                return await self._read(answer)
        except aiohttp.ConnectionTimeoutError:
            raise _RefusedError(
                "no_connection", f"no connection after {self._settings.connect_seconds:g} s"
            ) from None
        except TimeoutError:  # aiohttp's own time-outs are of this kind
            limit = f"after {self._settings.timeout_seconds:g} s"
            if began:
                raise _RefusedError(
                    "slow_body", f"the answer had begun but not ended {limit}", 200
                ) from None
            raise _RefusedError("timeout", f"no answer {limit}") from None
        except aiohttp.ClientConnectorError as error:
            raise _RefusedError("no_connection", _name(error)) from None
        except (aiohttp.ClientError, OSError, asyncio.IncompleteReadError) as error:
            raise _RefusedError("cut_connection", _name(error)) from None

    async def _read(self, answer: aiohttp.ClientResponse) -> bytes:
        """The body, as long as it keeps to the limit."""
        limit = self._settings.max_response_bytes
        if answer.content_length is not None and answer.content_length > limit:
            raise _RefusedError(
                "too_large",
                f"{answer.content_length:,} bytes announced, the limit is {limit:,}",
                200,
            )
        content = answer.content
        pieces: list[bytes] = []
        size = 0
        while size <= limit and (piece := await content.readany()):
            pieces.append(piece)
            size += len(piece)
        if size > limit:
            raise _RefusedError("too_large", f"more than {limit:,} bytes", 200)
        return pieces[0] if len(pieces) == 1 else b"".join(pieces)

    async def _refusal(self, answer: aiohttp.ClientResponse) -> _RefusedError:
        """What an answer other than 200 means."""
        status = answer.status
        wait = retry_after(answer.headers, now=datetime.datetime.now(datetime.UTC))
        detail = f"{status}: {_message(await _beginning(answer, _ERROR_BYTES))}"
        if 300 <= status < 400:
            return _RefusedError(
                "redirected", f"{status} to {answer.headers.get('Location', 'nowhere')!r}", status
            )
        if status == 429:
            return _RefusedError("rate_limited", detail, status, wait)
        if status == 401:
            return _RefusedError("unauthorised", detail, status)
        if status in (408, 425, 409) or status >= 500:
            return _RefusedError("server_error", detail, status, wait)
        return _RefusedError("refused", detail, status)


async def _beginning(answer: aiohttp.ClientResponse, limit: int) -> str:
    """The first bytes of a body, as text."""
    pieces = b""
    while len(pieces) < limit and (piece := await answer.content.readany()):
        pieces += piece
    return pieces[:limit].decode("utf-8", "replace")


def _message(body: str) -> str:
    """The message in an error's body, which is JSON with most servers."""
    try:
        content = orjson.loads(body)
    except orjson.JSONDecodeError:
        return error_text(body)
    return error_text(content.get("error") or content if isinstance(content, dict) else content)


def _name(error: BaseException) -> str:
    # Not the whole error: aiohttp's carry the request with its headers, and so the key.
    return f"{type(error).__name__}: {' '.join(str(error).split())[:200]}"
