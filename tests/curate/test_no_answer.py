"""What is no answer of a model is no wrong answer: in grading, annotation, validity, categories."""

from __future__ import annotations

import dataclasses
import itertools

import pytest

pytest.importorskip("aiohttp")

from vasari.curate.ask.annotate import AnnotateSettings, annotate
from vasari.curate.ask.categorise import CategoriseSettings, categorise
from vasari.curate.ask.rephrase import RephraseSettings, rephrase
from vasari.curate.ask.validity import ValiditySettings, validity
from vasari.curate.choose.grading import GradingSettings
from vasari.curate.choose.pass_rates import grade_by_model
from vasari.endpoint import RETRIABLE
from vasari.records import Prompt

RIGHT, WRONG = ("\\boxed{7}", "stop"), ("\\boxed{8}", "stop")
# Texts and finish reasons as servers and models give them.
LOST = {
    "withheld": ("", "content_filter"),
    "withheld in the middle": ("The picture shows", "content_filter"),
    "empty": ("", "stop"),
    "blank": (" \n", "stop"),
    "declined": ("I'm sorry, but I can't help with that.", "stop"),
    "cut off": ("Let me think about the seven", "length"),
    "cut off with another answer": ("It may be \\boxed{8}, but wait", "length"),
}


@pytest.fixture
def replies(teach):
    """A server that gives these texts and finish reasons in turn."""

    def start(*turns):
        server, given = teach([]), itertools.cycle(turns)

        def completion(body, **_):
            text, finish = next(given)
            message = {"role": "assistant", "content": text}
            return {
                "model": "m",
                "choices": [{"index": 0, "message": message, "finish_reason": finish}],
                "usage": {"prompt_tokens": 5, "completion_tokens": 5},
            }

        server.completion = completion
        return server

    return start


def prompts(**fields):
    return [Prompt(id="p", question="How many?", answer="7", **fields)]


EVERY = ("easy", "medium", "hard")


@pytest.mark.parametrize("lost", LOST.values(), ids=LOST)
def test_grading_leaves_out_what_is_no_answer(replies, asking, lost):
    model = asking(replies(lost, RIGHT), max_concurrency=1, max_attempts=1)
    settings = GradingSettings(model="m", num_rollouts=4, keep=EVERY)

    result = grade_by_model(prompts(), model, settings)

    (kept,) = result.kept
    assert kept.difficulty == "easy"
    assert (kept.metadata["grade"]["correct"], kept.metadata["grade"]["incorrect"]) == (2, 0)


@pytest.mark.parametrize("lost", LOST.values(), ids=LOST)
def test_a_prompt_without_any_answer_is_not_hard(replies, asking, lost):
    model = asking(replies(lost), max_attempts=1)

    result = grade_by_model(
        prompts(), model, GradingSettings(model="m", num_rollouts=4, keep=EVERY)
    )

    (drop,) = result.dropped
    assert drop.reason in ("ungraded", "grader_failed")
    assert drop.detail
    names = ("rollouts_truncated", "rollouts_failed")
    assert sum(result.counts.get(name, 0) for name in names) in (0, 4)


def test_wrong_answers_beside_them_still_count(replies, asking):
    model = asking(replies(LOST["cut off"], WRONG), max_concurrency=1)

    result = grade_by_model(
        prompts(), model, GradingSettings(model="m", num_rollouts=4, keep=EVERY)
    )

    assert result.kept[0].difficulty == "hard"
    assert result.kept[0].metadata["grade"]["incorrect"] == 2


@pytest.mark.parametrize("lost", ["withheld", "empty", "declined"])
def test_a_teacher_that_gives_no_answer_has_failed_and_wrote_nothing_wrong(replies, asking, lost):
    model = asking(replies(LOST[lost]), max_attempts=1)

    result = annotate(prompts(), model, AnnotateSettings(num_rationales=2))

    (drop,) = result.dropped
    assert drop.reason == "teacher_failed"
    assert lost in drop.detail


@pytest.mark.parametrize("lost", ["withheld", "empty", "declined"])
def test_a_rewriter_and_a_classifier_that_give_no_answer_have_failed(replies, asking, lost):
    wordy = [Prompt(id="p", question="Which?", answer="a long answer of many more than six words")]
    (drop,) = rephrase(wordy, asking(replies(LOST[lost])), RephraseSettings()).dropped
    assert drop.reason == "rephraser_failed"

    found = categorise(prompts(), asking(replies(LOST[lost]), folder="b"), CategoriseSettings())
    assert found.counts["classifier_failed"] == 1
    assert found.counts.get("unreadable_replies", 0) == 0


@pytest.mark.parametrize("lost", LOST.values(), ids=LOST)
def test_the_blind_check_drops_no_prompt_for_what_is_no_answer(
    replies, asking, draw_figure, make_prompt, lost
):
    shown = [make_prompt("p", "How many?", "7", draw_figure(1))]
    settings = ValiditySettings(num_blind=4)

    result = validity(shown, asking(replies(RIGHT, lost, lost, lost), max_concurrency=1), settings)

    # One right answer of four asked for is not more than half, whatever the other three are.
    assert [prompt.id for prompt in result.kept] == ["p"]
    assert result.kept[0].metadata["validity"] == {"blind_rollouts": 1, "blind_correct": 1}


def test_what_is_no_answer_is_asked_again_when_failed_requests_are(replies, asking):
    settings = GradingSettings(model="m", num_rollouts=2, keep=EVERY)
    lost = [LOST[name] for name in ("withheld", "empty", "declined")]
    server = replies(*lost, *lost[:1], RIGHT)
    first = grade_by_model(prompts(), asking(server, max_attempts=1), settings)
    assert [drop.reason for drop in first.dropped] == ["grader_failed"]

    model = dataclasses.replace(asking(server, max_attempts=1), retry_failed=tuple(RETRIABLE))
    grade_by_model(prompts(), model, settings)
    again = grade_by_model(prompts(), model, settings)

    assert again.kept[0].difficulty == "easy"
