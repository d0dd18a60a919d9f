"""Limits a minute, Retry-After, back-off, and how many requests are sent at once."""

from __future__ import annotations

import asyncio
import datetime
import email.utils
import time

import pytest
from aiohttp import web
from hypothesis import given
from hypothesis import strategies as st

from vasari.endpoint import Client, RateLimits, ResponseStore, ask_all
from vasari.endpoint.limits import AdaptiveConcurrency, Bucket, backoff_seconds, retry_after

NOON = datetime.datetime(2026, 11, 22, 12, 0, 0, tzinfo=datetime.UTC)


@given(st.integers(1, 5000), st.lists(st.floats(0, 30), min_size=1, max_size=300))
def test_no_sixty_seconds_take_more_than_the_limit(per_minute, gaps):
    bucket, now, sent = Bucket(per_minute), 0.0, []
    for gap in gaps:
        now += gap
        sent.append(now + bucket.take(1, now=now))
    for first in range(len(sent)):
        # Half open and a hair shorter: rounding may put the next one a hair before the full minute.
        assert (
            sum(sent[first] <= moment < sent[first] + 60 - 1e-6 for moment in sent[first:])
            <= per_minute
        )


def test_a_limit_of_120_lets_two_go_at_once_and_then_waits_as_worked_by_hand():
    bucket = Bucket(120)
    # It holds one second's worth, 2; the rest of the minute's 120 flows in at 118 / 60 a second.
    assert bucket.take(1, now=0.0) == 0.0
    assert bucket.take(1, now=0.0) == 0.0
    assert bucket.take(1, now=0.0) == pytest.approx(60 / 118)


def test_what_was_not_used_is_given_back():
    bucket = Bucket(6000)
    bucket.take(1000, now=0.0)
    bucket.give_back(950, now=0.0)
    # 100 held, 50 used: 50 left, and 60 more need 10 at (6000 - 100) / 60 a second.
    assert bucket.take(60, now=0.0) == pytest.approx(10 * 60 / 5900)


@pytest.mark.parametrize(
    ("headers", "seconds"),
    [
        ({"Retry-After": "7"}, 7.0),
        ({"retry-after": " 0.5 "}, 0.5),
        ({"Retry-After": "Sun, 22 Nov 2026 12:00:30 GMT"}, 30.0),
        ({"Retry-After": "Sun, 22 Nov 2026 13:01:00 +0100"}, 60.0),
        ({"Retry-After": "Sun, 22 Nov 2026 11:59:00 GMT"}, 0.0),
        ({"retry-after-ms": "250", "Retry-After": "1"}, 0.25),
        ({"Retry-After": "soon"}, None),
        ({"Retry-After": "-5"}, None),
        ({"Retry-After": "nan"}, None),
        ({"Retry-After": "inf"}, None),
        ({"Retry-After": ""}, None),
        ({}, None),
    ],
)
def test_retry_after_is_read_in_seconds_and_as_a_date(headers, seconds):
    assert retry_after(headers, now=NOON) == seconds


HOURS = ["Sun, 22 Nov 2026 04:00:00 GMT", "Mon, 23 Nov 2026 09:30:00 GMT"]


@pytest.mark.parametrize("now", HOURS)
def test_a_date_to_retry_after_goes_by_the_server_s_own_clock(now):
    headers = {
        "date": "Sun, 22 Nov 2026 12:00:00 GMT",
        "Retry-After": "Sun, 22 Nov 2026 12:00:30 GMT",
    }
    ours = email.utils.parsedate_to_datetime(now)
    assert retry_after(headers, now=ours) == 30.0


@pytest.mark.parametrize(
    "value",
    [
        *("1e12", "99999999999999", "1" * 400, "inf", "nan", "-5", "soon", "", "0x10"),
        "Fri, 31 Dec 9999 23:59:59 GMT",
        "Sun, 22 Nov 99999 12:00:30 GMT",
        "Sun, 99 Nov 2026 12:00:30 GMT",
        "Sun, 22 Nov 2026 12:00:30 +9999999",
    ],
)
def test_an_absurd_time_to_wait_counts_as_none(value):
    assert retry_after({"Retry-After": value}, now=NOON) is None


@given(st.text(max_size=40), st.text(max_size=40))
def test_a_time_to_wait_is_bounded_whatever_the_headers_say(value, date):
    wait = retry_after({"Retry-After": value, "Date": date}, now=NOON)
    assert wait is None or 0 <= wait <= 32 * 86_400


