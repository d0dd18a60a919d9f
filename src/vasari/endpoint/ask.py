"""One answer to one request: from the store, or asked within all limits until it comes or the
reason why not is known.
"""

from __future__ import annotations

import asyncio
import contextlib
import logging
from collections import Counter
from collections.abc import Collection
from dataclasses import replace
from decimal import Decimal

from vasari.core.errors import ConfigError, DataError, ImageError
from vasari.endpoint.concurrency import AdaptiveConcurrency
from vasari.endpoint.estimate import TokenEstimate, most_output_tokens
from vasari.endpoint.images import FindImage, encode_images
from vasari.endpoint.limits import RateLimits
from vasari.endpoint.lookup import look_up
from vasari.endpoint.prices import Budget, money_spent, price_of
from vasari.endpoint.rates import Backoff
from vasari.endpoint.request import Request, wire_body
from vasari.endpoint.response import BILLED_PERHAPS, FAILURE_REASONS, TRANSIENT, Failure, Response
from vasari.endpoint.settings import EndpointSettings
from vasari.endpoint.store import ResponseStore
from vasari.endpoint.transport import Attempt, Transport
from vasari.endpoint.usage import Usage, UsageCount

logger = logging.getLogger(__name__)

_CONGESTION = frozenset(
    {"rate_limited", "server_error", "timeout", "slow_body", "no_connection", "cut_connection"}
)


