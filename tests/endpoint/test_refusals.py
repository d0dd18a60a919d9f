"""Refusals: which are asked again, at which address, and when a run gives up."""

from __future__ import annotations

import pytest
from aiohttp import web

from vasari.endpoint import FAILURE_REASONS, RETRIABLE, ResponseStore, ask_all


def refuse(server, status, content, *, kind="application/json", **headers):
    """Have the server's fault "no" answer with a status and a body."""

    async def no(request, body):
        if isinstance(content, str):
            return web.Response(text=content, status=status, content_type=kind, headers=headers)
        return web.json_response(content, status=status, headers=headers)

    server.answer_no = no


def error(message, **fields):
    return {"error": {"message": message, **fields}}


HTML = "<html><head><title>Blocked</title></head></html>"

# What servers, gateways and proxies answer, by their documentation; the reason that is stored.
REFUSALS = {
    "wrong parameter": (400, error("Unsupported parameter: 'seed'"), "refused"),
    "Gemini's wrong key": (400, [error("API key not valid", status="INVALID_ARGUMENT")], "refused"),
    "no credit": (402, error("Insufficient credits"), "refused"),
    "not allowed": (403, error("Project does not have access to model"), "refused"),
    "firewall": (403, HTML, "refused"),
    "no such model": (
        404,
        error("The model `smal` does not exist", code="model_not_found"),
        "refused",
    ),
    "no such path": (404, {"detail": "Not Found"}, "refused"),
    "wrong method": (405, {"detail": "Method Not Allowed"}, "refused"),
    "proxy": (407, HTML, "refused"),
    "too large": (413, HTML, "refused"),
    "unprocessable": (422, {"detail": [{"loc": ["body", "seed"]}]}, "refused"),
    "law": (451, HTML, "refused"),
    "quota": (429, error("You exceeded your current quota", code="insufficient_quota"), "refused"),
    "Azure's filter": (
        400,
        error("The response was filtered", code="content_filter", innererror={}),
        "withheld",
    ),
    "OpenAI's filter": (400, error("Rejected", code="content_policy_violation"), "withheld"),
    "a gateway's 402 within a 200": (200, error("Insufficient credits", code=402), "refused"),
    "a gateway's filter within a 200": (200, error("flagged", type="moderation_error"), "withheld"),
    "overload": (529, error("Overloaded"), "server_error"),
    "bad gateway": (502, HTML, "server_error"),
    "sign-in page": (200, HTML, "wrong_content_type"),
    "moved": (301, "", "redirected"),
}


@pytest.mark.parametrize(("status", "content", "reason"), REFUSALS.values(), ids=REFUSALS)
def test_what_key_address_quota_filter_or_proxy_caused_is_asked_again(
    server, settings, ask_for, tmp_path, status, content, reason
):
    kind = "text/html" if isinstance(content, str) else "application/json"
    refuse(server, status, content, kind=kind)
    server.plan = lambda body, attempt: "no"
    once = settings(max_attempts=1)
    with ResponseStore(tmp_path) as store:
        assert ask_all(once, store, ask_for(2)).report.failed == {reason: 2}
    server.plan = lambda body, attempt: "good"
    with ResponseStore(tmp_path) as store:
        kept = ask_all(once, store, ask_for(2)).report
        again = ask_all(once, store, ask_for(2), retry_failed=RETRIABLE).report
        assert list(store.failures()) == []
    assert (kept.failed, kept.attempts) == ({reason: 2}, 0)
    assert (again.answered, again.attempts) == (2, 2)


def test_only_an_answer_without_end_is_the_model_s_own_fault(server, settings, ask_for, tmp_path):
    assert set(FAILURE_REASONS) - RETRIABLE == {"too_large", "not_sent"}
    server.plan = lambda body, attempt: "large" if attempt == 1 else "good"
    with ResponseStore(tmp_path) as store:
        small = settings(max_response_bytes=1000)
        first = ask_all(small, store, ask_for(1)).report
        again = ask_all(small, store, ask_for(1), retry_failed=RETRIABLE).report
        raised = ask_all(settings(max_response_bytes=2000), store, ask_for(1)).report
    assert [first.failed, again.failed] == [{"too_large": 1}] * 2
    assert (again.attempts, raised.answered) == (0, 1)


