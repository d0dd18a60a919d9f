"""Sending many requests to a server: `Client` for asynchronous code, `ask_all` for other code."""

from __future__ import annotations

import asyncio
import contextlib
import inspect
import signal
import threading
import time
from collections.abc import (
    AsyncGenerator,
    Awaitable,
    Callable,
    Collection,
    Coroutine,
    Iterable,
    Iterator,
    Mapping,
    Sequence,
)
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from decimal import Decimal
from typing import Any, Self, TypeVar

from vasari.core.errors import ConfigError
from vasari.endpoint.ask import Asker
from vasari.endpoint.cost import Usage, money_spent
from vasari.endpoint.limits import RateLimits
from vasari.endpoint.request import Request
from vasari.endpoint.response import FAILURE_REASONS, Failure, Response
from vasari.endpoint.settings import EndpointSettings
from vasari.endpoint.store import ResponseStore

T = TypeVar("T")

Decided = Callable[[Request, Sequence[Response]], bool | Awaitable[bool]]
"""Function that says whether the answers so far are enough, so that no more are drawn."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Answers:
    """Answers to one request, and a failure for each wanted answer that did not come."""

    request: Request
    position: int = 0
    """Place of the request among those of `stream` or `ask_all`, 0 the first."""
    responses: tuple[Response, ...] = ()
    """In the order of their numbers; fewer than asked for where some failed or `decided` said
    that these are enough."""
    failures: tuple[Failure, ...] = ()

    @property
    def response(self) -> Response | None:
        """The first answer to the request, or None if no answer came."""
        return self.responses[0] if self.responses else None


@dataclass(frozen=True, slots=True, kw_only=True)
class RunReport:
    """Summary of a run of requests: numbers of answers and failures, tokens, cost and time.

    Every answer that was wanted counts in one of `answered`, `from_store`, `failed`, `not_sent`.
    """

    answered: int
    """Answers bought in this run."""
    from_store: int
    """Answers that the store had."""
    failed: Mapping[str, int]
    """Failures by reason, those in the store included."""
    not_sent: int
    """Answers left for another run, because this one was stopped."""
    attempts: int
    """Requests that went to the server."""
    attempts_failed: Mapping[str, int]
    """Attempts without an answer, by reason; most were repeated."""
    usage: Mapping[str, Usage]
    """Requests and tokens of this run, by model."""
    money: Decimal
    """What this run cost by the price table, with what attempts without an answer may have cost."""
    seconds: float
    stopped_by: str
    """Why the run ended early; empty when it did not."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Asked:
    """Result of `ask_all`: the answers to each request, and a summary of the run."""

    # asyncio.run takes the repr of its finished task four times, as it restores the signal handler.
    answers: tuple[Answers, ...] = field(repr=False)
    """One for each request, in their order; empty when a function took them as they came."""
    report: RunReport


