"""A teacher's rationales are kept only when their final answer verifies, and every other one has
its reason."""

from __future__ import annotations

import dataclasses
import json
from collections import Counter

import pytest

pytest.importorskip("aiohttp")

from vasari.curate.ask.annotate import (
    AnnotateSettings,
    Judged,
    annotate,
    answer_diversity,
    choose,
    judge_response,
)
from vasari.endpoint import Response
from vasari.records import Prompt

# The worked reasoning of tasks is ten words long.
SETTINGS = AnnotateSettings(min_words=3)


@pytest.fixture
def few(image_prompts):
    return image_prompts[:6]


def respond(text, **fields):
    return Response(text=text, **fields)


def thought(
    answer="5", text="The red bar is three and the blue bar is two, so together they are five."
):
    return f"<think>{text}</think><answer>\\boxed{{{answer}}}</answer>"


PROMPT = Prompt(id="p", question="What is red plus blue?", answer="5")


def test_a_faultless_teacher_annotates_every_prompt_with_its_reasoning(teach, asking, few):
    server = teach(few)
    result = annotate(
        [dataclasses.replace(p, solution=None) for p in few], asking(server), SETTINGS
    )
    assert [p.solution for p in result.kept] == [p.solution for p in few]
    assert result.dropped == ()
    assert result.counts == {"rationales_accepted": 6}


@pytest.mark.parametrize(
    ("fault", "reason"),
    [
        ("wrong", "wrong_answer"),
        ("truncated", "truncated"),
        ("off_format", "off_format"),
        ("repetitive", "repetitive"),
        ("foreign", "wrong_language"),
    ],
)
def test_each_fault_of_a_teacher_has_its_reason(teach, asking, few, fault, reason):
    server = teach(few, **{fault: 1.0})
    result = annotate(few, asking(server), with_changes(num_rationales=2))
    assert result.kept == ()
    assert [(drop.index, drop.id, drop.reason) for drop in result.dropped] == [
        (place, prompt.id, reason) for place, prompt in enumerate(few)
    ]
    assert result.dropped[0].detail == f"2 drawn: {reason} 2"


def with_changes(**changes):
    return SETTINGS.model_copy(update=changes)


def test_no_rationale_is_drawn_after_the_first_that_passes(teach, asking, few):
    server = teach(few, wrong=0.5)
    result = annotate(few, asking(server), with_changes(num_rationales=16))
    drawn = [prompt.metadata["annotation"]["drawn"] for prompt in result.kept]
    assert len(result.kept) == 6
    assert (
        sum(drawn)
        == len(server.bodies)
        == result.counts["rationales_accepted"] + result.counts["rationales_wrong_answer"]
    )
    assert result.counts["rationales_accepted"] == 6


def test_a_second_run_asks_nothing_and_says_the_same(teach, asking, few):
    server = teach(few, wrong=0.4, truncated=0.2)
    first = annotate(few, asking(server), SETTINGS)
    asked = len(server.bodies)
    assert annotate(few, asking(server), SETTINGS) == first
    assert len(server.bodies) == asked


def test_no_request_holds_the_reference_or_what_leads_to_it(teach, asking, few):
    server = teach(few)
    marked = [
        dataclasses.replace(
            p,
            answer=f"SECRET-{n}",
            choices=None,
            kind="text",
            solution=f"SECRET-{n}",
            metadata={"final": f"SECRET-{n}"},
        )
        for n, p in enumerate(few)
    ]
    annotate(marked, asking(server), SETTINGS)
    assert len(server.bodies) >= 6
    assert [body for body in server.bodies if "SECRET" in json.dumps(body)] == []


def test_prompts_that_differ_in_their_reference_alone_ask_alike(teach, asking):
    pair = [
        dataclasses.replace(PROMPT, id="a", solution="Red is three."),
        dataclasses.replace(PROMPT, id="b", answer="6"),
    ]
    server = teach(pair[:1])
    result = annotate(pair, asking(server), with_changes(num_rationales=1))
    assert len(server.bodies) == 1
    assert [drop.reason for drop in result.dropped] == ["wrong_answer"]
    assert [prompt.id for prompt in result.kept] == ["a"]


def test_images_go_with_the_question_and_stand_where_it_marks_them(teach, asking, few):
    one = dataclasses.replace(few[0], question="See <image> here.")
    server = teach([one])
    annotate([one], asking(server), SETTINGS)
    content = server.bodies[0]["messages"][-1]["content"]
    assert [part["type"] for part in content] == ["text", "image_url", "text"]


