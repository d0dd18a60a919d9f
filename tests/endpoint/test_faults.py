"""A server that misbehaves in every way: each way has its name, and every row is accounted for."""

from __future__ import annotations

import hashlib
import time
from collections import Counter

import pytest

from vasari.endpoint import Request, ResponseStore, ask_all, user_message, write_dead_letters

FAULTS = {
    "rate_limited": "rate_limited",
    "error": "server_error",
    "error_in_body": "server_error",
    "bad_request": "refused",
    "redirect": "redirected",
    "timeout": "timeout",
    "cut": "cut_connection",
    "cut_within": "cut_connection",
    "malformed": "malformed_json",
    "other_shape": "not_a_completion",
    "wrong_type": "wrong_content_type",
    "drip": "slow_body",
    "large": "too_large",
    "endless": "too_large",
}


@pytest.mark.parametrize(("fault", "reason"), FAULTS.items())
def test_each_fault_has_its_name(server, settings, ask_for, tmp_path, fault, reason):
    server.plan = lambda body, attempt: fault
    with ResponseStore(tmp_path) as store:
        patience = 1.0 if reason in ("timeout", "slow_body") else 20.0
        asked = ask_all(settings(max_attempts=2, timeout_seconds=patience), store, ask_for(1))
    assert asked.report.failed == {reason: 1}
    assert asked.answers[0].failures[0].attempts == (
        1 if reason in ("refused", "redirected", "too_large") else 2
    )


@pytest.mark.parametrize(
    "fault",
    ["rate_limited", "error", "error_in_body", "cut", "cut_within", "malformed", "wrong_type"],
)
def test_a_passing_fault_costs_an_attempt_and_no_answer(server, settings, ask_for, tmp_path, fault):
    server.plan = lambda body, attempt: fault if attempt == 1 else "good"
    with ResponseStore(tmp_path) as store:
        asked = ask_all(settings(), store, ask_for(3))
    assert [answers.response.attempts for answers in asked.answers] == [2, 2, 2]
    assert asked.report.attempts == 6


def test_a_server_that_is_not_there_is_named(settings, ask_for, tmp_path):
    with ResponseStore(tmp_path) as store:
        asked = ask_all(
            settings(base_url="http://127.0.0.1:9/v1", max_attempts=2), store, ask_for(1)
        )
    assert asked.report.failed == {"no_connection": 1}


def test_a_server_that_is_down_stops_the_run_and_leaves_the_rows(
    server, settings, ask_for, tmp_path
):
    server.plan = lambda body, attempt: "error"
    with ResponseStore(tmp_path) as store:
        report = ask_all(
            settings(max_attempts=1, max_failures_in_a_row=5, max_concurrency=4),
            store,
            ask_for(100),
        ).report
    assert "5 requests in a row failed, the last with server_error" in report.stopped_by
    assert sum(report.failed.values()) + report.not_sent == 100
    assert report.not_sent >= 90


def test_a_text_that_is_no_unicode_is_a_failure_of_its_row(server, settings, ask_for, tmp_path):
    bad = Request(model="small", messages=(user_message("\ud800"),), id="half a pair \ud800")
    with ResponseStore(tmp_path) as store:
        asked = ask_all(settings(), store, [bad, *ask_for(2)])
    assert asked.answers[0].failures[0].reason == "unreadable_request"
    assert asked.report.answered == 2


def test_retry_after_pauses_everything(server, settings, ask_for, tmp_path):
    server.retry_after = "1"
    server.plan = lambda body, attempt: "rate_limited" if len(server.bodies) == 1 else "good"
    with ResponseStore(tmp_path) as store:
        report = ask_all(settings(max_concurrency=1), store, ask_for(3)).report
    waits = [
        later - earlier for earlier, later in zip(server.times, server.times[1:], strict=False)
    ]
    assert waits[0] >= 0.99
    assert report.answered == 3


def test_a_wait_longer_than_allowed_stops_the_run_and_fails_no_row(
    server, settings, ask_for, tmp_path
):
    server.retry_after = "36000"
    server.plan = lambda body, attempt: "rate_limited" if "3 +" in str(body) else "good"
    with ResponseStore(tmp_path) as store:
        report = ask_all(settings(max_concurrency=1), store, ask_for(10)).report
        assert list(store.failures()) == []
    assert "asks to wait 36,000 s" in report.stopped_by
    assert (report.answered, report.not_sent, report.failed) == (3, 7, {})


def planned_fault(body, attempt):
    """A fault for a fifth of the rows, the same for the first two attempts; every third of these
    rows never recovers."""
    number = int(hashlib.sha256(body["messages"][0]["content"].encode()).hexdigest()[:8], 16)
    kinds = [*FAULTS, "truncated"]
    if number % 5 or (attempt > 2 and number // 5 % 3):
        return "good"
    return kinds[number // 15 % len(kinds)]


@pytest.mark.slow
def test_with_a_fifth_of_faults_every_row_is_accounted_for(server, settings, ask_for, tmp_path):
    server.plan = planned_fault
    slack = settings(timeout_seconds=2.0, max_attempts=4, max_failures_in_a_row=500)
    with ResponseStore(tmp_path / "store") as store:
        asked = ask_all(slack, store, ask_for(500))
        dead = write_dead_letters(store, tmp_path / "dead.jsonl")
    outcomes = Counter(
        answers.failures[0].reason if answers.failures else "answered" for answers in asked.answers
    )
    assert sum(outcomes.values()) == 500
    assert outcomes["answered"] == asked.report.answered
    # By the plan: rows that never recover fail, and so do those that are never tried twice; the
    # rest are answered.
    expected = Counter()
    for n in range(500):
        body = {"messages": [{"content": f"What is {n} + 2?"}]}
        first, last = planned_fault(body, 1), planned_fault(body, 4)
        once = FAULTS.get(first) in ("refused", "redirected", "too_large")
        expected[FAULTS.get(first if once else last, "answered")] += 1
    assert outcomes == expected
    assert (
        dead
        == 500 - outcomes["answered"]
        == len((tmp_path / "dead.jsonl").read_text().splitlines())
    )
    assert set(FAULTS.values()) <= set(asked.report.attempts_failed)


@pytest.mark.slow
def test_a_megabyte_that_never_ends_is_dropped_in_time_and_memory(
    server, settings, ask_for, tmp_path
):
    server.plan = lambda body, attempt: "endless"
    started = time.monotonic()
    with ResponseStore(tmp_path) as store:
        report = ask_all(settings(max_concurrency=8), store, ask_for(32)).report
    assert report.failed == {"too_large": 32}
    assert time.monotonic() - started < 20
