"""A usable answer is kept whatever stands beside it, and what is no answer has its name."""

from __future__ import annotations

import contextlib
import json

import pytest
from aiohttp import web
from hypothesis import given
from hypothesis import strategies as st

from vasari.endpoint import ResponseStore, ask_all
from vasari.endpoint.completion import parse_completion
from vasari.endpoint.response import NoAnswerError

GOOD = {
    "id": "c",
    "object": "chat.completion",
    "created": 1,
    "model": "served",
    "choices": [
        {"index": 0, "message": {"role": "assistant", "content": "42"}, "finish_reason": "stop"}
    ],
    "usage": {"prompt_tokens": 40, "completion_tokens": 10, "total_tokens": 50},
}


def with_choice(**fields):
    return GOOD | {"choices": [GOOD["choices"][0] | fields]}


ODD = {
    "no usage": {name: value for name, value in GOOD.items() if name != "usage"},
    "usage null": GOOD | {"usage": None},
    "usage a list": GOOD | {"usage": [1, 2]},
    "usage in words": GOOD | {"usage": {"prompt_tokens": "many", "completion_tokens": {}}},
    "usage negative": GOOD | {"usage": {"prompt_tokens": -3, "completion_tokens": -1}},
    "usage true": GOOD | {"usage": {"prompt_tokens": [], "completion_tokens": True}},
    "usage beyond floats": GOOD | {"usage": {"prompt_tokens": 10**400}},
    "details in words": GOOD
    | {"usage": {"prompt_tokens": 4, "prompt_tokens_details": {"cached_tokens": "x"}}},
    "id and created odd": GOOD | {"id": None, "created": "yesterday", "object": 3},
    "created of 5,000 digits": GOOD | {"created": 10**4000},
    "model a mapping": GOOD | {"model": {"name": "served"}},
    "finish reason odd": with_choice(finish_reason={"type": "stop"}),
    "no finish reason": with_choice(finish_reason=None),
    "log-probabilities not JSON": with_choice(logprobs={"content": [float("-inf"), float("nan")]}),
    "more choices": GOOD | {"choices": [*GOOD["choices"], None, {"message": 3}]},
    "a choice without message first": GOOD | {"choices": [None, *GOOD["choices"]]},
    "a warning beside": GOOD | {"error": {"message": "deprecated model"}},
    "reasoning odd": with_choice(message={"content": "42", "reasoning": {"steps": []}}),
    "parts of other kinds": with_choice(
        message={"content": [{"type": "thinking"}, None, {"type": "text", "text": "42"}, {}]}
    ),
    "half a character beside": GOOD | {"system_fingerprint": "\ud83d"},
}


@pytest.mark.parametrize("content", ODD.values(), ids=ODD)
def test_a_field_beside_the_text_never_costs_the_answer(
    server, settings, ask_for, tmp_path, content
):
    async def odd(request, body):
        return web.Response(body=json.dumps(content), content_type="application/json")

    server.answer_odd = odd
    server.plan = lambda body, attempt: "odd"
    with ResponseStore(tmp_path) as store:
        asked = ask_all(settings(max_attempts=1), store, ask_for(1))
        again = ask_all(settings(max_attempts=1), store, ask_for(1))
    assert [answers.response.text for answers in (*asked.answers, *again.answers)] == ["42", "42"]
    assert len(server.bodies) == 1
    usage = asked.report.usage["small"]
    assert usage.requests == 1
    assert min(usage.to_row()) >= 0


@pytest.mark.parametrize(
    ("status", "kind"),
    [
        (200, "text/plain"),
        (200, "application/octet-stream"),
        (200, "text/html"),
        (201, "application/json"),
        (203, "application/json"),
    ],
)
def test_an_answer_under_another_name_is_an_answer(
    server, settings, ask_for, tmp_path, status, kind
):
    async def other(request, body):
        text = "\ufeff " + json.dumps(GOOD)
        return web.Response(body=text.encode(), status=status, content_type=kind)

    server.answer_other = other
    server.plan = lambda body, attempt: "other"
    with ResponseStore(tmp_path) as store:
        assert ask_all(settings(), store, ask_for(1)).answers[0].response.text == "42"


@given(
    st.recursive(
        st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=5),
        lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=5), inner),
    )
)
def test_usage_of_any_shape_costs_no_answer(usage):
    body = json.dumps(GOOD | {"usage": usage, "x": usage}).encode()
    assert parse_completion(body).text == "42"


@given(st.binary(max_size=200))
def test_bytes_of_any_kind_are_an_answer_or_a_failure(body):
    with contextlib.suppress(NoAnswerError):
        assert parse_completion(body).text


FAULTY = {
    "filtered whole": ({"content": None}, "content_filter", "withheld"),
    "filtered in part": ({"content": "The answer is"}, "content_filter", "withheld"),
    "filtered by Gemini": ({"content": ""}, "SAFETY", "withheld"),
    "declined": ({"content": None, "refusal": "I cannot help with that."}, "stop", "declined"),
    "nothing": ({"content": ""}, "stop", "empty"),
    "white space": ({"content": " \n"}, "stop", "empty"),
    "thought and said nothing": ({"content": None, "reasoning": "Hm."}, "stop", "empty"),
    "a tool": ({"content": None, "tool_calls": []}, "tool_calls", "empty"),
}


@pytest.mark.parametrize(("message", "finish", "reason"), FAULTY.values(), ids=FAULTY)
def test_what_is_no_answer_of_the_model_is_a_failure_that_is_asked_again(
    server, settings, ask_for, tmp_path, message, finish, reason
):
    async def none(request, body):
        return web.json_response(server.completion(body, message=message, finish_reason=finish))

    server.answer_none = none
    server.plan = lambda body, attempt: "none" if attempt == 1 else "good"
    with ResponseStore(tmp_path) as store:
        first = ask_all(settings(), store, ask_for(1))
        assert [failure.reason for failure in store.failures()] == [reason]
    with ResponseStore(tmp_path) as store:
        kept = ask_all(settings(), store, ask_for(1))
        again = ask_all(settings(), store, ask_for(1), retry_failed=[reason])
        assert list(store.failures()) == []
        # Both answers were billed.
        assert store.usage["small"].requests == 2
    assert [first.report.failed, kept.report.failed] == [{reason: 1}] * 2
    assert again.answers[0].response.text.startswith("answer ")
    assert len(server.bodies) == 2


def test_a_model_that_is_measured_may_say_nothing(server, settings, ask_for, tmp_path):
    async def none(request, body):
        return web.json_response(server.completion(body, message={"content": ""}))

    server.answer_none = none
    server.plan = lambda body, attempt: "none"
    with ResponseStore(tmp_path) as store:
        asked = ask_all(settings(), store, ask_for(1), takes_empty=True)
    assert asked.answers[0].response.text == ""


def test_an_answer_that_the_limit_cut_before_its_first_word_is_truncated(
    server, settings, ask_for, tmp_path
):
    async def cut(request, body):
        message = {"content": None, "reasoning_content": "I think"}
        return web.json_response(server.completion(body, message=message, finish_reason="length"))

    server.answer_cut_short = cut
    server.plan = lambda body, attempt: "cut_short" if body["max_tokens"] < 100 else "good"
    with ResponseStore(tmp_path) as store:
        first = ask_all(settings(), store, ask_for(1, max_tokens=50))
        raised = ask_all(settings(), store, ask_for(1, max_tokens=200))
    assert first.answers[0].response.truncated
    assert raised.report.answered == 1
