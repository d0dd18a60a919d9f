"""Multiple-choice and long answers become short ones, or are refused when they no longer verify
against the original."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

pytest.importorskip("aiohttp")

from vasari.curate.ask.rephrase import (
    RephraseSettings,
    check,
    read_reply,
    rephrase,
    rephrase_by_rule,
    right_option,
)
from vasari.endpoint import Response
from vasari.records import Outcome, Prompt
from vasari.verify import verify_answer

SETTINGS = RephraseSettings()

NUMERIC = Prompt(id="n", question="What is x?", answer="B", choices=("4", "5", "6"), kind="choice")
WORDS = Prompt(
    id="w",
    question="Is the function linear or nonlinear?",
    answer="B",
    choices=("linear", "nonlinear"),
)
LONG = Prompt(
    id="l",
    question="How many cookies are left in the jar after lunch?",
    answer=(
        "After lunch there are 12 cookies left in the jar, since 20 take away 8 is 12. The answer"
        " is 12."
    ),
)


def reply(question, answer):
    return Response(text=f"<question>{question}</question>\n<answer>{answer}</answer>")


def test_an_option_that_is_a_number_is_the_answer_without_asking_anybody():
    new = rephrase_by_rule(NUMERIC, SETTINGS)
    assert (new.question, new.answer, new.refused) == ("What is x?", "5", "")


def test_a_question_that_speaks_of_its_options_needs_a_model():
    prompt = Prompt(id="f", question="Which of the following is x?", answer="B", choices=("4", "5"))
    assert rephrase_by_rule(prompt, SETTINGS) is None


def test_a_short_answer_stays():
    prompt = Prompt(id="s", question="How long?", answer="12 cm")
    assert rephrase_by_rule(prompt, SETTINGS).answer == "12 cm"


def test_a_boxed_answer_is_taken_out_by_rule():
    prompt = Prompt(
        id="b",
        question="How long?",
        answer="We add both sides of the figure and so we find $\\boxed{7}$.",
    )
    assert rephrase_by_rule(prompt, SETTINGS).answer == "7"


def test_options_that_are_pictures_are_refused():
    prompt = Prompt(
        id="a", question="Which shape fits?", answer="A", choices=("A", "B"), kind="choice"
    )
    assert rephrase_by_rule(prompt, SETTINGS).refused == "needs_options"
    assert (
        right_option(Prompt(id="m", question="?", answer="A, C", choices=("x y", "z w", "u v")))
        is None
    )


@pytest.mark.parametrize(
    "option", ["none of these", "All of the above", "A and B", "(B) or (C)", "None", "both of them"]
)
def test_an_option_about_other_options_is_no_answer_without_them(option):
    prompt = Prompt(
        id="o", question="Which is true?", answer="C", choices=("x is 2", "x is 3", option)
    )
    assert rephrase_by_rule(prompt, SETTINGS).refused == "needs_options"


@pytest.mark.parametrize(
    ("prompt", "question", "answer", "refused"),
    [
        (WORDS, "Is the function linear or nonlinear?", "nonlinear", ""),
        (WORDS, "Is the function linear or nonlinear?", "linear", "answer_changed"),
        (WORDS, "Is the function linear or nonlinear?", "B", "answer_not_short"),
        (WORDS, "Which of the following describes the function?", "nonlinear", "needs_options"),
        (
            WORDS,
            "What kind of function is shown?",
            "it is a function that is not at all linear",
            "answer_not_short",
        ),
        (LONG, "How many cookies are left in the jar after lunch?", "12", ""),
        (LONG, "How many cookies are left in the jar after lunch?", "8", "answer_changed"),
        (
            LONG,
            "The 12 cookies are left. How many are left in the jar after lunch?",
            "12",
            "answer_given",
        ),
        (
            Prompt(
                id="k",
                question="AB is 3 and BC is 4. Which of these is AC?",
                answer="A",
                choices=("5", "6"),
            ),
            "AB is 3. What is AC?",
            "5",
            "question_changed",
        ),
        (
            Prompt(
                id="k",
                question="AB is 3 and BC is 4. Which of these is AC?",
                answer="A",
                choices=("5", "6"),
            ),
            "AB is 3 and BC is 4. What is AC?",
            "5.0",
            "",
        ),
        (
            Prompt(
                id="i",
                question="<image> Which of these is it?",
                answer="A",
                choices=("a cat", "a dog"),
            ),
            "What is it?",
            "a cat",
            "question_changed",
        ),
    ],
)
def test_a_new_question_and_answer_pass_or_get_the_first_reason_against_them(
    prompt, question, answer, refused
):
    assert check(prompt, question, answer, SETTINGS).refused == refused


@pytest.mark.parametrize(
    ("response", "refused"),
    [
        (reply("Is the function linear or nonlinear?", "nonlinear"), ""),
        (
            Response(
                text="<think>Easy.</think> "
                + reply("Is the function linear or nonlinear?", "nonlinear").text
            ),
            "",
        ),
        (Response(text="IMPOSSIBLE"), "needs_options"),
        (Response(text="Sure! The answer is nonlinear."), "unreadable_reply"),
        (reply("", "nonlinear"), "unreadable_reply"),
        (reply("Is it linear?", ""), "unreadable_reply"),
        (Response(text="<question>Is the fun", finish_reason="length"), "truncated"),
    ],
)
def test_a_reply_is_read_strictly(response, refused):
    assert read_reply(WORDS, response, SETTINGS).refused == refused


@given(st.integers(-999, 999), st.integers(-999, 999))
def test_another_number_is_never_the_same_answer(right, other):
    prompt = Prompt(
        id="p",
        question="Which of these is x?",
        answer="A",
        choices=(str(right), str(right + 1), "none"),
    )
    refused = check(prompt, "What is x?", str(other), SETTINGS).refused
    assert refused == ("" if other == right else "answer_changed")


def test_a_faultless_model_opens_every_prompt_and_the_answer_is_the_option(teach, asking):
    server = teach([])
    result = rephrase([NUMERIC, WORDS, LONG], asking(server), SETTINGS)
    assert [(p.answer, p.choices, p.kind) for p in result.kept] == [
        ("5", None, "number"),
        ("nonlinear", None, "text"),
        ("12", None, "number"),
    ]
    assert result.counts == {"by_rule": 2, "by_model": 1}
    assert result.kept[1].metadata["rephrased"] == {
        "by": "teacher",
        "question": WORDS.question,
        "answer": "B",
        "choices": ["linear", "nonlinear"],
    }
    assert all(
        verify_answer(f"\\boxed{{{p.answer}}}", p.answer, None, p.kind).outcome is Outcome.CORRECT
        for p in result.kept
    )


def test_a_wrong_rephrasing_is_refused_and_dropped_with_what_was_said(teach, asking):
    result = rephrase([WORDS], asking(teach([], wrong=1.0)), SETTINGS)
    assert [(drop.reason, drop.detail) for drop in result.dropped] == [
        ("answer_changed", "'linear' does not verify against 'B'")
    ]
    assert result.counts == {"refused_answer_changed": 1}


def test_a_refused_prompt_stays_as_it_was_on_request(teach, asking):
    result = rephrase([WORDS], asking(teach([], wrong=1.0)), RephraseSettings(refused="keep"))
    assert (result.kept, result.dropped) == ((WORDS,), ())


def test_multiple_choice_stays_on_request(teach, asking):
    server = teach([])
    result = rephrase([WORDS], asking(server), RephraseSettings(open_choices=False))
    assert (result.kept, result.counts, server.bodies) == ((WORDS,), {"short_already": 1}, [])


def test_a_failed_request_drops_the_prompt_as_such(teach, asking):
    server = teach([])
    server.plan = lambda body, attempt: "bad_request"
    result = rephrase([WORDS], asking(server), SETTINGS)
    assert [drop.reason for drop in result.dropped] == ["rephraser_failed"]


def test_a_second_run_asks_nothing(teach, asking):
    server = teach([], wrong=0.5)
    first = rephrase([WORDS, LONG], asking(server), SETTINGS)
    asked = len(server.bodies)
    assert rephrase([WORDS, LONG], asking(server), SETTINGS) == first
    assert len(server.bodies) == asked
