"""How fast to ask: requests and tokens a minute, and what a server says about waiting."""

from __future__ import annotations

import datetime
import email.utils
from collections.abc import Mapping

import numpy as np

SECONDS_A_MINUTE = 60.0

BURST_SECONDS = 1.0
"""What has not been used for this long may be used at once."""


class Bucket:
    """Spreads a limit over the minute so that no 60 seconds take more than it.

    A bucket holds what BURST_SECONDS bring and is filled at the rate `(per_minute - burst) / 60`:
    any 60 seconds take at most the bucket and its inflow, which is `per_minute`. An amount larger
    than the bucket puts it in debt, and whoever comes next waits; so one amount may exceed the
    promise, by itself.
    """

    def __init__(self, per_minute: int) -> None:
        self._burst = max(1.0, per_minute * BURST_SECONDS / SECONDS_A_MINUTE)
        self._rate = max(1.0, per_minute - self._burst) / SECONDS_A_MINUTE
        self._level = self._burst
        self._at: float | None = None

    def take(self, amount: float, *, now: float) -> float:
        """Seconds to wait before the amount may be used; it is taken already, so that whoever asks
        later waits longer.
        """
        self._fill(now)
        self._level -= amount
        return max(0.0, -self._level / self._rate)

    def give_back(self, amount: float, *, now: float) -> None:
        """Return what was taken and not used; a negative amount takes what was used beyond it."""
        self._fill(now)
        self._level = min(self._burst, self._level + amount)

    def _fill(self, now: float) -> None:
        if self._at is not None:
            self._level = min(self._burst, self._level + max(0.0, now - self._at) * self._rate)
        self._at = now


def retry_after(headers: Mapping[str, str], *, now: datetime.datetime) -> float | None:
    """Seconds that the server asks to wait: `Retry-After` in seconds or as a date, or
    `retry-after-ms`; None if it does not.

    Args:
        headers: Of the answer; names in any case.
        now: The time, with its zone, for dates.
    """
    lower = {name.lower(): value.strip() for name, value in headers.items()}
    for name, unit in (("retry-after-ms", 1e-3), ("retry-after", 1.0)):
        value = lower.get(name, "")
        try:
            seconds = float(value) * unit
        except ValueError:
            continue
        if 0.0 <= seconds < float("inf"):
            return seconds
    try:
        date = email.utils.parsedate_to_datetime(lower.get("retry-after", ""))
    except ValueError:
        return None
    if date.tzinfo is None:
        date = date.replace(tzinfo=datetime.UTC)  # HTTP dates are GMT (RFC 9110, 5.6.7)
    return max(0.0, (date - now).total_seconds())


class Backoff:
    """Waits between attempts: doubled each time up to a limit, with a random half so that clients
    do not return together.
    """

    def __init__(self, *, first_seconds: float, most_seconds: float, seed: int) -> None:
        self._first = first_seconds
        self._most = most_seconds
        self._generator = np.random.default_rng(seed)

    def seconds(self, attempt: int) -> float:
        """How long to wait after this attempt, 1 the first: between half and all of `first *
        2**(attempt - 1)`.
        """
        whole = min(self._most, self._first * 2.0 ** min(attempt - 1, 30))
        return float(whole * (0.5 + 0.5 * self._generator.random()))
