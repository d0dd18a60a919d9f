"""Limits on sending requests: requests and tokens per minute, pauses, requests at a time."""

from __future__ import annotations

import asyncio
import datetime
import email.utils
import statistics
import threading
import time
from collections import defaultdict, deque
from collections.abc import Mapping

from vasari.endpoint.settings import EndpointSettings
from vasari.endpoint.streak import FailureStreak

SECONDS_A_MINUTE = 60.0

BURST_SECONDS = 1.0
"""An unused allowance of up to this many seconds may be used at once."""

WORK_OF_A_REQUEST = 16
"""Cost of a request beside its generated tokens (prefill, image, network), in tokens' worth of
time."""

ON_REFUSAL, ON_ERRORS, ON_SLOWNESS = 0.7, 0.5, 0.85
"""Factors by which the number of requests at once is cut: after a 429, after a window with many
errors, after a window of slow answers."""

MANY_ERRORS = 0.2
"""Share of attempts ending in a 5xx, time-out or cut connection above which fewer are sent."""

MOST_RETRY_SECONDS = 32 * 86_400.0
"""No quota is longer than a month."""

MIN_WINDOW = 8
"""Least number of attempts whose outcomes are judged together."""


class Bucket:
    """Rate limiter (token bucket) that keeps the use in any 60 seconds within `per_minute`.

    A bucket holds what BURST_SECONDS bring and is filled at the rate `(per_minute - burst) / 60`:
    any 60 seconds take at most the bucket and its inflow, which is `per_minute`. An amount larger
    than the bucket makes its level negative, and the next one waits; so a single amount may exceed
    the limit.
    """

    def __init__(self, per_minute: int) -> None:
        self._burst = max(1.0, per_minute * BURST_SECONDS / SECONDS_A_MINUTE)
        self._rate = max(1.0, per_minute - self._burst) / SECONDS_A_MINUTE
        self._level = self._burst
        self._at: float | None = None

    def take(self, amount: float, *, now: float) -> float:
        """Take requests or tokens from the bucket; return the seconds to wait before using them."""
        self._fill(now)
        self._level -= amount
        return max(0.0, -self._level / self._rate)

    def give_back(self, amount: float, *, now: float) -> None:
        """Put unused requests or tokens back into the bucket; a negative `amount` takes more."""
        self._fill(now)
        self._level = min(self._burst, self._level + amount)

    def _fill(self, now: float) -> None:
        if self._at is not None:
            self._level = min(self._burst, self._level + max(0.0, now - self._at) * self._rate)
        self._at = now


class RateLimits:
    """Rate limits of one server: requests and tokens per minute, pauses that it asks for, failures.

    A server counts by account, not by run: clients that ask the same server, one after another or
    at the same time, in one thread or in several, are given the same object. Without one, each
    client begins with a full minute.
    """

    def __init__(
        self, *, requests_per_minute: int | None = None, tokens_per_minute: int | None = None
    ) -> None:
        limits = {"requests": requests_per_minute, "tokens": tokens_per_minute}
        self._buckets = {name: Bucket(limit) for name, limit in limits.items() if limit}
        self.streaks: defaultdict[str, FailureStreak] = defaultdict(FailureStreak)
        """Failures in a row, by model."""
        self.stopped_by = ""
        """Why the last run of requests that ended early did so."""
        self._paused_until = float("-inf")
        self._lock = threading.Lock()

    @classmethod
    def of(cls, settings: EndpointSettings) -> RateLimits:
        """Make the rate limits of a server from its settings, with nothing used yet."""
        return cls(
            requests_per_minute=settings.requests_per_minute,
            tokens_per_minute=settings.tokens_per_minute,
        )

    @property
    def counts_tokens(self) -> bool:
        """Whether the server has a limit on tokens per minute."""
        return "tokens" in self._buckets

    def pause(self) -> float:
        """Return the seconds left of the pause that the server asked for; at most 0 if none."""
        return self._paused_until - time.monotonic()

    def pause_for(self, seconds: float) -> None:
        """Begin a pause of `seconds` without requests; a longer pause under way goes on."""
        self._paused_until = max(self._paused_until, time.monotonic() + seconds)

    def take(self, tokens: int) -> float:
        """Count a request and its tokens against the limits; return seconds to wait to send it."""
        now = time.monotonic()
        with self._lock:
            amounts = {"requests": 1, "tokens": tokens}
            waits = [one.take(amounts[name], now=now) for name, one in self._buckets.items()]
        return max(waits, default=0.0)

    def give_back(self, *, requests: int = 0, tokens: int = 0) -> None:
        """Uncount requests and tokens that were not used; negative tokens count as further use."""
        now = time.monotonic()
        with self._lock:
            amounts = {"requests": requests, "tokens": tokens}
            for name, bucket in self._buckets.items():
                bucket.give_back(amounts[name], now=now)


def retry_after(headers: Mapping[str, str], *, now: datetime.datetime) -> float | None:
    """Return the seconds that a server's response headers ask to wait; None if they do not.

    Reads `Retry-After` in seconds or as a date, and `retry-after-ms`. A date is compared with the
    server's own `Date`, for the clocks of two machines may differ by hours. What exceeds
    MOST_RETRY_SECONDS is a mistake, and counts as nothing.

    Args:
        headers: Of the answer; names in any case.
        now: The time, with its zone, for dates of a server that does not state its own.
    """
    lower = {name.lower(): value.strip() for name, value in headers.items()}
    for name, unit in (("retry-after-ms", 1e-3), ("retry-after", 1.0)):
        try:
            seconds = float(lower.get(name, "")) * unit
        except ValueError:
            continue
        if 0.0 <= seconds <= MOST_RETRY_SECONDS:
            return seconds
    until = _date(lower.get("retry-after", ""))
    if until is None:
        return None
    seconds = (until - (_date(lower.get("date", "")) or now)).total_seconds()
    return max(0.0, seconds) if seconds <= MOST_RETRY_SECONDS else None


