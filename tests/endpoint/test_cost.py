"""Money: exact prices, a budget that holds, a forecast that agrees with what then happens."""

from __future__ import annotations

import asyncio
from decimal import Decimal

import pytest
from hypothesis import given
from hypothesis import strategies as st

from vasari.core.errors import ConfigError
from vasari.endpoint import EndpointSettings, Price, ResponseStore, Usage, ask_all, forecast
from vasari.endpoint.cost import Budget

CENTS = Price(input=Decimal("0.15"), output=Decimal("0.60"))
# The server of these tests counts 40 input and 10 output tokens an answer: 40 x 0.15 + 10 x 0.60 =
# 12 millionths.
AN_ANSWER = Decimal("0.000012")


def test_a_price_is_exact_in_decimals():
    usage = Usage(requests=3, input_tokens=1000, cached_input_tokens=400, output_tokens=10)
    price = Price(input="0.15", output="0.60", cached_input="0.075", request="0.001")
    # (600 x 0.15 + 400 x 0.075 + 10 x 0.60) / 1e6 + 3 x 0.001 = (90 + 30 + 6) / 1e6 + 0.003
    assert price.of(usage) == Decimal("0.003126")


def test_batch_files_cost_their_share_and_lost_attempts_are_counted_apart():
    usage = Usage(
        batch_input_tokens=1_000_000,
        batch_output_tokens=1_000_000,
        lost_requests=1,
        lost_output_tokens=500_000,
    )
    price = Price(input=1, output=4, batch_factor="0.5")
    assert price.of(usage) == Decimal("2.5")
    assert price.at_risk(usage) == Decimal(2)


_COUNTS = (
    "requests",
    "input_tokens",
    "cached_input_tokens",
    "output_tokens",
    "lost_requests",
    "batch_output_tokens",
)


@given(st.lists(st.dictionaries(st.sampled_from(_COUNTS), st.integers(0, 10**9))))
def test_usage_adds_up_and_survives_being_written(added):
    total = sum((Usage(**counts) for counts in added), Usage())
    for name in _COUNTS:
        assert getattr(total, name) == sum(counts.get(name, 0) for counts in added)
    assert Usage.from_row(total.to_row()) == total


def test_prices_from_a_file_of_floats_are_what_was_written():
    settings = EndpointSettings.model_validate(
        {"base_url": "http://x/v1", "prices": {"m": {"input": 0.15, "output": 0.6}}}
    )
    assert settings.prices["m"] == CENTS


@given(
    st.integers(0, 1000),
    st.lists(
        st.tuples(st.integers(0, 200), st.floats(0, 1), st.integers(0, 5)), min_size=1, max_size=40
    ),
)
def test_a_budget_is_never_exceeded_and_ends_only_when_nothing_is_in_flight(limit, requests):
    async def play():
        budget = Budget(Decimal(limit), spent=Decimal(0))
        refused = []

        async def one(most, share, turns):
            if not await budget.reserve(Decimal(most)):
                refused.append(budget.spent + most > limit)
                return
            for _ in range(turns):
                await asyncio.sleep(0)
            budget.settle(Decimal(most), Decimal(int(most * share)))

        await asyncio.gather(*(one(*request) for request in requests))
        return budget.spent, refused

    spent, refused = asyncio.run(play())
    assert spent <= limit
    assert all(refused)


def test_a_run_stops_at_its_budget_and_keeps_what_it_bought(server, settings, ask_for, tmp_path):
    # Each reserves what it may cost at most, 10 output tokens and a token a byte; 10 answers' worth
    # is there.
    budgeted = settings(prices={"small": CENTS}, budget=10 * AN_ANSWER, max_concurrency=4)
    with ResponseStore(tmp_path) as store:
        asked = ask_all(budgeted, store, ask_for(50, max_tokens=10))
        answered = len(store)
    assert asked.report.money == answered * AN_ANSWER <= budgeted.budget
    assert answered == 9  # a tenth costs what is left, but might have cost more
    assert asked.report.not_sent == 50 - answered
    assert asked.report.stopped_by.startswith("the budget of 0.000120 has ")
    with ResponseStore(tmp_path) as store:
        again = ask_all(budgeted, store, ask_for(50, max_tokens=10))
        more = ask_all(
            settings(prices={"small": CENTS}, budget=100 * AN_ANSWER),
            store,
            ask_for(50, max_tokens=10),
        )
    assert (again.report.answered, again.report.from_store) == (0, 9)
    assert more.report.not_sent == 0
    assert len(server.bodies) == 50


def test_an_attempt_that_may_have_been_billed_counts_at_its_most(
    server, settings, ask_for, tmp_path
):
    server.plan = lambda body, attempt: "cut" if attempt == 1 else "good"
    priced = settings(prices={"small": Price(input=0, output=1)})
    with ResponseStore(tmp_path) as store:
        report = ask_all(priced, store, ask_for(1, max_tokens=1000)).report
    # One answer of 10 tokens, one lost attempt of at most 1,000.
    assert report.money == Decimal("0.00101")


def test_a_budget_without_a_price_for_the_model_is_refused(settings, ask_for, tmp_path):
    other = settings(prices={"large": CENTS}, budget=1)
    with (
        ResponseStore(tmp_path) as store,
        pytest.raises(ConfigError, match="a budget needs a price for 'small'"),
    ):
        ask_all(other, store, ask_for(1))
    with pytest.raises(ValueError, match="a budget needs prices"):
        settings(budget=1)


def test_a_forecast_counts_what_is_not_there_and_what_it_may_cost(settings, ask_for, tmp_path):
    priced = settings(prices={"small": CENTS}, budget=1, requests_per_minute=60)
    with ResponseStore(tmp_path) as store:
        before = forecast(priced, store, ask_for(100, max_tokens=1000), num_responses=2)
    assert (before.requests, before.from_store) == (200, 0)
    assert before.most_output_tokens == before.output_tokens == 200_000
    # "What is 10 + 2?" has 15 bytes, 5 tokens by the rule of three bytes, and 8 for its message;
    # ten rows have a byte less.
    assert before.input_tokens == round(2 * (90 * 13 + 10 * (14 / 3 + 8)))
    assert (
        before.most_money
        == (before.input_tokens * CENTS.input + 200_000 * CENTS.output) / 1_000_000
    )
    assert before.seconds == 200.0
    assert before.fits_budget is True


def test_a_forecast_learns_from_the_store_and_agrees_with_the_run(
    server, settings, ask_for, tmp_path
):
    priced = settings(prices={"small": CENTS})
    requests = ask_for(40, max_tokens=1000)
    with ResponseStore(tmp_path) as store:
        ask_all(priced, store, requests[:10])
        told = forecast(priced, store, [*requests, *requests])
        report = ask_all(priced, store, requests).report
    assert (told.requests, told.from_store) == (30, 10)
    assert told.output_tokens == 300 == report.usage["small"].output_tokens
    assert told.money == pytest.approx(report.money, rel=Decimal("0.02"))
    assert told.already_spent == 10 * AN_ANSWER
    assert "30 requests to send, 10 answered already" in str(told)


def test_a_forecast_sends_nothing_and_needs_no_key_and_no_price(
    server, settings, ask_for, tmp_path
):
    with ResponseStore(tmp_path) as store:
        told = forecast(settings(api_key_env="NO_SUCH_VARIABLE"), store, ask_for(3))
    assert (told.requests, told.money, server.bodies) == (3, None, [])
    assert "money unknown (no price)" in str(told)