class Asker:
    """Asks a server through a transport, within its limits, and keeps what comes back."""

    def __init__(
        self,
        settings: EndpointSettings,
        store: ResponseStore,
        transport: Transport,
        *,
        images: FindImage | None = None,
        retry_failed: Collection[str] = (),
        limits: RateLimits | None = None,
        seed: int = 0,
    ) -> None:
        if unknown := sorted(set(retry_failed) - set(FAILURE_REASONS)):
            raise ConfigError(
                f"retry_failed names {unknown}; the reasons of failures are"
                f" {sorted(FAILURE_REASONS)}"
            )
        self._settings = settings
        self._store = store
        self._transport = transport
        self._images = images
        self._retry_failed = frozenset(retry_failed)
        self._estimate = TokenEstimate(image_tokens=settings.image_tokens)
        self._limits = RateLimits.of(settings) if limits is None else limits
        self._backoff = Backoff(
            first_seconds=settings.backoff_seconds,
            most_seconds=settings.max_backoff_seconds,
            seed=seed,
        )
        self.concurrency = AdaptiveConcurrency(
            start=settings.start_concurrency,
            most=settings.max_concurrency,
            latency_tolerance=settings.latency_tolerance,
        )
        self.budget: Budget | None = None
        if settings.budget is not None:
            self.budget = Budget(settings.budget, spent=money_spent(settings.prices, store.usage))
        self._in_flight: dict[tuple[str, int, int | None], asyncio.Future[Response | Failure]] = {}
        self._failed_now: set[tuple[str, int]] = set()
        self._failures_in_a_row = 0
        self._stopping = asyncio.Event()
        self.stopped_by = ""
        """Why nothing more is sent; empty while the run goes on."""
        self.counts: Counter[str] = Counter()
        """`attempts`, and attempts that failed by reason."""
        self.usage = UsageCount()
        """What this run has used, by model."""

    def stop(self, why: str) -> None:
        """Send nothing more; what is in flight is waited for and kept."""
        if not self.stopped_by:
            logger.warning("no more requests are sent: %s", why)
            self.stopped_by = why
            self._stopping.set()

    def stored(self, request: Request, index: int) -> Response | Failure | None:
        """What the store says; None where the request must be asked. What failed in this run is not
        asked again in it.
        """
        again = () if (request.key, index) in self._failed_now else self._retry_failed
        return look_up(self._store, request, index, retry_failed=again)

    async def ask(self, request: Request, index: int) -> Response | Failure:
        """The answer number `index` to the request, or why there is none; equal requests at one
        time are asked once.

        Raises:
            StorageError: The disk refuses to keep answers, so none more is bought.
            ConfigError: There is a budget and no price for the model.
        """
        found = self.stored(request, index)
        while found is None:
            flight = (request.key, index, request.sampling.max_tokens)
            pending = self._in_flight.get(flight)
            if pending is None:
                return await self._lead(flight, request, index)
            with contextlib.suppress(asyncio.CancelledError):
                found = _as_found(await asyncio.shield(pending), request)
            if found is None and not pending.cancelled():
                raise asyncio.CancelledError  # we were cancelled, not the one who asks
        return found

    async def _lead(
        self, flight: tuple[str, int, int | None], request: Request, index: int
    ) -> Response | Failure:
        future = asyncio.get_running_loop().create_future()
        self._in_flight[flight] = future
        try:
            outcome = await self._fetch(request, index)
            future.set_result(outcome)
        finally:
            del self._in_flight[flight]
            future.cancel()  # the others ask for themselves; without effect when the result is set
        return outcome

    async def _fetch(self, request: Request, index: int) -> Response | Failure:
        """Attempt until there is an answer or no hope, and store what came of it."""
        lost, attempt = Usage(), Attempt()
        made = 0
        while made < self._settings.max_attempts and not self.stopped_by:
            if made and (attempt.wait_seconds or 0.0) < self._settings.backoff_seconds:
                await self._sleep(self._backoff.seconds(made))
            try:
                tried = await self._attempt(request, index, made + 1)
            except ImageError as error:
                attempt = Attempt(reason="image", detail=str(error))
                break
            except DataError as error:
                attempt = Attempt(reason="unreadable_request", detail=str(error))
                break
            if tried is None:
                break
            made, attempt = made + 1, tried
            if attempt.response is not None:
                self._failures_in_a_row = 0
                return self._keep(request, attempt.response, lost)
            if attempt.reason in BILLED_PERHAPS:
                lost += self._lost(request)
            if attempt.reason not in TRANSIENT:
                break
        if self.stopped_by and attempt.reason in TRANSIENT | {"", "unauthorised"}:
            return self._not_sent(request, index, lost, made)
        return self._give_up(request, index, attempt, made, lost)

    async def _attempt(self, request: Request, index: int, number: int) -> Attempt | None:
        """One attempt within all limits; None when the run stopped before it was sent."""
        reserved = await self._reserve(request)
        spent = Decimal(0)
        try:
            await self.concurrency.acquire()
            try:
                tokens = await self._wait_for_turn(request)
                if self.stopped_by:
                    return None
                clock = asyncio.get_running_loop().time
                sent_at = clock()
                body = wire_body(
                    request,
                    index,
                    await encode_images(request.images, self._images) if request.images else (),
                    limit_field=self._settings.limit_field,
                )
                attempt = await self._transport.post(
                    body, index=index, limit=request.sampling.max_tokens, attempts=number
                )
                del body  # not kept through back-off: it is made again
            finally:
                self.concurrency.release()
            now = clock()
            self._learn(request, attempt, tokens=tokens, sent_at=sent_at, now=now)
            if self.budget is not None:
                spent = self._billed(request, attempt)
            return attempt
        finally:
            if self.budget is not None and reserved is not None:
                self.budget.settle(reserved, spent)

    async def _reserve(self, request: Request) -> Decimal | None:
        """Reserve money for an attempt, or stop the run because there is none."""
        if self.budget is None:
            return None
        most = price_of(self._settings.prices, request.model).most(
            input_tokens=self._estimate.most_input_tokens(request),
            output_tokens=most_output_tokens(request),
        )
        if await self.budget.reserve(most):
            return most
        self.stop(
            f"the budget of {self.budget.limit} has {self.budget.limit - self.budget.spent} left, "
            f"and the next request may cost {most}"
        )
        return None

    async def _wait_for_turn(self, request: Request) -> int:
        """Wait for pauses and limits; returns the tokens that were taken from the limit."""
        limits, tokens = self._limits, 0
        while not self.stopped_by:
            if (pause := limits.pause()) > 0:
                await self._sleep(pause)
                continue
            if not limits.limited:
                return tokens
            if limits.counts_tokens:
                tokens = self._estimate.input_tokens(request) + self._estimate.output_tokens(
                    request
                )
            if (wait := limits.take(tokens)) <= 0:
                return tokens
            used = False
            try:
                await self._sleep(wait)
                # Where a pause began meanwhile, whoever waited would send at its end all at once.
                used = not self.stopped_by and limits.pause() <= 0
            finally:
                if not used:
                    limits.give_back(requests=1, tokens=tokens)
            if used:
                return tokens
        return tokens

    def _learn(
        self, request: Request, attempt: Attempt, *, tokens: int, sent_at: float, now: float
    ) -> None:
        """Tell limits and concurrency what an attempt was like."""
        self.counts["attempts"] += 1
        response = attempt.response
        if response is not None:
            self._estimate.learn(request, response, seconds=attempt.seconds)
            self.concurrency.succeeded(
                sent_at=sent_at, seconds=now - sent_at, output_tokens=response.output_tokens
            )
            if response.input_tokens and self._limits.counts_tokens:
                self._limits.give_back(
                    tokens=tokens - response.input_tokens - response.output_tokens
                )
            return
        self.counts[attempt.reason] += 1
        logger.debug(
            "request %s: %s: %s", request.id or request.key, attempt.reason, attempt.detail
        )
        if attempt.reason in _CONGESTION:
            self.concurrency.failed(
                sent_at=sent_at, now=now, refused=attempt.reason == "rate_limited"
            )
        if attempt.reason == "unauthorised":
            self.stop(f"the server does not accept the key: {attempt.detail}")
        if attempt.wait_seconds is not None:
            if attempt.wait_seconds > self._settings.max_pause_seconds:
                self.stop(
                    f"the server asks to wait {attempt.wait_seconds:,.0f} s ({attempt.detail})"
                )
            else:
                self._limits.pause_for(attempt.wait_seconds)

    def _billed(self, request: Request, attempt: Attempt) -> Decimal:
        """What an attempt costs, or may."""
        price = price_of(self._settings.prices, request.model)
        if attempt.response is not None:
            return price.of(self._used(request, attempt.response))
        return (
            price.at_risk(self._lost(request)) if attempt.reason in BILLED_PERHAPS else Decimal(0)
        )

    def _lost(self, request: Request) -> Usage:
        """What an attempt without an answer used at most."""
        return Usage(
            lost_requests=1,
            lost_input_tokens=self._estimate.most_input_tokens(request),
            lost_output_tokens=most_output_tokens(request),
        )

    def _used(self, request: Request, response: Response) -> Usage:
        """What an answer used; estimated where the server does not count."""
        if response.input_tokens or response.output_tokens:
            return Usage.of(response)
        size = len(response.text.encode()) + len(response.reasoning.encode())
        return Usage(
            requests=1,
            input_tokens=self._estimate.input_tokens(request),
            output_tokens=-(-size // 3),
        )

    def _keep(self, request: Request, response: Response, lost: Usage) -> Response:
        usage = self._used(request, response)
        if lost.lost_requests:
            usage += lost
        self._store.add(
            request.key, response, model=request.model, request_id=request.id, usage=usage
        )
        self.usage.add(request.model, usage)
        return response

    def _give_up(
        self, request: Request, index: int, attempt: Attempt, attempts: int, lost: Usage
    ) -> Failure:
        failure = Failure(
            reason=attempt.reason,
            detail=attempt.detail,
            request_id=request.id,
            index=index,
            limit=request.sampling.max_tokens,
            status=attempt.status,
            attempts=attempts,
        )
        self._store.add_failure(request.key, failure, model=request.model, usage=lost)
        self.usage.add(request.model, lost)
        self._failed_now.add((request.key, index))
        if attempt.reason in TRANSIENT:
            self._failures_in_a_row += 1
            if self._failures_in_a_row >= self._settings.max_failures_in_a_row:
                self.stop(
                    f"{self._failures_in_a_row} requests in a row failed, the last with"
                    f" {failure.reason}: {failure.detail}"
                )
        return failure

    def _not_sent(self, request: Request, index: int, lost: Usage, attempts: int) -> Failure:
        if lost.lost_requests:
            self._store.add_lost(request.model, lost)
            self.usage.add(request.model, lost)
        return Failure(
            reason="not_sent",
            detail=self.stopped_by,
            request_id=request.id,
            index=index,
            limit=request.sampling.max_tokens,
            attempts=attempts,
        )

    async def _sleep(self, seconds: float) -> None:
        """Sleep, unless the run stops."""
        with contextlib.suppress(TimeoutError):
            await asyncio.wait_for(self._stopping.wait(), seconds)


def _as_found(outcome: Response | Failure, request: Request) -> Response | Failure:
    """What another row bought, as this row sees it."""
    return (
        replace(outcome, request_id=request.id)
        if isinstance(outcome, Failure)
        else replace(outcome, from_store=True)
    )
