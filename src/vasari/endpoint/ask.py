"""Sending requests within a server's limits and budget, and storing answers and failures."""

from __future__ import annotations

import asyncio
import contextlib
import logging
from collections import Counter, defaultdict
from collections.abc import Collection
from dataclasses import replace
from decimal import Decimal
from weakref import WeakValueDictionary

import numpy as np

from vasari.core.errors import ConfigError, DataError
from vasari.endpoint.cost import (
    Budget,
    TokenEstimate,
    Usage,
    money_spent,
    most_output_tokens,
    price_of,
)
from vasari.endpoint.images import encode_images
from vasari.endpoint.limits import AdaptiveConcurrency, RateLimits, backoff_seconds
from vasari.endpoint.request import Request, wire_body
from vasari.endpoint.response import (
    BILLED_PERHAPS,
    CONGESTION,
    FAILURE_REASONS,
    TRANSIENT,
    Failure,
    Response,
)
from vasari.endpoint.reuse import Reuse
from vasari.endpoint.settings import EndpointSettings
from vasari.endpoint.store import ResponseStore
from vasari.endpoint.streak import OF_THE_REQUEST
from vasari.endpoint.transport import Transport

FIRST_WAIT_SECONDS, MOST_WAIT_SECONDS = 0.02, 0.5
"""Between two looks at whether another process has done a request that it claimed."""

logger = logging.getLogger(__name__)