def test_a_prompt_without_its_image_costs_only_itself(teach, asking, few, tmp_path):
    lost = dataclasses.replace(few[0], question="Is <image> like <image>?")
    server = teach(few)
    result = annotate([lost, *few[1:3]], asking(server), SETTINGS)
    assert [(drop.id, drop.reason) for drop in result.dropped] == [(lost.id, "unreadable")]
    assert "marks 2 images" in result.dropped[0].detail


def test_a_request_that_fails_is_a_teacher_that_failed(teach, asking, few):
    server = teach(few)
    server.plan = lambda body, attempt: "bad_request" if len(server.bodies) == 1 else "good"
    result = annotate(few, asking(server, max_concurrency=1), with_changes(num_rationales=1))
    assert [(drop.reason, drop.detail) for drop in result.dropped] == [
        ("teacher_failed", "refused: 400: image too large")
    ]


def test_prompts_that_a_stopped_run_left_are_not_asked_and_come_with_the_next(teach, asking, few):
    server = teach(few)
    server.plan = lambda body, attempt: "error"
    stopped = annotate(
        few, asking(server, max_attempts=1, max_failures_in_a_row=2, max_concurrency=1), SETTINGS
    )
    reasons = Counter(drop.reason for drop in stopped.dropped)
    assert reasons["not_asked"] >= 3
    assert sum(reasons.values()) == 6
    server.plan = lambda body, attempt: "good"
    again = annotate(few, asking(server), SETTINGS)
    assert len(again.kept) >= reasons["not_asked"]


def test_a_prompt_stopped_between_its_rationales_is_not_called_wrong(teach, asking, few):
    server = teach(few, wrong=1.0)
    server.plan = lambda body, attempt: "good" if len(server.bodies) == 1 else "unauthorised"
    result = annotate(few[:1], asking(server, max_concurrency=1), with_changes(num_rationales=3))
    assert [(drop.reason, drop.detail) for drop in result.dropped] == [
        ("not_asked", "the run was stopped; 1 drawn: wrong_answer 1")
    ]


def test_reasoning_that_a_server_splits_off_is_the_thought():
    judged = judge_response(
        PROMPT,
        respond("<answer>\\boxed{5}</answer>", reasoning="Three and two are five."),
        SETTINGS,
    )
    assert (judged.reason, judged.thought) == ("", "Three and two are five.")


@pytest.mark.parametrize(
    ("text", "reason"),
    [
        (thought(), ""),
        (thought("5.0"), ""),
        (thought("6"), "wrong_answer"),
        (thought("5", "Five."), "too_short"),
        (thought("5", "The sum of the bars is " + "one and " * 40), "too_long"),
        (
            thought(
                "5",
                "Der rote Balken hat drei und der blaue zwei, zusammen also sind es genau "
                + "fünf " * 9,
            ),
            "wrong_language",
        ),
        ("<think>The red bar is three", "truncated"),
        ("<think>The red bar is three</think><answer>\\boxed{5", "truncated"),
        ("The red bar is three, so \\boxed{5}", "off_format"),
        (thought() + " Done.", "off_format"),
        (thought("5} or \\boxed{6"), "off_format"),
        (thought(""), "off_format"),
        ("", "off_format"),
    ],
)
def test_a_response_gets_the_first_reason_against_it(text, reason):
    assert judge_response(PROMPT, respond(text), with_changes(max_words=40)).reason == reason


def test_a_response_at_the_token_limit_is_truncated_however_whole_it_looks():
    assert (
        judge_response(PROMPT, respond(thought(), finish_reason="length"), SETTINGS).reason
        == "truncated"
    )


def test_a_reference_that_cannot_be_read_refuses_no_answer_as_wrong():
    prompt = dataclasses.replace(PROMPT, answer="", kind="number")
    assert judge_response(prompt, respond(thought()), SETTINGS).reason == "unverifiable"


def test_a_multiple_choice_answer_may_be_the_text_of_the_option():
    prompt = dataclasses.replace(PROMPT, answer="B", choices=("linear", "nonlinear"), kind="choice")
    assert [
        judge_response(prompt, respond(thought(a)), SETTINGS).reason
        for a in ("B", "nonlinear", "A")
    ] == [
        "",
        "",
        "wrong_answer",
    ]


@pytest.mark.parametrize(
    ("prefer", "place"), [("first", 0), ("shortest", 3), ("median", 0), ("longest", 2)]
)
def test_the_rationale_that_is_preferred_is_chosen_among_those_that_pass(prefer, place):
    # Words 30, 99 (refused), 50, 20: sorted 20, 30, 50, in the middle 30.
    group = [
        Judged(reason=r, num_words=n)
        for r, n in (("", 30), ("wrong_answer", 99), ("", 50), ("", 20))
    ]
    assert choose(group, prefer) == place


def test_nothing_is_chosen_where_nothing_passes():
    assert choose([Judged(reason="off_format")], "median") is None