def _date(text: str) -> datetime.datetime | None:
    try:
        date = email.utils.parsedate_to_datetime(text)
    except (ValueError, TypeError, IndexError, OverflowError):
        return None
    # HTTP dates are GMT (RFC 9110, 5.6.7)
    return date if date.tzinfo is not None else date.replace(tzinfo=datetime.UTC)


def backoff_seconds(attempts: int, *, first: float, most: float, jitter: float) -> float:
    """Return the seconds to wait before the next attempt: doubled per failure, half random.

    Args:
        attempts: Made so far, at least 1.
        first: The longest wait after the first attempt.
        most: The longest wait of all.
        jitter: Random, in [0, 1), so that clients do not come back together.
    """
    whole = min(most, first * 2.0 ** min(attempts - 1, 30))
    return whole * (0.5 + 0.5 * jitter)


class AdaptiveConcurrency:
    """Semaphore for requests: more at a time while the server keeps up, fewer under overload.

    Additive increase, multiplicative decrease, as in TCP. A 429 is a sign of load and counts at
    once. Errors and time-outs may have other causes; they count when they are many. A self-hosted
    server shows its load only by its latency, because it queues requests: the time per unit of work
    is compared with that at the start, when the server was not loaded. It is a quotient, because
    answers of many tokens take long on any server.

    Args:
        start: Requests at once at first; this number is never called too slow.
        most: Never more at once. Equal to `start`: the limit falls and recovers, but grows no
            further.
        latency_tolerance: A window whose median time per unit of work exceeds this multiple of the
            least window's is slow.
    """

    def __init__(self, *, start: int, most: int, latency_tolerance: float) -> None:
        self._limit = self._start = float(min(start, most))
        self._most = float(most)
        self._tolerance = latency_tolerance
        self.active = 0
        """Requests that hold a place."""
        self._waiting: deque[asyncio.Future[None]] = deque()
        self._fell_at = float("-inf")
        self._doubling = True
        self._window: list[float] = []
        self._least: float | None = None
        self._new_window()

    @property
    def limit(self) -> int:
        """Number of requests currently allowed in flight at the same time."""
        return max(1, int(self._limit))

    async def acquire(self) -> None:
        """Wait, first come first served, until one more request may be sent."""
        if self.active < self.limit and not self._waiting:
            self.active += 1
            return
        place = asyncio.get_running_loop().create_future()
        self._waiting.append(place)
        try:
            await place
        except asyncio.CancelledError:
            if place.done() and not place.cancelled():
                self.release()  # the place was given to a task that was cancelled
            raise

    def release(self) -> None:
        """Mark one request as finished, so that a waiting request may be sent."""
        self.active -= 1
        self._admit()

    def succeeded(self, *, sent_at: float, seconds: float, output_tokens: int) -> None:
        """Raise the limit on requests in flight after an answer; lower it if answers are slow."""
        if sent_at < self._fell_at:
            return  # it was slow because of what has been corrected since
        self._window.append(seconds / (WORK_OF_A_REQUEST + output_tokens))
        # Doubling in a round trip at first, then one more in a round trip.
        self._limit = min(self._most, self._limit + (1.0 if self._doubling else 1.0 / self._limit))
        self._admit()
        self._judge_window(sent_at + seconds)

    def failed(self, *, sent_at: float, now: float, refused: bool) -> None:
        """Lower the limit on requests in flight after a refusal (429) or many errors."""
        if sent_at < self._fell_at:
            return
        if refused:
            self._fall(ON_REFUSAL, now)
        else:
            self._errors += 1
            self._judge_window(now)

    def _judge_window(self, now: float) -> None:
        attempts = len(self._window) + self._errors
        if attempts < self._window_size:
            return
        if self._errors > MANY_ERRORS * attempts:
            self._fall(ON_ERRORS, now)
        elif self._window:
            self._judge_latency(statistics.median(self._window), now)
        self._new_window()

    def _judge_latency(self, seconds_a_unit: float, now: float) -> None:
        if self._least is None or seconds_a_unit < self._least:
            self._least = seconds_a_unit
        elif seconds_a_unit > self._tolerance * self._least:
            if self._limit <= self._start:
                self._least = seconds_a_unit  # not our load: the server has become slower
            else:
                self._fall(ON_SLOWNESS, now)

    def _fall(self, share: float, now: float) -> None:
        self._limit = max(1.0, self._limit * share)
        self._doubling = False
        self._fell_at = now
        self._new_window()

    def _new_window(self) -> None:
        # About a round trip; fixed at its start, for a window that grew with the limit would not
        # end while it grows.
        self._window_size = max(MIN_WINDOW, self.limit)
        self._window.clear()
        self._errors = 0

    def _admit(self) -> None:
        while self._waiting and self.active < self.limit:
            place = self._waiting.popleft()
            if not place.done():
                self.active += 1
                place.set_result(None)