@pytest.mark.parametrize("hours", [-9, 9])
def test_a_wrong_clock_neither_stops_a_run_nor_hurries_it(
    server, settings, ask_for, tmp_path, hours
):
    there = datetime.datetime.now(datetime.UTC) + datetime.timedelta(hours=hours)
    until = there + datetime.timedelta(seconds=2)

    async def busy(request, body):
        dates = {"Date": there, "Retry-After": until}
        headers = {name: email.utils.format_datetime(at, True) for name, at in dates.items()}
        return web.json_response({"error": "busy"}, status=503, headers=headers)

    server.answer_busy = busy
    server.plan = lambda body, attempt: "busy" if attempt == 1 else "good"
    with ResponseStore(tmp_path) as store:
        report = ask_all(settings(), store, ask_for(1)).report
    assert (report.answered, report.stopped_by) == (1, "")
    assert server.times[1] - server.times[0] >= 1.9


@given(st.integers(1, 100), st.floats(0, 1, exclude_max=True))
def test_backoff_doubles_up_to_its_limit_and_is_half_random(attempt, jitter):
    wait = backoff_seconds(attempt, first=0.5, most=60.0, jitter=jitter)
    whole = min(60.0, 0.5 * 2 ** (attempt - 1))
    assert whole / 2 <= wait <= whole


def test_runs_that_share_their_limits_keep_them_together(server, settings, ask_for, tmp_path):
    limited = settings(requests_per_minute=240)
    limits = RateLimits.of(limited)
    # 4 may go at once, one second's worth; the others wait for 60 / (240 - 4) = 0.254 s each. Three
    # runs of 3 are 9 requests: 5 x 0.254 = 1.27 s between the first and the last. With limits of
    # its own no run of 3 would wait at all.
    for number in range(3):
        with ResponseStore(tmp_path / str(number)) as store:
            ask_all(limited, store, ask_for(3), limits=limits)
    assert len(server.times) == 9
    assert server.times[-1] - server.times[0] >= 1.2


def test_what_a_stopped_run_was_waiting_for_is_left_to_the_next(
    server, settings, ask_for, tmp_path
):
    limited = settings(requests_per_minute=60)
    limits = RateLimits.of(limited)

    async def play(store):
        async with Client(limited, store, limits=limits) as client:
            tasks = [asyncio.create_task(client.ask(request)) for request in ask_for(8)]
            await asyncio.sleep(0.3)
            client.stop("enough")
            await asyncio.gather(*tasks)

    with ResponseStore(tmp_path) as store:
        asyncio.run(play(store))
    assert len(server.times) == 1
    # One of 60 a minute was used, and one comes back each 60 / 59 = 1.02 s; the seven that waited
    # would make it more than 7 s.
    assert limits.take(0) <= 1.02


def test_a_pause_that_one_run_was_asked_to_make_holds_for_the_next(
    server, settings, ask_for, tmp_path
):
    patient = settings(max_attempts=1)
    limits = RateLimits.of(patient)
    server.retry_after = "1"
    server.plan = lambda body, attempt: "rate_limited" if len(server.times) == 1 else "good"
    with ResponseStore(tmp_path / "first") as store:
        ask_all(patient, store, ask_for(1), limits=limits)
    with ResponseStore(tmp_path / "second") as store:
        ask_all(patient, store, ask_for(1), limits=limits)
    assert server.times[1] - server.times[0] >= 0.95


def test_requests_a_minute_are_kept_against_a_server(server, settings, ask_for, tmp_path):
    started = time.monotonic()
    with ResponseStore(tmp_path) as store:
        ask_all(settings(requests_per_minute=1200), store, ask_for(30))
    # 20 may go at once, the other 10 at (1200 - 20) / 60 = 19.67 a second: 0.51 s.
    assert server.times[-1] - started >= 0.45


def test_tokens_a_minute_count_what_was_used_and_not_what_might_have_been(
    server, settings, ask_for, tmp_path
):
    with ResponseStore(tmp_path) as store:
        # 50 tokens each by the server's count, 200 by the limit; 12,000 a minute: 200 at once, then
        # 196.7 a second.
        ask_all(
            settings(tokens_per_minute=12_000, max_concurrency=1),
            store,
            ask_for(10, max_tokens=200),
        )
    # 10 x 50 = 500 tokens, 300 beyond the first 200, less the last one's: between 1.0 and 2 s; by
    # limits alone it were 9 s.
    assert 0.9 <= server.times[-1] - server.times[0] <= 4.0


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
