"""How many requests at once, by arithmetic and against a server that queues."""

from __future__ import annotations

import asyncio

import pytest

from vasari.endpoint import ResponseStore, ask_all
from vasari.endpoint.limits import AdaptiveConcurrency


def answers(control, count, *, seconds=1.0, sent_at=0.0, tokens=0):
    for _ in range(count):
        control.succeeded(sent_at=sent_at, seconds=seconds, output_tokens=tokens)


def test_it_grows_by_one_an_answer_at_first():
    control = AdaptiveConcurrency(start=4, most=64, latency_tolerance=4.0)
    answers(control, 10)
    assert control.limit == 14


def test_it_never_exceeds_the_most():
    control = AdaptiveConcurrency(start=8, most=10, latency_tolerance=4.0)
    answers(control, 50)
    assert control.limit == 10


def test_a_refusal_takes_three_tenths_and_then_it_grows_by_one_a_round():
    control = AdaptiveConcurrency(start=10, most=64, latency_tolerance=4.0)
    control.failed(sent_at=0.0, now=1.0, refused=True)
    assert control.limit == 7
    # 7 answers of 1/7, 1/7.14, ...: nearly one more; the eighth completes it.
    answers(control, 8, sent_at=2.0)
    assert control.limit == 8


def test_refusals_of_requests_sent_together_count_once():
    control = AdaptiveConcurrency(start=10, most=64, latency_tolerance=4.0)
    for _ in range(10):
        control.failed(sent_at=0.0, now=1.0, refused=True)
    assert control.limit == 7


def test_a_few_errors_change_nothing_and_many_halve_it():
    few = AdaptiveConcurrency(start=20, most=20, latency_tolerance=4.0)
    many = AdaptiveConcurrency(start=20, most=20, latency_tolerance=4.0)
    for control, errors in ((few, 2), (many, 6)):
        for _ in range(errors):
            control.failed(sent_at=0.0, now=1.0, refused=False)
        answers(control, 20 - errors)
    assert (few.limit, many.limit) == (20, 10)


def test_slow_answers_take_a_little_and_long_answers_are_not_slow():
    control = AdaptiveConcurrency(start=8, most=16, latency_tolerance=4.0)
    answers(control, 8 + 16, seconds=0.1)  # two windows
    assert control.limit == 16
    # 16 + 144 tokens are ten times the work of 16 + 0, and take ten times as long.
    answers(control, 16, seconds=1.0, sent_at=1.0, tokens=144)
    assert control.limit == 16
    answers(control, 16, seconds=0.5, sent_at=3.0)
    assert control.limit == 13  # 16 * 0.85 = 13.6


def test_a_server_that_became_slower_without_our_load_is_the_new_yardstick():
    control = AdaptiveConcurrency(start=8, most=8, latency_tolerance=4.0)
    answers(control, 8, seconds=0.1)
    answers(control, 80, seconds=10.0, sent_at=1.0)
    assert control.limit == 8


def test_places_are_given_in_order_and_a_cancelled_one_is_passed_on():
    async def play():
        control = AdaptiveConcurrency(start=1, most=1, latency_tolerance=4.0)
        await control.acquire()
        order = []

        async def wait(name):
            await control.acquire()
            order.append(name)
            control.release()

        tasks = [asyncio.create_task(wait(name)) for name in "abc"]
        await asyncio.sleep(0)
        control.release()
        tasks[0].cancel()  # it has been given the place and not yet taken it
        await asyncio.gather(*tasks, return_exceptions=True)
        return order, control.active

    assert asyncio.run(play()) == (["b", "c"], 0)


@pytest.mark.slow
def test_a_server_that_queues_is_not_flooded(server, settings, ask_for, tmp_path):
    # Four at a time, 50 ms each: at 12 at once the wait is thrice the work, and more gains nothing.
    server._slots = asyncio.Semaphore(4)
    server.seconds = 0.05
    late = []
    server.plan = lambda body, attempt: late.append(server.active) or "good"
    with ResponseStore(tmp_path) as store:
        ask_all(
            settings(max_concurrency=64, start_concurrency=4, latency_tolerance=3.0),
            store,
            ask_for(500),
        )
    assert len(server.bodies) == 500
    assert sum(late[250:]) / 250 < 24


def test_a_server_that_keeps_up_is_used_fully(server, settings, ask_for, tmp_path):
    server.seconds = 0.1
    with ResponseStore(tmp_path) as store:
        ask_all(settings(max_concurrency=16, start_concurrency=4), store, ask_for(60))
    assert server.most_active == 16
