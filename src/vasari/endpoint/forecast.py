"""Forecast of a run's requests, tokens, money and time, before anything is sent."""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Callable, Collection, Iterable, Mapping
from dataclasses import dataclass
from decimal import Decimal

from vasari.endpoint.cost import TokenEstimate, Usage, money_spent, most_output_tokens
from vasari.endpoint.request import Request
from vasari.endpoint.response import Response
from vasari.endpoint.reuse import Reuse
from vasari.endpoint.settings import EndpointSettings
from vasari.endpoint.store import ResponseStore

ASSUMED_SECONDS = 10.0
"""Assumed seconds per answer where the store has no answers to learn from."""

SAMPLE = 1000
"""Stored answers, at most, from which the length and time of new answers are estimated."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Forecast:
    """Expected requests, tokens, money and time of a run, and upper bounds on tokens and money.

    The upper bounds (`most_...`) are exceeded only if input tokens are underestimated.
    """

    requests: int
    """Answers to buy; attempts that fail come on top."""
    from_store: int
    """Answers and failures that the store has already."""
    input_tokens: int
    output_tokens: int
    """Expected output tokens, from the length of stored answers; without any, the token limit."""
    most_output_tokens: int
    money: Decimal | None
    """Expected cost; None without a price for every model."""
    most_money: Decimal | None
    already_spent: Decimal
    """Money that earlier runs on this store have spent."""
    fits_budget: bool | None
    """Whether `most_money` and `already_spent` stay within the budget; None without one."""
    seconds: float
    """Expected time at the rate limits, or at full concurrency if that is slower."""

    def __str__(self) -> str:
        money = (
            "unknown (no price)"
            if self.money is None
            else f"{self.money:.4f}, at most {self.most_money:.4f}"
        )
        fits = {
            None: "",
            True: "; within the budget",
            False: "; MAY EXCEED THE BUDGET, and would then stop",
        }[self.fits_budget]
        return (
            f"{self.requests:,} requests to send, {self.from_store:,} answered already;"
            f" {self.input_tokens:,} input and {self.output_tokens:,} output tokens (at most"
            f" {self.most_output_tokens:,}); money {money}, {self.already_spent:.4f} spent"
            f" before{fits}; about {self.seconds:,.0f} s"
        )


def forecast(
    settings: EndpointSettings,
    store: ResponseStore,
    requests: Iterable[Request],
    *,
    num_responses: int = 1,
    retry_failed: Collection[str] = (),
) -> Forecast:
    """Forecast requests, tokens, money and time of a run; sends nothing and needs no API key.

    Args:
        settings: Limits and prices.
        store: Its answers are not bought again; they give the expected length of new ones.
        requests: Iterated over once. Equal requests count once.
        num_responses: Answers to each, all of them drawn.
        retry_failed: As in `Client`.
    """
    estimate = TokenEstimate(image_tokens=settings.image_tokens)
    learnt = wanted = 0
    guessed = defaultdict[str, float](float)
    limits: Counter[tuple[str, int]] = Counter()
    reuse = Reuse(
        retry_failed=retry_failed,
        server=settings.base_url,
        max_response_bytes=settings.max_response_bytes,
    )
    for request, _, found in store.look_up_all(requests, num_responses, reuse):
        wanted += 1
        if found is None:
            guessed[request.model] += estimate.raw_input_tokens(request)
            limits[request.model, most_output_tokens(request)] += 1
        elif isinstance(found, Response) and learnt < SAMPLE:
            estimate.learn(request, found)
            learnt += 1
    return _total(settings, store, estimate, guessed, limits, wanted)


def _total(
    settings: EndpointSettings,
    store: ResponseStore,
    estimate: TokenEstimate,
    guessed: Mapping[str, float],
    limits: Counter[tuple[str, int]],
    wanted: int,
) -> Forecast:
    """The sums of what was found, by model."""

    def usage(output_tokens: Callable[[int], int]) -> dict[str, Usage]:
        total = {
            model: Usage(input_tokens=round(raw * estimate.input_ratio))
            for model, raw in guessed.items()
        }
        for (model, limit), number in limits.items():
            total[model] += Usage(requests=number, output_tokens=number * output_tokens(limit))
        return total

    expected, most = usage(estimate.output_tokens), usage(lambda limit: limit)
    priced = expected.keys() <= settings.prices.keys()
    most_money = money_spent(settings.prices, most) if priced else None
    spent = money_spent(settings.prices, store.usage)
    fits = None
    if settings.budget is not None and most_money is not None:
        fits = spent + most_money <= settings.budget
    total = sum(expected.values(), Usage())
    times = [total.requests * (estimate.seconds or ASSUMED_SECONDS) / settings.max_concurrency]
    if settings.requests_per_minute:
        times.append(total.requests * 60 / settings.requests_per_minute)
    if settings.tokens_per_minute:
        tokens = total.input_tokens + total.output_tokens
        times.append(tokens * 60 / settings.tokens_per_minute)
    return Forecast(
        requests=total.requests,
        from_store=wanted - total.requests,
        input_tokens=total.input_tokens,
        output_tokens=total.output_tokens,
        most_output_tokens=sum(used.output_tokens for used in most.values()),
        money=money_spent(settings.prices, expected) if priced else None,
        most_money=most_money,
        already_spent=spent,
        fits_budget=fits,
        seconds=max(times),
    )
