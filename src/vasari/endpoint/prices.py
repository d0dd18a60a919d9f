"""Money: what answers cost by the user's own price table, and a budget that is never exceeded."""

from __future__ import annotations

import asyncio
from collections.abc import Mapping
from decimal import Decimal

from pydantic import Field

from vasari.core.errors import ConfigError
from vasari.core.settings import Settings
from vasari.endpoint.usage import Usage

_MILLION = Decimal(1_000_000)


class Price(Settings):
    """What a model costs, in the user's currency for a million tokens; decimals, so that $0.15 is
    $0.15.
    """

    input: Decimal = Field(ge=0)
    output: Decimal = Field(ge=0)
    cached_input: Decimal | None = Field(default=None, ge=0)
    """Input tokens that the server had in its cache; None: as other input."""
    request: Decimal = Field(default=Decimal(0), ge=0)
    """Added for each request, whatever its tokens."""
    batch_factor: Decimal = Field(default=Decimal(1), ge=0)
    """What batch files cost of the normal price: 0.5 where they are half."""

    def of(self, usage: Usage) -> Decimal:
        """What was billed for this usage, exactly; lost attempts are not in it (see `at_risk`)."""
        cached = self.input if self.cached_input is None else self.cached_input
        tokens = (
            (usage.input_tokens - usage.cached_input_tokens) * self.input
            + usage.cached_input_tokens * cached
            + usage.output_tokens * self.output
            + self.batch_factor
            * (usage.batch_input_tokens * self.input + usage.batch_output_tokens * self.output)
        )
        return tokens / _MILLION + usage.requests * self.request

    def at_risk(self, usage: Usage) -> Decimal:
        """The most that may have been billed for attempts that brought no answer."""
        tokens = usage.lost_input_tokens * self.input + usage.lost_output_tokens * self.output
        return tokens / _MILLION + usage.lost_requests * self.request

    def most(self, *, input_tokens: int, output_tokens: int) -> Decimal:
        """What one request costs at most."""
        return (input_tokens * self.input + output_tokens * self.output) / _MILLION + self.request


PriceTable = Mapping[str, Price]
"""Prices by the model's name as it is asked for."""


def price_of(prices: PriceTable, model: str) -> Price:
    """The price of a model.

    Raises:
        ConfigError: The table does not have it.
    """
    if model not in prices:
        raise ConfigError(f"a budget needs a price for {model!r}; the table has {sorted(prices)}")
    return prices[model]


def money_spent(prices: PriceTable, usage: Mapping[str, Usage]) -> Decimal:
    """What all this usage cost, what is at risk included; models without a price cost nothing."""
    return sum(
        (
            prices[model].of(used) + prices[model].at_risk(used)
            for model, used in usage.items()
            if model in prices
        ),
        Decimal(0),
    )


class Budget:
    """Money that may be spent; what is in flight is reserved at its most, so the limit holds
    whatever comes back.

    A request that would exceed the limit waits while others are in flight, since they mostly cost
    less than reserved; when none is, the budget is spent.
    """

    def __init__(self, limit: Decimal, *, spent: Decimal) -> None:
        self.limit = limit
        self.spent = spent
        """What has been spent, by earlier runs on the same store too."""
        self._reserved = Decimal(0)
        self._settled = asyncio.Event()

    async def reserve(self, amount: Decimal) -> bool:
        """Whether the amount may be spent; True reserves it until `settle`."""
        while self.spent + self._reserved + amount > self.limit:
            if self._reserved == 0:
                return False
            self._settled.clear()
            await self._settled.wait()
        self._reserved += amount
        return True

    def settle(self, reserved: Decimal, spent: Decimal) -> None:
        """Replace a reservation by what was spent."""
        self._reserved -= reserved
        self.spent += spent
        self._settled.set()
