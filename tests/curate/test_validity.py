"""Prompts that can be answered blind or never verified are dropped; one whose key a model agrees
against is flagged."""

from __future__ import annotations

import dataclasses
import json
from itertools import product

import pytest
from hypothesis import given
from hypothesis import strategies as st

pytest.importorskip("aiohttp")

from vasari.curate.ask.validity import (
    ValiditySettings,
    contest,
    guess_probability,
    is_answerable_blind,
    unverifiable_reference,
    validity,
)
from vasari.records import Outcome, Prompt, Verdict

BLIND = ValiditySettings(num_blind=6)
OPEN = {"kind": "number", "choices": None, "metadata": {}}


@pytest.fixture
def open_prompts(image_prompts):
    """Prompts with an image and a text of their own, so that a blind teacher can know them."""
    return [
        dataclasses.replace(p, question=f"Picture {n}: {p.question}", answer=str(n), **OPEN)
        for n, p in enumerate(image_prompts[:6])
    ]


@pytest.mark.parametrize(
    ("right", "num", "options", "chance"),
    [(4, 4, 2, 1 / 16), (1, 2, 2, 3 / 4), (0, 5, 3, 1.0), (2, 2, 4, 1 / 16)],
)
def test_the_chance_of_guessing_is_the_upper_tail_of_a_binomial(right, num, options, chance):
    assert guess_probability(right, num, options) == pytest.approx(chance)


@given(st.integers(1, 12), st.integers(2, 6), st.integers(0, 11))
def test_more_right_answers_are_less_likely_guessed(num, options, right):
    right %= num
    assert (
        0
        < guess_probability(right + 1, num, options)
        < guess_probability(right, num, options)
        <= 1 + 1e-12
    )


@pytest.mark.parametrize(
    ("right", "num", "options", "answerable"),
    [
        (5, 8, 0, True),  # 0.625 > 0.5
        (4, 8, 0, False),
        (4, 4, 2, False),  # 1/16 is more than 0.05
        (5, 5, 2, True),  # 1/32
        (0, 0, 0, False),
    ],
)
def test_a_prompt_is_answerable_blind_when_often_right_and_not_by_guessing(
    right, num, options, answerable
):
    assert (
        is_answerable_blind([1.0] * right + [0.0] * (num - right), options, ValiditySettings())
        is answerable
    )


@pytest.mark.parametrize("options", [0, 2, 4])
def test_drawing_until_settled_decides_as_all_rollouts_do(options):
    settings = ValiditySettings(num_blind=6)
    for verdicts in product([0.0, 1.0], repeat=6):
        for stop in range(1, 7):
            left = 6 - stop
            best = is_answerable_blind([*verdicts[:stop], *[1.0] * left], options, settings)
            worst = is_answerable_blind([*verdicts[:stop], *[0.0] * left], options, settings)
            if best == worst:
                assert is_answerable_blind(verdicts[:stop], options, settings) is best
                break


def test_prompts_that_are_answered_without_their_image_are_dropped(teach, asking, open_prompts):
    server = teach(open_prompts, blind=0.5)
    result = validity(open_prompts, asking(server), BLIND)
    known = {p.id for p in open_prompts} - {p.id for p in result.kept}
    assert {(drop.id, drop.reason) for drop in result.dropped} == {
        (name, "answerable_blind") for name in known
    }
    assert 0 < len(known) < 6
    # 4 of 6 are more than half: four right ones settle it.
    assert {drop.detail for drop in result.dropped} == {
        "right in 4 of 4 rollouts without the image"
    }


def test_blind_requests_hold_no_image_and_no_reference(teach, asking, open_prompts):
    server = teach(open_prompts)
    marked = [
        dataclasses.replace(p, answer=f"SECRET-{n}", kind="text", solution="SECRET")
        for n, p in enumerate(open_prompts)
    ]
    validity(marked, asking(server), ValiditySettings(num_blind=1, num_sighted=1))
    bodies = [json.dumps(body) for body in server.bodies]
    assert [("image_url" in body, "SECRET" in body) for body in bodies] == [(False, False)] * 6 + [
        (True, False)
    ] * 6


def test_a_prompt_without_an_image_is_not_asked_blind(teach, asking):
    server = teach([])
    result = validity(
        [Prompt(id="t", question="What is 2 + 3?", answer="5")], asking(server), BLIND
    )
    assert (len(result.kept), server.bodies) == (1, [])


