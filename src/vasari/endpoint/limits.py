"""How often one server may be asked: what is left of a minute's limits, and the pause that it has
asked for.
"""

from __future__ import annotations

import threading
import time

from vasari.endpoint.rates import Bucket
from vasari.endpoint.settings import EndpointSettings


class RateLimits:
    """Requests and tokens a minute at one server, and its last `Retry-After`.

    A server counts by account, not by run: clients that ask the same server, one after another or
    at the same time, in one thread or in several, are given the same object. Without one, each
    client begins with a full minute.
    """

    def __init__(
        self, *, requests_per_minute: int | None = None, tokens_per_minute: int | None = None
    ) -> None:
        self._requests = Bucket(requests_per_minute) if requests_per_minute else None
        self._tokens = Bucket(tokens_per_minute) if tokens_per_minute else None
        self._paused_until = float("-inf")
        self._lock = threading.Lock()

    @classmethod
    def of(cls, settings: EndpointSettings) -> RateLimits:
        """The limits that the settings name, none of them used yet."""
        return cls(
            requests_per_minute=settings.requests_per_minute,
            tokens_per_minute=settings.tokens_per_minute,
        )

    @property
    def limited(self) -> bool:
        """Whether anything a minute is limited."""
        return self._requests is not None or self._tokens is not None

    @property
    def counts_tokens(self) -> bool:
        """Whether tokens a minute are limited."""
        return self._tokens is not None

    def pause(self) -> float:
        """Seconds that the server still wants to be left alone; at most 0 when it does not."""
        return self._paused_until - time.monotonic()

    def pause_for(self, seconds: float) -> None:
        """Send nothing for so long; a longer pause that has begun already goes on."""
        self._paused_until = max(self._paused_until, time.monotonic() + seconds)

    def take(self, tokens: int) -> float:
        """Take one request and these tokens; returns the seconds to wait before they may be
        used.
        """
        now = time.monotonic()
        with self._lock:
            wait = self._requests.take(1, now=now) if self._requests else 0.0
            return max(wait, self._tokens.take(tokens, now=now)) if self._tokens else wait

    def give_back(self, *, requests: int = 0, tokens: int = 0) -> None:
        """Return what was taken and not used; negative tokens take what was used beyond it."""
        now = time.monotonic()
        with self._lock:
            if self._requests and requests:
                self._requests.give_back(requests, now=now)
            if self._tokens and tokens:
                self._tokens.give_back(tokens, now=now)