def test_answer_diversity_is_the_chance_that_two_answers_differ():
    # Three of one and one of another: 1 - (9 + 1)/16 = 0.375.
    assert answer_diversity(["5", "5", "5", "6"]) == 0.375
    assert (answer_diversity(["5", "5"]), answer_diversity([])) == (0.0, 0.0)


def test_what_was_drawn_is_told_in_the_metadata(teach, asking, few):
    server = teach(few, wrong=0.5)
    result = annotate(few, asking(server), with_changes(num_rationales=4, draw_all=True))
    told = [prompt.metadata["annotation"] for prompt in result.kept]
    assert len(server.bodies) == 24
    assert {one["drawn"] for one in told} == {4}
    assert sum(one["accepted"] for one in told) == result.counts["rationales_accepted"]
    assert all(
        one["answer_diversity"] == round(answer_diversity(one["answers"]), 4) for one in told
    )
    assert all("final" not in prompt.metadata for prompt in result.kept)
    assert json.loads(json.dumps(told)) == told


def test_bounds_that_leave_no_room_are_refused():
    with pytest.raises(ValueError, match=r"min_words \(9\) is above max_words \(8\)"):
        AnnotateSettings(min_words=9, max_words=8)


def test_instructions_with_an_unknown_name_are_refused():
    with pytest.raises(ValueError, match=r"system may name \{language\} alone"):
        AnnotateSettings(system="Write \\boxed{answer}")


PICTURE = Prompt(id="d", question="What does the picture show?", answer="a happy dog", kind="text")


@pytest.fixture
def judge(recorded, teach, tmp_path):
    """A judge behind a server that says the same of every answer, and how often it was asked."""
    from vasari.endpoint import EndpointSettings, ResponseStore
    from vasari.verify.judge import JudgeSettings, judge_all

    server = teach([])
    stores = []

    def start(label, **changes):
        server.teacher.answer = lambda body: recorded.Reply(label, "good")
        stores.append(ResponseStore(tmp_path / f"judge-{len(stores)}"))
        endpoint = EndpointSettings(base_url=server.url, **({"backoff_seconds": 0.01} | changes))
        settings = JudgeSettings(endpoint=endpoint, model="judge", format="xverify")
        return lambda items: judge_all(items, settings, stores[-1])

    start.server = server
    yield start
    for store in stores:
        store.close()


@pytest.mark.parametrize(
    ("label", "kept", "reason"),
    [("[Correct]", 1, None), ("[Incorrect]", 0, "wrong_answer"), ("?", 0, "unverifiable")],
)
def test_an_answer_in_other_words_is_kept_when_the_judge_says_so(
    recorded, teach, asking, judge, label, kept, reason
):
    server = teach([])
    server.teacher.answer = lambda body: recorded.Reply(thought("a dog that is happy"), "good")
    result = annotate(
        [PICTURE], asking(server), with_changes(num_rationales=1), appeal=judge(label)
    )
    assert len(result.kept) == kept
    assert [drop.reason for drop in result.dropped] == ([reason] if reason else [])
    assert result.counts["judge_asked"] == 1
    assert not result.kept or result.kept[0].metadata["annotation"]["decided_by"] == "judge"


def test_the_judge_is_asked_only_where_nothing_passes_by_the_rules(recorded, teach, asking, judge):
    server = teach([])
    said = iter([thought("a dog that is happy"), thought("a happy dog")])
    server.teacher.answer = lambda body: recorded.Reply(next(said), "good")
    result = annotate(
        [PICTURE], asking(server), with_changes(num_rationales=2), appeal=judge("[Correct]")
    )
    assert result.kept[0].metadata["annotation"]["chosen"] == 1
    assert judge.server.bodies == []


def test_a_wrong_number_is_no_case_for_the_judge(recorded, teach, asking, judge):
    server = teach([])
    server.teacher.answer = lambda body: recorded.Reply(thought("6"), "good")
    result = annotate(
        [PROMPT], asking(server), with_changes(num_rationales=1), appeal=judge("[Correct]")
    )
    assert ([drop.reason for drop in result.dropped], judge.server.bodies) == (["wrong_answer"], [])


def test_a_judge_that_was_stopped_leaves_its_rows_to_the_next_run(recorded, teach, asking, judge):
    server = teach([])
    server.teacher.answer = lambda body: recorded.Reply(thought("a dog that is happy"), "good")
    judge.server.plan = lambda body, attempt: "unauthorised"
    result = annotate(
        [PICTURE], asking(server), with_changes(num_rationales=1), appeal=judge("[Correct]")
    )
    assert [drop.reason for drop in result.dropped] == ["not_asked"]
    assert "the judge was stopped" in result.dropped[0].detail
