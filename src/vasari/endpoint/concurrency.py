"""How many requests at once: more while the server keeps up, fewer when it refuses or slows down.

Additive increase, multiplicative decrease, as in TCP. A 429 speaks of load and counts at once.
Errors and time-outs may be mere noise, which asking less would not cure: they count when they are
many. A self-hosted server does neither, it queues, and only its latency tells. Time per unit of
work is compared with what it was at the start, when the server was not loaded; the measure is a
quotient because answers of many tokens take long on any server.
"""

from __future__ import annotations

import asyncio
import statistics
from collections import deque

WORK_OF_A_REQUEST = 16
"""Tokens' worth of time that a request costs beside its generated tokens: prefill, image,
network."""

ON_REFUSAL, ON_ERRORS, ON_SLOWNESS = 0.7, 0.5, 0.85
"""What is left of the limit after a 429, after a window with many errors, after a window of slow
answers."""

MANY_ERRORS = 0.2
"""Share of a window's attempts that ended in a 5xx, a time-out or a cut connection."""

MIN_WINDOW = 8
"""Attempts, at least, that are judged together."""


class AdaptiveConcurrency:
    """A semaphore whose size follows the server.

    Args:
        start: Requests at once at first; also what is never called slow, being the yardstick.
        most: Never more at once. Equal to `start`: the limit falls and recovers, but grows no
            further.
        latency_tolerance: A window whose median time per unit of work exceeds this multiple of the
            least window's is slow.
    """

    def __init__(self, *, start: int, most: int, latency_tolerance: float) -> None:
        self._limit = float(min(start, most))
        self._start, self._most = float(min(start, most)), float(most)
        self._tolerance = latency_tolerance
        self._active = 0
        self._waiting: deque[asyncio.Future[None]] = deque()
        self._fell_at = float("-inf")
        self._doubling = True
        self._window: list[float] = []
        self._errors = 0
        self._least: float | None = None
        self._window_size = max(MIN_WINDOW, self.limit)

    @property
    def limit(self) -> int:
        """Requests at once, as of now."""
        return max(1, int(self._limit))

    @property
    def active(self) -> int:
        """Requests that hold a place."""
        return self._active

    async def acquire(self) -> None:
        """Wait for a place, first come first served."""
        if self._active < self.limit and not self._waiting:
            self._active += 1
            return
        place = asyncio.get_running_loop().create_future()
        self._waiting.append(place)
        try:
            await place
        except asyncio.CancelledError:
            if place.done() and not place.cancelled():
                self.release()  # the place was given and the one who asked is gone
            raise

    def release(self) -> None:
        """Give the place back."""
        self._active -= 1
        self._admit()

    def succeeded(self, *, sent_at: float, seconds: float, output_tokens: int) -> None:
        """Learn from an answer."""
        if sent_at < self._fell_at:
            return  # it was slow because of what has been corrected since
        self._window.append(seconds / (WORK_OF_A_REQUEST + output_tokens))
        # Doubling in a round trip at first, then one more in a round trip.
        self._limit = min(self._most, self._limit + (1.0 if self._doubling else 1.0 / self._limit))
        self._admit()
        self._judge_window(sent_at + seconds)

    def failed(self, *, sent_at: float, now: float, refused: bool) -> None:
        """Learn from an attempt without an answer: a refusal (429) or an error that load may have
        caused.
        """
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
        while self._waiting and self._active < self.limit:
            place = self._waiting.popleft()
            if not place.done():
                self._active += 1
                place.set_result(None)
