"""Which stored outcomes of requests stand, and which are asked again."""

from __future__ import annotations

from collections.abc import Collection
from dataclasses import dataclass, replace

from vasari.endpoint.request import Request
from vasari.endpoint.response import FINAL, Failure, Response, is_raised


@dataclass(frozen=True, slots=True, kw_only=True)
class Reuse:
    """Rules by which a run takes a stored answer or failure as it is, instead of asking again."""

    retry_failed: Collection[str] = ()
    """Reasons (of `FAILURE_REASONS`) that are asked again."""
    server: str = ""
    """Address that is asked: failures of another one do not stand; "" takes those of all."""
    max_response_bytes: int | None = None
    """Size limit of answers: one that was too large is asked again when the limit is raised."""
    takes_empty: bool = False
    """Whether an answer without text, or one that declines, is an answer (of a model that is
    measured); one that a content filter kept never is."""

    def of(
        self, request: Request, response: Response | None, failure: Failure | None
    ) -> Response | Failure | None:
        """Return the stored outcome of a request that stands; None if the request must be sent.

        A truncated answer does not stand once the limit has been raised. A failure at a raised
        limit leaves the truncated answer in the store for runs with the old limit.
        """
        limit = request.sampling.max_tokens
        if response is not None and not (response.truncated and is_raised(limit, response.limit)):
            fault = self.fault(response)
            if not fault:
                return response
            if fault in self.retry_failed:
                return None
            return Failure.of_faulty(response, request_id=request.id, key=request.key)
        if failure is None or not self._stands(failure):
            return None
        if response is not None and is_raised(limit, failure.limit):
            return None
        return replace(failure, request_id=request.id)

    def fault(self, response: Response) -> str:
        """Return why a response is no answer of the model; "" if it is one."""
        fault = response.fault
        return "" if self.takes_empty and fault != "withheld" else fault

    def _stands(self, failure: Failure) -> bool:
        if self.server and failure.server and failure.server != self.server:
            return False
        if failure.reason in FINAL:
            return not is_raised(self.max_response_bytes, failure.most_bytes)
        return failure.reason not in self.retry_failed