def test_a_reference_that_does_not_verify_is_dropped_without_asking(teach, asking, image_prompts):
    server = teach(image_prompts)
    bad = dataclasses.replace(image_prompts[0], answer="", kind="number", choices=None)
    result = validity([bad], asking(server), BLIND)
    assert [drop.reason for drop in result.dropped] == ["reference_unverifiable"]
    assert server.bodies == []
    assert unverifiable_reference(image_prompts[0]) == ""


def test_an_option_letter_beyond_the_options_is_no_reference():
    assert "outside the 2 options" in unverifiable_reference(
        Prompt(id="c", question="?", answer="D", choices=("x", "y"))
    )


def verdict(right):
    return Verdict(Outcome.CORRECT if right else Outcome.INCORRECT)


@pytest.mark.parametrize(
    ("votes", "answer"),
    [
        (["7", "7", "7", "5"], "7"),
        (["7", "7", "8", "5"], None),
        (["5", "5", "5", "5"], None),
        (["7", "7", "7", None], "7"),
        (["7", "7"], None),  # two were cut off
        ([], None),
    ],
)
def test_an_answer_is_contested_when_three_of_four_rollouts_agree_on_another(votes, answer):
    found = contest([(vote, verdict(vote == "5")) for vote in votes], 4, ValiditySettings())
    assert (found.answer if found else None) == answer


def test_a_wrong_key_is_flagged_with_the_answer_that_the_rollouts_agree_on(
    teach, asking, image_prompts
):
    server = teach(image_prompts)
    # The teacher knows the right answer; these keys are wrong.
    wrong = [
        dataclasses.replace(p, answer=str(100 + n), **OPEN) for n, p in enumerate(image_prompts[:1])
    ]
    settings = ValiditySettings(num_blind=0, num_sighted=4)
    result = validity([*wrong, *image_prompts[1:4]], asking(server), settings)
    assert [p.id for p in result.kept if "contested" in p.metadata] == [wrong[0].id]
    assert result.kept[0].metadata["contested"] == {
        "answer": image_prompts[0].answer,
        "share": 1.0,
        "num_rollouts": 4,
    }
    dropping = settings.model_copy(update={"drop_contested": True})
    assert [
        (drop.id, drop.reason) for drop in validity(wrong, asking(server), dropping).dropped
    ] == [(wrong[0].id, "contested")]


def test_a_prompt_whose_requests_fail_is_kept_and_counted(teach, asking, open_prompts):
    server = teach(open_prompts)
    server.plan = lambda body, attempt: "bad_request"
    result = validity(
        open_prompts[:3], asking(server), ValiditySettings(num_blind=1, num_sighted=1)
    )
    assert (len(result.kept), result.counts) == (3, {"blind_failed": 3, "sighted_failed": 3})


def test_a_rollout_that_failed_does_not_count_against_a_prompt(teach, asking, open_prompts):
    server = teach(open_prompts, blind=1.0)
    # The first rollout is right and the others fail: 1 of 1, but 1 of 4.
    server.plan = lambda body, attempt: "good" if len(server.bodies) == 1 else "bad_request"
    model = asking(server, max_concurrency=1)
    result = validity(open_prompts[:1], model, ValiditySettings(num_blind=4))
    assert [p.metadata["validity"] for p in result.kept] == [
        {"blind_rollouts": 1, "blind_correct": 1}
    ]


def test_a_prompt_whose_rollouts_were_stopped_half_way_is_left_to_the_next_run(
    teach, asking, open_prompts
):
    server = teach(open_prompts, blind=1.0)
    server.plan = lambda body, attempt: "good" if len(server.bodies) <= 2 else "unauthorised"
    model = asking(server, max_concurrency=1)
    result = validity(open_prompts[:1], model, ValiditySettings(num_blind=4))
    assert [(drop.reason, drop.detail) for drop in result.dropped] == [
        ("not_asked", "the run was stopped after 2 blind rollouts")
    ]
    server.plan = lambda body, attempt: "good"
    again = validity(open_prompts[:1], asking(server), ValiditySettings(num_blind=4))
    assert [drop.reason for drop in again.dropped] == ["answerable_blind"]


def test_a_second_run_asks_nothing(teach, asking, open_prompts):
    server = teach(open_prompts, blind=0.5)
    first = validity(open_prompts, asking(server), BLIND)
    asked = len(server.bodies)
    assert validity(open_prompts, asking(server), BLIND) == first
    assert len(server.bodies) == asked
