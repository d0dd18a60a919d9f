"""Settings of a server: address, limits, waits, prices and budget."""

from __future__ import annotations

import re
from collections.abc import Mapping
from decimal import Decimal
from typing import Literal, Self
from urllib.parse import urlsplit

from pydantic import Field, field_validator, model_validator

from vasari.core.settings import Settings
from vasari.endpoint.cost import Price
from vasari.endpoint.request import LimitField


class EndpointSettings(Settings):
    """Settings of an OpenAI-compatible server: address, limits, waits, prices and budget.

    Holds no key, only the name of the environment variable that does.
    """

    base_url: str
    """Address up to and including the version: `https://api.openai.com/v1`, `http://localhost:8000/v1`."""
    api_key_env: str | None = None
    """The environment variable that holds the key; None for a server that wants none."""
    auth_header: Literal["authorization", "api-key"] = "authorization"
    """`authorization: Bearer KEY`, or `api-key: KEY` as Azure has it."""
    limit_field: LimitField = "max_tokens"
    """Name of the token limit's field at the server."""

    requests_per_minute: int | None = Field(default=None, ge=1)
    tokens_per_minute: int | None = Field(default=None, ge=1)
    """Input and output tokens together."""
    max_concurrency: int = Field(default=64, ge=1)
    """Requests at once, at most."""
    start_concurrency: int = Field(default=8, ge=1)
    """Requests at once at first."""
    latency_tolerance: float = Field(default=4.0, gt=1.0)
    """Multiple of the server's first latency above which fewer requests are sent at once."""

    timeout_seconds: float = Field(default=600.0, gt=0)
    """Limit of one attempt, from sending to the last byte."""
    connect_seconds: float = Field(default=10.0, gt=0)
    max_attempts: int = Field(default=6, ge=1)
    backoff_seconds: float = Field(default=0.5, gt=0)
    """Wait after the first failed attempt; doubled each time, half of it random."""
    max_backoff_seconds: float = Field(default=60.0, gt=0)
    max_pause_seconds: float = Field(default=300.0, ge=0)
    """A server that asks for a longer wait (a daily quota) stops the run instead."""
    max_failures_in_a_row: int = Field(default=50, ge=1)
    """The run stops after this many failed requests in a row, for the server is then down."""
    max_refusals_in_a_row: int = Field(default=30, ge=1)
    """The run stops after this many requests in a row without an answer for one reason (402, 404, a
    proxy's page, a filter), for the requests are then not at fault; after a third as many where the
    server has answered none yet. None of them counts as failed: the next run sends them."""
    max_response_bytes: int = Field(default=1_000_000, ge=1)
    """Larger answers are refused while they arrive."""

    prices: Mapping[str, Price] = Field(default_factory=dict)
    """Prices by model. A budget needs them; without them money is not counted."""
    budget: Decimal | None = Field(default=None, ge=0)
    """Most money for everything in the store, earlier runs included."""
    image_tokens: int = Field(default=1000, ge=0)
    """Input tokens that an image has at most. A budget relies on it; limits and forecasts correct
    it by the server's counts."""

    @field_validator("base_url")
    @classmethod
    def _plain_address(cls, value: str) -> str:
        parts = urlsplit(value)
        if parts.scheme not in ("http", "https") or not parts.hostname:
            raise ValueError("must begin with http:// or https:// and name a host")
        if parts.username or parts.password or parts.query or parts.fragment:
            # The message does not repeat the address, which may contain a key.
            raise ValueError(
                "must hold no user, password or query; a key belongs into an environment variable"
                " (api_key_env)"
            )
        return value.rstrip("/")

    @field_validator("api_key_env")
    @classmethod
    def _is_a_name(cls, value: str | None) -> str | None:
        # The name is printed when the variable is missing; a key that was pasted here must not be.
        if value is not None and re.fullmatch(r"[A-Z_][A-Z0-9_]*", value) is None:
            raise ValueError(
                "must be the name of an environment variable in capitals, not the key itself"
            )
        return value

    @model_validator(mode="after")
    def _budget_has_prices(self) -> Self:
        if self.budget is not None and not self.prices:
            raise ValueError("a budget needs prices")
        return self