class Asker:
    """Sends requests within a server's limits and stores every answer and failure."""

    def __init__(
        self,
        settings: EndpointSettings,
        store: ResponseStore,
        *,
        retry_failed: Collection[str],
        limits: RateLimits | None,
        takes_empty: bool = False,
    ) -> None:
        if unknown := sorted(set(retry_failed) - set(FAILURE_REASONS)):
            raise ConfigError(
                f"retry_failed names {unknown}; the reasons of failures are"
                f" {sorted(FAILURE_REASONS)}"
            )
        self.transport = Transport(settings)
        self._settings = settings
        self._store = store
        self._reuse = Reuse(
            retry_failed=frozenset(retry_failed),
            server=settings.base_url,
            max_response_bytes=settings.max_response_bytes,
            takes_empty=takes_empty,
        )
        self._final = replace(self._reuse, retry_failed=())
        self._estimate = TokenEstimate(image_tokens=settings.image_tokens)
        self._limits = RateLimits.of(settings) if limits is None else limits
        # Not seeded, so that clients in several processes do not come back at the same time.
        self._generator = np.random.default_rng()
        self.concurrency = AdaptiveConcurrency(
            start=settings.start_concurrency,
            most=settings.max_concurrency,
            latency_tolerance=settings.latency_tolerance,
        )
        self.budget: Budget | None = None
        if settings.budget is not None:
            self.budget = Budget(settings.budget, spent=money_spent(settings.prices, store.usage))
        # Equal requests wait for the first, and then find its outcome in the store.
        self._locks: WeakValueDictionary[tuple[str, int], asyncio.Lock] = WeakValueDictionary()
        self._failed_now: set[tuple[str, int]] = set()
        # Not stored until an answer shows that the server works: else they are no failures of rows.
        self._held: dict[tuple[str, int], tuple[Request, Failure, Usage]] = {}
        self._stopping = asyncio.Event()
        self.stopped_by = ""
        """Why nothing more is sent; empty while the run goes on."""
        self.num_attempts = 0
        self.failed_attempts: Counter[str] = Counter()
        """Attempts without an answer, by reason."""
        self.outcomes: Counter[str] = Counter()
        """Answers, as `answered` or `from_store`, and failures by reason."""
        self.usage: defaultdict[str, Usage] = defaultdict(Usage)
        """What this run has used, by model."""

    def stop(self, why: str) -> None:
        """Send no further requests; wait for requests in flight and keep their answers."""
        if not self.stopped_by:
            logger.warning("no more requests are sent: %s", why)
            self.stopped_by = self._limits.stopped_by = why
            self._stopping.set()

    async def ask(self, request: Request, index: int) -> Response | Failure:
        """Return the `index`-th answer to a request (stored or from the server), or a failure.

        Equal requests at one time are sent once. What failed in this run is not sent again in it.

        Raises:
            StorageError: The disk refuses to keep answers, so none more is bought.
            ConfigError: There is a budget and no price for the model.
        """
        outcome = self._find(request, index)
        if outcome is None:
            lock = self._locks.setdefault((request.key, index), asyncio.Lock())
            async with lock:
                outcome = self._find(request, index) or await self._claim(request, index)
        if isinstance(outcome, Failure):
            self.outcomes[outcome.reason] += 1
            if outcome.reason != "not_sent":
                self._store.hand_out(outcome)
        else:
            self.outcomes["from_store" if outcome.from_store else "answered"] += 1
        return outcome

    def finish(self) -> None:
        """Store the failures that no answer came after; not those of a run that was stopped.

        Raises:
            StorageError: The disk refuses to keep them.
        """
        if not self.stopped_by:
            self._store_held()
        for request, _, lost in self._held.values():
            self._lose(request, lost)
        self._held.clear()

    def _find(self, request: Request, index: int) -> Response | Failure | None:
        slot = request.key, index
        if slot in self._held:
            return replace(self._held[slot][1], request_id=request.id)
        rules = self._final if slot in self._failed_now else self._reuse
        return self._store.look_up(request, index, rules)

    async def _claim(self, request: Request, index: int) -> Response | Failure:
        """Ask, unless another process that shares the store does: then wait for its outcome."""
        wait = FIRST_WAIT_SECONDS
        while not self._store.claim(request.key, index):
            await self._sleep(wait)
            wait = min(2 * wait, MOST_WAIT_SECONDS)
            if self.stopped_by:
                return self._not_sent(request, index)
        try:
            self._refresh()
            return self._find(request, index) or await self._fetch(request, index)
        finally:
            self._store.give_back(request.key, index)

    def _refresh(self) -> None:
        """Take in what other processes have stored and spent."""
        used = self._store.refresh()
        if self.budget is not None:
            self.budget.spent += money_spent(self._settings.prices, used)

    async def _fetch(self, request: Request, index: int) -> Response | Failure:
        """Send until there is an answer, or no point in another attempt; store the outcome."""
        lost, made = Usage(), 0
        failure: Failure | None = None
        while made < self._settings.max_attempts and not self.stopped_by:
            if failure and (failure.wait_seconds or 0.0) < self._settings.backoff_seconds:
                await self._sleep(
                    backoff_seconds(
                        made,
                        first=self._settings.backoff_seconds,
                        most=self._settings.max_backoff_seconds,
                        jitter=self._generator.random(),
                    )
                )
            outcome = await self._attempt(request, index)
            if outcome is None:
                break
            made += outcome.attempts
            if isinstance(outcome, Response):
                limit = request.sampling.max_tokens
                response = replace(outcome, index=index, limit=limit, attempts=made)
                return self._keep(request, response, lost)
            failure = outcome
            if failure.reason in BILLED_PERHAPS:
                lost += self._lost(request)
            if failure.reason not in TRANSIENT:
                break
        if failure is None or (self.stopped_by and failure.reason not in OF_THE_REQUEST):
            self._lose(request, lost)
            return self._not_sent(request, index)
        return self._give_up(
            request,
            replace(
                failure,
                request_id=request.id,
                key=request.key,
                index=index,
                limit=request.sampling.max_tokens,
                attempts=made,
            ),
            lost,
        )

    async def _attempt(self, request: Request, index: int) -> Response | Failure | None:
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
                try:
                    encoded = await encode_images(request.images)
                    body = wire_body(
                        request, index, encoded, limit_field=self._settings.limit_field
                    )
                    del encoded
                except DataError as error:
                    return Failure.of_error(error)
                outcome = await self.transport.post(body)
                del body  # not kept through back-off: it is made again
            finally:
                self.concurrency.release()
            self._learn(request, outcome, tokens=tokens, sent_at=sent_at, now=clock())
            if self.budget is not None:
                spent = self._billed(request, outcome)
            return outcome
        finally:
            if self.budget is not None and reserved is not None:
                self.budget.settle(reserved, spent)

    async def _reserve(self, request: Request) -> Decimal | None:
        """Reserve money for an attempt, or stop the run because there is none."""
        if self.budget is None:
            return None
        most = price_of(self._settings.prices, request.model).at_risk(self._lost(request))
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
            if limits.counts_tokens:
                expected = self._estimate.output_tokens(most_output_tokens(request))
                tokens = self._estimate.input_tokens(request) + expected
            if (wait := limits.take(tokens)) <= 0:
                return tokens
            used = False
            try:
                await self._sleep(wait)
                # If a pause began meanwhile, all that waited would be sent together at its end.
                used = not self.stopped_by and limits.pause() <= 0
            finally:
                if not used:
                    limits.give_back(requests=1, tokens=tokens)
            if used:
                return tokens
        return tokens

    def _learn(
        self,
        request: Request,
        outcome: Response | Failure,
        *,
        tokens: int,
        sent_at: float,
        now: float,
    ) -> None:
        """Count an attempt and adapt limits and concurrency to its outcome."""
        self.num_attempts += 1
        if isinstance(outcome, Response):
            self._estimate.learn(request, outcome)
            self.concurrency.succeeded(
                sent_at=sent_at, seconds=now - sent_at, output_tokens=outcome.output_tokens
            )
            if outcome.input_tokens and self._limits.counts_tokens:
                self._limits.give_back(tokens=tokens - outcome.input_tokens - outcome.output_tokens)
            return
        reason, detail, wait = outcome.reason, outcome.detail, outcome.wait_seconds
        self.failed_attempts[reason] += 1
        logger.debug("request %s: %s: %s", request.id or request.key, reason, detail)
        if reason in CONGESTION:
            self.concurrency.failed(sent_at=sent_at, now=now, refused=reason == "rate_limited")
        if reason == "unauthorised":
            self.stop(f"the server does not accept the key: {detail}")
        if wait is not None and wait > self._settings.max_pause_seconds:
            self.stop(f"the server asks to wait {wait:,.0f} s ({detail})")
        elif wait is not None:
            self._limits.pause_for(wait)

    def _billed(self, request: Request, outcome: Response | Failure) -> Decimal:
        """The cost of an attempt; the most it may be where no answer came."""
        price = price_of(self._settings.prices, request.model)
        if isinstance(outcome, Response):
            return price.of(self._used(request, outcome))
        billed = outcome.reason in BILLED_PERHAPS
        return price.at_risk(self._lost(request)) if billed else Decimal(0)

    def _lost(self, request: Request) -> Usage:
        """The most that an attempt without an answer can have used."""
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

    def _keep(self, request: Request, response: Response, lost: Usage) -> Response | Failure:
        """Store an answer; return the failure in its place where it is none of the model."""
        usage = self._used(request, response) + lost
        self._store.add(
            request.key, response, model=request.model, request_id=request.id, usage=usage
        )
        self.usage[request.model] += usage
        if not self._reuse.fault(response):
            self._limits.streaks[request.model].answered()
            self._store_held()
            return response
        self._failed_now.add((request.key, response.index))
        failure = Failure.of_faulty(response, request_id=request.id, key=request.key)
        self._count(request, failure)
        return failure

    def _give_up(self, request: Request, failure: Failure, lost: Usage) -> Failure:
        slot = request.key, failure.index
        self._failed_now.add(slot)
        self._held[slot] = request, failure, lost
        if failure.reason in OF_THE_REQUEST:
            self._store_held(slot)
        else:
            self._count(request, failure)
        return failure

    def _count(self, request: Request, failure: Failure) -> None:
        if why := self._limits.streaks[request.model].failed(failure, self._settings):
            self.stop(why)

    def _store_held(self, *slots: tuple[str, int]) -> None:
        """Store failures that were held back: those named, else all."""
        for slot in slots or tuple(self._held):
            request, failure, lost = self._held.pop(slot)
            self._store.add_failure(request.key, failure, model=request.model, usage=lost)
            self.usage[request.model] += lost

    def _lose(self, request: Request, lost: Usage) -> None:
        if lost.lost_requests:
            self._store.add_lost(request.model, lost)
            self.usage[request.model] += lost

    def _not_sent(self, request: Request, index: int) -> Failure:
        return Failure(
            reason="not_sent",
            detail=self.stopped_by,
            request_id=request.id,
            key=request.key,
            index=index,
            limit=request.sampling.max_tokens,
        )

    async def _sleep(self, seconds: float) -> None:
        """Sleep, unless the run stops."""
        with contextlib.suppress(TimeoutError):
            await asyncio.wait_for(self._stopping.wait(), seconds)
