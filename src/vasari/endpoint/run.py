"""Many requests from code that is not asynchronous; Ctrl-C ends a run, not the answers it has
bought.
"""

from __future__ import annotations

import asyncio
import contextlib
import signal
import threading
from collections.abc import Callable, Collection, Iterable, Iterator
from dataclasses import dataclass

from vasari.endpoint.client import Answers, Client, Decided, RunReport
from vasari.endpoint.images import FindImage
from vasari.endpoint.limits import RateLimits
from vasari.endpoint.request import Request
from vasari.endpoint.settings import EndpointSettings
from vasari.endpoint.store import ResponseStore


@dataclass(frozen=True, slots=True, kw_only=True)
class Asked:
    """A finished run."""

    answers: tuple[Answers, ...]
    """One for each request, in their order; empty when a function took them as they came."""
    report: RunReport


def ask_all(
    settings: EndpointSettings,
    store: ResponseStore,
    requests: Iterable[Request],
    *,
    num_responses: int = 1,
    decided: Decided | None = None,
    images: FindImage | None = None,
    retry_failed: Collection[str] = (),
    limits: RateLimits | None = None,
    take: Callable[[Answers], None] | None = None,
) -> Asked:
    """Ask all requests and wait for them.

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
        images: As in `Client`.
        retry_failed: As in `Client`.
        limits: As in `Client`: of the server, where several runs ask it.
        take: Called with the answers to each request as they come; then none are kept in memory.

    Raises:
        StorageError: The disk refuses to keep answers.
        ConfigError: The key's variable is not set, or a model has no price and there is a budget.
    """

    async def main() -> Asked:
        found: dict[int, Answers] = {}
        async with Client(
            settings, store, images=images, retry_failed=retry_failed, limits=limits
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
    return _in_thread(lambda: asyncio.run(main()))


@contextlib.contextmanager
def _first_interrupt(stop: Callable[[], None]) -> Iterator[None]:
    """Take the first Ctrl-C as a wish to stop; the second does what it always does."""
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


def _in_thread(function: Callable[[], Asked]) -> Asked:
    outcome: list[Asked] = []
    errors: list[BaseException] = []

    def work() -> None:
        try:
            outcome.append(function())
        except BaseException as error:  # noqa: BLE001  (handed to the caller)
            errors.append(error)

    thread = threading.Thread(target=work, name="ask-all")
    thread.start()
    thread.join()
    if errors:
        raise errors[0]
    return outcome[0]