def test_a_corrected_address_is_another_server_and_keeps_its_answers(
    server, settings, ask_for, tmp_path
):
    refuse(server, 404, {"detail": "Not Found"})
    server.plan = lambda body, attempt: "no" if "3 +" in str(body) and attempt == 1 else "good"
    with ResponseStore(tmp_path) as store:
        first = ask_all(settings(), store, ask_for(5)).report
    moved = settings(base_url=server.url.replace("127.0.0.1", "localhost"))
    with ResponseStore(tmp_path) as store:
        second = ask_all(moved, store, ask_for(5)).report
    assert (first.answered, first.failed) == (4, {"refused": 1})
    # Nothing is bought again: a server that has moved serves the same model.
    assert (second.from_store, second.answered, second.attempts) == (4, 1, 1)


ADVICE = {
    400: "check the model's name",
    402: "top it up",
    403: "check what the key may use",
    404: "check base_url",
    407: "a proxy wants a password",
}


@pytest.mark.parametrize("status", ADVICE)
def test_a_wall_of_one_refusal_stops_the_run_and_costs_no_row(
    server, settings, ask_for, tmp_path, status
):
    refuse(server, status, error(f"no, says {status}"))
    server.plan = lambda body, attempt: "no"
    with ResponseStore(tmp_path) as store:
        report = ask_all(settings(), store, ask_for(200)).report
        assert list(store.failures()) == []
    # A third of thirty, and what was in flight.
    assert 10 <= len(server.bodies) <= 10 + 8
    assert report.stopped_by.startswith("10 requests in a row brought no answer, all for one")
    assert f"refused: {status}: no, says {status}; " in report.stopped_by
    assert ADVICE[status] in report.stopped_by
    assert "\n" not in report.stopped_by
    server.plan = lambda body, attempt: "good"
    with ResponseStore(tmp_path) as store:
        assert ask_all(settings(), store, ask_for(200)).report.answered == 200


def test_a_wall_within_a_run_is_seen_later_for_the_server_has_answered(
    server, settings, ask_for, tmp_path
):
    refuse(server, 402, error("Insufficient credits"))
    server.plan = lambda body, attempt: "good" if len(server.bodies) <= 40 else "no"
    with ResponseStore(tmp_path) as store:
        report = ask_all(settings(max_concurrency=4), store, ask_for(300)).report
        assert (len(store), list(store.failures())) == (40, [])
    assert 40 + 30 <= len(server.bodies) <= 40 + 30 + 4
    assert "30 requests in a row" in report.stopped_by


def test_a_wall_is_seen_by_many_small_runs_that_share_their_limits(
    server, settings, ask_for, tmp_path
):
    from vasari.endpoint import RateLimits

    refuse(server, 402, error("Insufficient credits"))
    server.plan = lambda body, attempt: "no"
    limits = RateLimits.of(settings())
    requests = ask_for(40)
    stopped = []
    with ResponseStore(tmp_path) as store:
        for start in range(0, 40, 4):
            report = ask_all(settings(), store, requests[start : start + 4], limits=limits).report
            stopped.append(bool(report.stopped_by))
    assert stopped[:3] == [False, False, True]


def test_refusals_of_rows_among_answers_stop_nothing_and_are_kept(
    server, settings, ask_for, tmp_path
):
    refuse(server, 400, error("image too large"))
    server.plan = lambda body, attempt: (
        "good" if int(body["messages"][0]["content"].split()[2]) % 5 == 0 else "no"
    )
    with ResponseStore(tmp_path) as store:
        report = ask_all(settings(), store, ask_for(100)).report
        assert len(list(store.failures())) == 80
    assert (report.answered, report.failed, report.stopped_by) == (20, {"refused": 80}, "")


def test_rows_that_are_all_at_fault_can_be_let_through(server, settings, ask_for, tmp_path):
    refuse(server, 400, error("image too large"))
    server.plan = lambda body, attempt: "no"
    with ResponseStore(tmp_path) as store:
        patient = settings(max_refusals_in_a_row=1000, max_failures_in_a_row=1000)
        report = ask_all(patient, store, ask_for(50)).report
        assert len(list(store.failures())) == 50
    assert (report.failed, report.stopped_by) == ({"refused": 50}, "")


def test_a_server_that_is_down_costs_no_row(server, settings, ask_for, tmp_path):
    server.plan = lambda body, attempt: "error"
    with ResponseStore(tmp_path) as store:
        few = settings(max_attempts=1, max_failures_in_a_row=5)
        report = ask_all(few, store, ask_for(100)).report
        assert list(store.failures()) == []
    assert report.stopped_by.startswith("5 requests in a row failed, the last with server_error")
    server.plan = lambda body, attempt: "good"
    with ResponseStore(tmp_path) as store:
        assert ask_all(settings(), store, ask_for(100)).report.answered == 100
