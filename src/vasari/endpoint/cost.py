"""Cost of requests: estimates and counts of tokens, the user's prices, and a spending limit."""

from __future__ import annotations

import asyncio
import operator
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from decimal import Decimal
from typing import Self

from pydantic import Field

from vasari.core.errors import ConfigError
from vasari.core.settings import Settings
from vasari.endpoint.request import Request
from vasari.endpoint.response import Response

BYTES_A_TOKEN = 3.0
"""Assumed UTF-8 bytes per token; English has about 4, mathematics and other scripts fewer."""

TOKENS_A_MESSAGE = 8
"""Assumed tokens of a message's role and separators."""

MOST_TOKENS_A_MESSAGE = 32
"""Most tokens that a chat template may add to a message."""

UNLIMITED_TOKENS = 32_768
"""Most output tokens assumed for a request without `max_tokens`; its budget reservation uses it."""

_MILLION = Decimal(1_000_000)


@dataclass(frozen=True, slots=True)
class Usage:
    """Counts of requests and of their input and output tokens; `+` and `-` take two `Usage`.

    `batch` counts are those of provider batch files, which cost less.
    """

    requests: int = 0
    input_tokens: int = 0
    cached_input_tokens: int = 0
    """Part of the input tokens."""
    output_tokens: int = 0
    lost_requests: int = 0
    """Attempts that ended without an answer but may have been billed."""
    lost_input_tokens: int = 0
    """Estimated tokens of those attempts."""
    lost_output_tokens: int = 0
    """The most that those attempts can have generated: `max_tokens` each."""
    batch_input_tokens: int = 0
    batch_output_tokens: int = 0

    @classmethod
    def of(cls, response: Response, *, batch: bool = False) -> Self:
        """Return the request and token counts of one answer."""
        if batch:
            return cls(
                requests=1,
                batch_input_tokens=response.input_tokens,
                batch_output_tokens=response.output_tokens,
            )
        return cls(
            requests=1,
            input_tokens=response.input_tokens,
            cached_input_tokens=response.cached_input_tokens,
            output_tokens=response.output_tokens,
        )

    def __add__(self, other: Usage) -> Usage:
        return Usage(*map(operator.add, _COUNTS(self), _COUNTS(other)))

    def __sub__(self, other: Usage) -> Usage:
        return Usage(*map(operator.sub, _COUNTS(self), _COUNTS(other)))

    def to_row(self) -> list[int]:
        """Return the request and token counts as a list in field order, without trailing zeros."""
        row = list(_COUNTS(self))
        while row and row[-1] == 0:
            row.pop()
        return row

    @classmethod
    def from_row(cls, row: Sequence[int]) -> Self:
        """Make a `Usage` from a list that `to_row` returned."""
        return cls(*row)


_COUNTS = operator.attrgetter(*Usage.__slots__)


class Price(Settings):
    """Prices of a model per million tokens and per request, in the user's currency.

    Decimals, so that $0.15 is exactly $0.15.
    """

    input: Decimal = Field(ge=0)
    output: Decimal = Field(ge=0)
    cached_input: Decimal | None = Field(default=None, ge=0)
    """Input tokens that the server had in its cache; None: as other input."""
    request: Decimal = Field(default=Decimal(0), ge=0)
    """Added for each request, whatever its tokens."""
    batch_factor: Decimal = Field(default=Decimal(1), ge=0)
    """Share of the normal price that batch files cost: 0.5 where they are half."""

    def of(self, usage: Usage) -> Decimal:
        """Return the exact cost of the tokens and requests in `usage` that brought answers."""
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
        """Return the most that the attempts without an answer in `usage` may have cost."""
        tokens = usage.lost_input_tokens * self.input + usage.lost_output_tokens * self.output
        return tokens / _MILLION + usage.lost_requests * self.request


def price_of(prices: Mapping[str, Price], model: str) -> Price:
    """Return the prices of a model's tokens and requests from the price table.

    Raises:
        ConfigError: The table does not have it.
    """
    if model not in prices:
        raise ConfigError(f"a budget needs a price for {model!r}; the table has {sorted(prices)}")
    return prices[model]


def money_spent(prices: Mapping[str, Price], usage: Mapping[str, Usage]) -> Decimal:
    """Return the cost of all models' usage, unanswered attempts at their highest possible cost.

    Models without a price cost nothing.
    """
    return sum(
        (
            prices[model].of(used) + prices[model].at_risk(used)
            for model, used in usage.items()
            if model in prices
        ),
        Decimal(0),
    )


class Budget:
    """Spending limit: each request reserves the most it may cost before it is sent.

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
        """Reserve money until `settle` is called; return whether the spending limit allows it."""
        while self.spent + self._reserved + amount > self.limit:
            if self._reserved == 0:
                return False
            self._settled.clear()
            await self._settled.wait()
        self._reserved += amount
        return True

    def settle(self, reserved: Decimal, spent: Decimal) -> None:
        """Replace a reserved amount of money by what was really spent."""
        self._reserved -= reserved
        self.spent += spent
        self._settled.set()


class TokenEstimate:
    """Estimate of the tokens of coming requests, corrected by the server's counts of past ones."""

    def __init__(self, *, image_tokens: int) -> None:
        self._image_tokens = image_tokens
        self._guessed = self._counted = 0.0
        self._outputs = self._answers = 0
        self._seconds = 0.0

    def raw_input_tokens(self, request: Request) -> float:
        """Estimate a request's input tokens from its numbers of bytes, messages and images."""
        return request.text_bytes / BYTES_A_TOKEN + self._fixed(request, TOKENS_A_MESSAGE)

    def most_input_tokens(self, request: Request) -> int:
        """Return an upper bound on a request's input tokens, with each byte as one token."""
        most = request.text_bytes + self._fixed(request, MOST_TOKENS_A_MESSAGE)
        return max(most, self.input_tokens(request))

    def learn(self, request: Request, response: Response) -> None:
        """Update the estimate with the server's token counts for an answer, if it sent any."""
        if response.input_tokens:
            self._guessed += self.raw_input_tokens(request)
            self._counted += response.input_tokens
        if response.output_tokens:
            self._outputs += response.output_tokens
            self._answers += 1
            self._seconds += response.seconds

    @property
    def input_ratio(self) -> float:
        """Ratio of input tokens counted by the server to `raw_input_tokens` estimates, so far."""
        return self._counted / self._guessed if self._guessed else 1.0

    def input_tokens(self, request: Request) -> int:
        """Return the expected number of input tokens of a request."""
        return max(1, round(self.raw_input_tokens(request) * self.input_ratio))

    def output_tokens(self, limit: int) -> int:
        """Return the mean output tokens of past answers, at most `limit`; `limit` without any."""
        return min(limit, -(-self._outputs // self._answers)) if self._answers else limit

    @property
    def seconds(self) -> float | None:
        """Mean time that the server took for an answer, in seconds; None before any answer."""
        return self._seconds / self._answers if self._answers else None

    def _fixed(self, request: Request, tokens_a_message: int) -> int:
        return tokens_a_message * len(request.messages) + self._image_tokens * len(request.images)


def most_output_tokens(request: Request) -> int:
    """Return the most output tokens a request allows: `max_tokens`, else `UNLIMITED_TOKENS`."""
    return request.sampling.max_tokens or UNLIMITED_TOKENS
