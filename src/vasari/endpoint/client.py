"""An OpenAI-compatible server as a dependable function."""

from __future__ import annotations

import asyncio
import inspect
import time
from collections import Counter
from collections.abc import (
    AsyncGenerator,
    Awaitable,
    Callable,
    Collection,
    Coroutine,
    Iterable,
    Mapping,
    Sequence,
)
from dataclasses import dataclass
from decimal import Decimal
from types import TracebackType
from typing import Any, Self, TypeVar

from vasari.core.errors import ConfigError
from vasari.endpoint.ask import Asker
from vasari.endpoint.images import FindImage
from vasari.endpoint.limits import RateLimits
from vasari.endpoint.prices import money_spent
from vasari.endpoint.request import Request
from vasari.endpoint.response import Failure, Response
from vasari.endpoint.secret import Secret
from vasari.endpoint.settings import EndpointSettings
from vasari.endpoint.store import ResponseStore
from vasari.endpoint.transport import Transport
from vasari.endpoint.usage import Usage

T = TypeVar("T")

Decided = Callable[[Request, Sequence[Response]], bool | Awaitable[bool]]
"""Whether the answers so far settle what was asked for, so that no more are drawn."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Answers:
    """What came of one request."""

    request: Request
    position: int
    """Place of the request in what was asked, 0 the first."""
    responses: tuple[Response, ...] = ()
    """In the order of their numbers; fewer than asked for where some failed or the matter was
    decided."""
    failures: tuple[Failure, ...] = ()

    @property
    def response(self) -> Response | None:
        """The first answer, or None."""
        return self.responses[0] if self.responses else None


@dataclass(frozen=True, slots=True, kw_only=True)
class RunReport:
    """A run in numbers; every answer that was wanted is in one of `answered`, `from_store`,
    `failed`, `not_sent`.
    """

    answered: int
    """Bought in this run."""
    from_store: int
    """Already there."""
    failed: Mapping[str, int]
    """Failures by reason, those in the store included."""
    not_sent: int
    """Left for another run."""
    attempts: int
    """Requests that went to the server."""
    attempts_failed: Mapping[str, int]
    """Attempts without an answer, by reason; most were made again."""
    usage: Mapping[str, Usage]
    """Of this run, by model."""
    money: Decimal
    """What this run cost by the price table, with what attempts without an answer may have cost."""
    seconds: float
    stopped_by: str
    """Why the run ended early; empty when it did not."""


class Client:
    """Asks one server; every answer is stored before it is handed on.

    Use as `async with Client(settings, store) as client`. One client belongs to one event loop.

    Args:
        settings: Server, limits, prices.
        store: Where answers are kept and looked up; stays open when the client is closed.
        images: Finds the bytes of images whose request does not carry them, by their SHA-256.
        retry_failed: Reasons (of `FAILURE_REASONS`) whose stored failures are asked again.
        limits: What is left of the minute's limits, shared with other clients of the same server;
            by default those of `settings`, all of them left.
        seed: Of the random part of back-off.

    Raises:
        ConfigError: The key's variable is not set, or a reason is unknown.
    """

    def __init__(
        self,
        settings: EndpointSettings,
        store: ResponseStore,
        *,
        images: FindImage | None = None,
        retry_failed: Collection[str] = (),
        limits: RateLimits | None = None,
        seed: int = 0,
    ) -> None:
        self.settings = settings
        self._transport = Transport(settings, Secret.from_environment(settings.api_key_env))
        self._asker = Asker(
            settings,
            store,
            self._transport,
            images=images,
            retry_failed=retry_failed,
            limits=limits,
            seed=seed,
        )
        self._outcomes: Counter[str] = Counter()
        self._started = time.monotonic()

    async def __aenter__(self) -> Self:
        await self._transport.__aenter__()
        self._started = time.monotonic()
        return self

    async def __aexit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        await self._transport.__aexit__(kind, error, trace)

    @property
    def concurrency(self) -> int:
        """Requests at once, as the server allows now."""
        return self._asker.concurrency.limit

    def stop(self, why: str) -> None:
        """Send nothing more: what is in flight is kept, the rest comes back as failures
        `not_sent`.
        """
        self._asker.stop(why)

    def report(self) -> RunReport:
        """The run so far."""
        asker, outcomes = self._asker, self._outcomes
        usage = asker.usage.by_model()
        return RunReport(
            answered=outcomes["answered"],
            from_store=outcomes["from_store"],
            failed={
                name[2:]: n
                for name, n in sorted(outcomes.items())
                if name.startswith("f:") and name != "f:not_sent"
            },
            not_sent=outcomes["f:not_sent"],
            attempts=asker.counts["attempts"],
            attempts_failed={
                name: count for name, count in sorted(asker.counts.items()) if name != "attempts"
            },
            usage=usage,
            money=money_spent(self.settings.prices, usage),
            seconds=time.monotonic() - self._started,
            stopped_by=asker.stopped_by,
        )

    async def ask(
        self,
        request: Request,
        *,
        num_responses: int = 1,
        decided: Decided | None = None,
        position: int = 0,
    ) -> Answers:
        """Up to `num_responses` answers to one request.

        Args:
            request: What is asked.
            num_responses: How many different answers; each has its number, its seed and its place
                in the store.
            decided: Asked after each answer; True draws no more. Answers are then drawn one after
                another, so that the same ones are drawn in every run; different requests still go
                on at the same time.
            position: Handed back in the result.

        Raises:
            StorageError: The disk refuses to keep answers.
        """
        if num_responses < 1:
            raise ConfigError(f"num_responses must be at least 1, got {num_responses}")
        responses: list[Response] = []
        failures: list[Failure] = []
        if decided is None and num_responses > 1:
            found = await _all(self._one(request, index) for index in range(num_responses))
        else:
            found = []
        for index in range(num_responses):
            outcome = found[index] if found else await self._one(request, index)
            if isinstance(outcome, Failure):
                failures.append(outcome)
                continue
            responses.append(outcome)
            if (
                decided is not None
                and index + 1 < num_responses
                and await _truth(decided(request, responses))
            ):
                break
        return Answers(
            request=request, position=position, responses=tuple(responses), failures=tuple(failures)
        )

    async def stream(
        self, requests: Iterable[Request], *, num_responses: int = 1, decided: Decided | None = None
    ) -> AsyncGenerator[Answers, None]:
        """Answers to many requests as they come, in no order; `position` tells which.

        Requests are taken from the iterable as there is room, so it may be long and made on the
        way. Memory does not grow with it.

        Raises:
            StorageError: The disk refuses to keep answers.
        """
        numbered = enumerate(requests)
        room = 2 * self.settings.max_concurrency
        done: asyncio.Queue[Answers | None] = asyncio.Queue(maxsize=room)

        async def work() -> None:
            for position, request in numbered:
                await done.put(
                    await self.ask(
                        request, num_responses=num_responses, decided=decided, position=position
                    )
                )

        async def work_all() -> None:
            try:
                await _all(work() for _ in range(room))
            except Exception:
                await done.put(None)  # what is done comes first, then the error
                raise
            await done.put(None)

        workers = asyncio.create_task(work_all())
        try:
            while (answers := await done.get()) is not None:
                yield answers
            await workers
        finally:
            workers.cancel()
            await asyncio.gather(workers, return_exceptions=True)

    async def _one(self, request: Request, index: int) -> Response | Failure:
        outcome = await self._asker.ask(request, index)
        if isinstance(outcome, Failure):
            self._outcomes[f"f:{outcome.reason}"] += 1
        else:
            self._outcomes["from_store" if outcome.from_store else "answered"] += 1
        return outcome


async def _truth(value: bool | Awaitable[bool]) -> bool:
    return await value if inspect.isawaitable(value) else value


async def _all(coroutines: Iterable[Coroutine[Any, Any, T]]) -> list[T]:
    """All results; the first error cancels the rest."""
    tasks = [asyncio.create_task(coroutine) for coroutine in coroutines]
    try:
        return await asyncio.gather(*tasks)
    except BaseException:
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)
        raise
