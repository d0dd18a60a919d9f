"""Failures in a row: when the server, the key or the recipe is at fault, and not the requests."""

from __future__ import annotations

from vasari.endpoint.response import CONGESTION, Failure
from vasari.endpoint.settings import EndpointSettings

OF_THE_REQUEST = frozenset({"image", "unreadable_request", "too_large"})
"""Reasons that say something about one request alone."""

_BEFORE_THE_FIRST_ANSWER = 3
"""A server that has answered nothing yet is given up after a third as many equal failures."""

_ADVICE_BY_STATUS = {
    400: "check the model's name, `extra` and the sampling in the recipe",
    402: "the account has no credit: top it up",
    403: "check what the key may use",
    404: "check base_url and the model's name",
    405: "check base_url",
    407: "a proxy wants a password: check the network",
    413: "the requests are too large: shrink the images",
    422: "check the model's name, `extra` and the sampling in the recipe",
    429: "the account's quota is used up: raise it, or wait",
}
_ADVICE = {
    "redirected": "set base_url to the address that it names",
    "wrong_content_type": "a proxy or a sign-in page answers at base_url: check both",
    "malformed_json": "check base_url, and the proxies before it",
    "not_a_completion": "check base_url: it ends where `/chat/completions` begins",
    "withheld": "a content filter refuses everything: look at the prompts and at the filter",
    "declined": "the model declines everything: look at the prompts, or choose another model",
    "empty": "the model writes nothing: check `max_tokens`, `extra` and the server's log",
    "no_connection": "check base_url, and that the server is up",
}


class FailureStreak:
    """Counts the failures since a model's last answer, and says when to stop.

    All runs of a process that ask the same server share it, so that many small runs of requests
    see what one large run would.
    """

    def __init__(self) -> None:
        self._has_answered = False
        self._cause: tuple[str, int | None] | None = None
        self._equal = self._all = 0

    def answered(self) -> None:
        """Count an answer: the server works."""
        self._has_answered = True
        self._cause, self._equal, self._all = None, 0, 0

    def failed(self, failure: Failure, settings: EndpointSettings) -> str:
        """Count a failure; return why the run should stop, or "" if it should go on."""
        cause = failure.reason, failure.status
        self._equal = self._equal + 1 if cause == self._cause else 1
        self._cause = cause
        self._all += 1
        most = settings.max_refusals_in_a_row
        if not self._has_answered:
            most = max(1, most // _BEFORE_THE_FIRST_ANSWER)
        if failure.reason not in CONGESTION and self._equal >= most:
            return self._why(self._equal, "brought no answer, all for one reason", failure)
        if self._all >= settings.max_failures_in_a_row:
            return self._why(self._all, "failed", failure)
        return ""

    def _why(self, count: int, what: str, failure: Failure) -> str:
        advice = advice_on(failure)
        return (
            f"{count} requests in a row {what}, the last with {failure.reason}: {failure.detail}"
            f"{'; ' if advice else ''}{advice}"
        )


def advice_on(failure: Failure) -> str:
    """Return what a user can do about a failure of all requests; "" where only waiting helps."""
    if failure.reason == "refused":
        return _ADVICE_BY_STATUS.get(failure.status or 0, "ask the server's provider")
    return _ADVICE.get(failure.reason, "")