class Client:
    """Asynchronous client of one server that stores every answer before returning it.

    Use as `async with Client(settings, store) as client`. One client belongs to one event loop.

    Args:
        settings: Server, limits, prices.
        store: Where answers are kept and looked up; stays open when the client is closed.
        retry_failed: Reasons (of `FAILURE_REASONS`) whose stored failures are asked again.
        limits: What is left of the minute's limits, shared with other clients of the same server;
            by default those of `settings`, all of them left.
        takes_empty: An answer without text, or one that declines, is an answer and not a failure:
            where a model is measured, it is the model's own.

    Raises:
        ConfigError: The key's variable is not set, or a reason is unknown.
    """

    def __init__(
        self,
        settings: EndpointSettings,
        store: ResponseStore,
        *,
        retry_failed: Collection[str] = (),
        limits: RateLimits | None = None,
        takes_empty: bool = False,
    ) -> None:
        self.settings = settings
        self._asker = Asker(
            settings, store, retry_failed=retry_failed, limits=limits, takes_empty=takes_empty
        )
        self._started = time.monotonic()

    async def __aenter__(self) -> Self:
        await self._asker.transport.open()
        self._started = time.monotonic()
        return self

    async def __aexit__(self, kind: type[BaseException] | None, *_: object) -> None:
        await self._asker.transport.close()
        if kind is None:
            self._asker.finish()

    def stop(self, why: str) -> None:
        """Send no further requests: answers in flight are kept, the rest fail as `not_sent`."""
        self._asker.stop(why)

    def report(self) -> RunReport:
        """Return a summary of the run so far: answers, failures, tokens, cost and time."""
        asker, outcomes = self._asker, self._asker.outcomes
        return RunReport(
            answered=outcomes["answered"],
            from_store=outcomes["from_store"],
            failed={
                reason: count
                for reason, count in sorted(outcomes.items())
                if reason in FAILURE_REASONS and reason != "not_sent"
            },
            not_sent=outcomes["not_sent"],
            attempts=asker.num_attempts,
            attempts_failed=dict(sorted(asker.failed_attempts.items())),
            usage=dict(asker.usage),
            money=money_spent(self.settings.prices, asker.usage),
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
        """Return up to `num_responses` answers to one request, from the store or the server.

        Args:
            request: What is asked.
            num_responses: How many different answers; each has its number, its seed and its place
                in the store.
            decided: Asked after each answer; True draws no more. Answers are then drawn one after
                another, so that the same ones are drawn in every run; different requests still go
                on at the same time.
            position: Becomes `Answers.position`.

        Raises:
            StorageError: The disk refuses to keep answers.
        """
        if num_responses < 1:
            raise ConfigError(f"num_responses must be at least 1, got {num_responses}")
        responses: list[Response] = []
        failures: list[Failure] = []
        if decided is None and num_responses > 1:
            found = await _all(self._asker.ask(request, index) for index in range(num_responses))
        else:
            found = []
        for index in range(num_responses):
            outcome = found[index] if found else await self._asker.ask(request, index)
            if isinstance(outcome, Failure):
                failures.append(outcome)
                continue
            responses.append(outcome)
            if decided is not None and index + 1 < num_responses:
                enough = decided(request, responses)
                if await enough if inspect.isawaitable(enough) else enough:
                    break
        return Answers(
            request=request, position=position, responses=tuple(responses), failures=tuple(failures)
        )

    async def stream(
        self, requests: Iterable[Request], *, num_responses: int = 1, decided: Decided | None = None
    ) -> AsyncGenerator[Answers, None]:
        """Yield each request's answers as soon as they arrive, with the request's position.

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
                answers = await self.ask(
                    request, num_responses=num_responses, decided=decided, position=position
                )
                await done.put(answers)

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


async def _all(coroutines: Iterable[Coroutine[Any, Any, T]]) -> list[T]:
    """The results of all coroutines; the first error cancels the rest."""
    tasks = [asyncio.create_task(coroutine) for coroutine in coroutines]
    try:
        return await asyncio.gather(*tasks)
    except BaseException:
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)
        raise


def ask_all(
    settings: EndpointSettings,
    store: ResponseStore,
    requests: Iterable[Request],
    *,
    num_responses: int = 1,
    decided: Decided | None = None,
    retry_failed: Collection[str] = (),
    limits: RateLimits | None = None,
    takes_empty: bool = False,
    take: Callable[[Answers], None] | None = None,
) -> Asked:
    """Send all requests and wait for their answers; return them with a summary of the run.

    The first Ctrl-C sends nothing more, waits for what is in flight and returns:
    `report.stopped_by` is "interrupted" and the rest are failures `not_sent`, which the next run
    asks. A second one raises KeyboardInterrupt; the store is usable after it. May be called where
    an event loop runs already (a notebook): it then uses a thread.

    Args:
        settings: Server, limits, prices.
        store: Where answers are kept and looked up.
        requests: Taken as there is room.
        num_responses: Answers to each.
        decided: As in `Client.ask`.
        retry_failed: As in `Client`.
        limits: As in `Client`: of the server, where several runs ask it.
        takes_empty: As in `Client`.
        take: Called with the answers to each request as they come; then none are kept in memory.

    Raises:
        StorageError: The disk refuses to keep answers.
        ConfigError: The key's variable is not set, or a model has no price and there is a budget.
    """

    async def main() -> Asked:
        found: dict[int, Answers] = {}
        async with Client(
            settings, store, retry_failed=retry_failed, limits=limits, takes_empty=takes_empty
        ) as client:
            with _first_interrupt(lambda: client.stop("interrupted")):
                async with contextlib.aclosing(
                    client.stream(requests, num_responses=num_responses, decided=decided)
                ) as stream:
                    async for answers in stream:
                        if take is None:
                            found[answers.position] = answers
                        else:
                            take(answers)
            report = client.report()
        return Asked(answers=tuple(found[position] for position in sorted(found)), report=report)

    try:
        asyncio.get_running_loop()
    except RuntimeError:
        return asyncio.run(main())
    return ThreadPoolExecutor(1, "ask-all").submit(lambda: asyncio.run(main())).result()


@contextlib.contextmanager
def _first_interrupt(stop: Callable[[], None]) -> Iterator[None]:
    """Call `stop` at the first Ctrl-C; the second does what it always does."""
    if threading.current_thread() is not threading.main_thread():
        yield
        return
    loop = asyncio.get_running_loop()
    before = signal.getsignal(signal.SIGINT)
    if before is signal.SIG_IGN:  # a job in the background of a script: Ctrl-C is not meant for it
        yield
        return

    def interrupted(*_: object) -> None:
        signal.signal(signal.SIGINT, before)
        loop.call_soon_threadsafe(stop)

    signal.signal(signal.SIGINT, interrupted)
    try:
        yield
    finally:
        signal.signal(signal.SIGINT, before)
