"""How questions are put: the published wordings, and that no form can show an answer."""

from __future__ import annotations

import dataclasses
import json
import os
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from vasari.core.errors import ConfigError
from vasari.data.sources import read_source
from vasari.evaluate.benchmarks import BENCHMARKS
from vasari.evaluate.benchmarks.forms import (
    PAPER_SYSTEM,
    find_form,
    mathverse_query,
    mathverse_reasoning,
    mathvision_query,
    mathvista_query,
    mmmu_direct,
    mmmu_reasoning,
    question_with_options,
)
from vasari.evaluate.benchmarks.load import asked_prompt
from vasari.records import Prompt

EVERY_FORM = [(name, form) for name, benchmark in BENCHMARKS.items() for form in benchmark.forms]


def prompt(question="Q?", choices=None, **metadata):
    return Prompt(id="p", question=question, answer="A", choices=choices, metadata=metadata)


# From the repository of MathVista (arXiv:2310.02255), data/query.json.
HINTS = [
    (
        {"answer_type": "integer"},
        "requiring an integer answer and provide the final value, e.g., 1, 2, 3, at the end.",
    ),
    (
        {"answer_type": "float", "precision": 1},
        (
            "requiring a floating-point number with one decimal place and provide the final value,"
            " e.g., 1.2, 1.3, 1.4, at the end."
        ),
    ),
    (
        {"answer_type": "float", "precision": 2.0},
        (
            "requiring a floating-point number with two decimal places and provide the final value,"
            " e.g., 1.23, 1.34, 1.45, at the end."
        ),
    ),
    (
        {"answer_type": "list"},
        (
            "requiring a Python list as an answer and provide the final list, e.g., [1, 2, 3],"
            " [1.2, 1.3, 1.4], at the end."
        ),
    ),
]


@pytest.mark.parametrize(("facts", "hint"), HINTS)
def test_mathvista_hints_at_the_type_of_the_answer(facts, hint):
    assert (
        mathvista_query(prompt(**facts)) == f"Hint: Please answer the question {hint}\nQuestion: Q?"
    )


def test_mathvista_shows_the_unit_and_every_option():
    text = mathvista_query(prompt(choices=("A", "B"), unit="m", answer_type="text"))
    assert (
        text
        == "Hint: Please answer the question and provide the correct option letter, e.g., A, B, C,"
        " D, at the end.\nQuestion: Q? (Unit: m)\nChoices:\n(A) A\n(B) B"
    )


def test_mathvision_asks_for_a_box_and_lists_options_that_are_texts():
    start = (
        'Please solve the problem step by step and put your answer in one "\\boxed{}". '
        'If it is a multiple choice question, only one letter is allowed in the "\\boxed{}".\nQ?\n'
    )
    assert mathvision_query(prompt()) == start
    assert mathvision_query(prompt(choices=("4", "7"))) == f"{start}(A) 4\n(B) 7\n"
    assert mathvision_query(prompt(choices=tuple("ABCDE"))) == start


def test_mathverse_puts_its_own_queries_where_rows_have_them():
    row = prompt(query="with reasoning", query_wo="without")
    assert (mathverse_query(row), mathverse_reasoning(row)) == ("without", "with reasoning")


def test_mathverse_points_to_the_image_where_the_question_is_in_it():
    row = dataclasses.replace(prompt(problem_version="Vision Only"), kind="choice")
    assert (
        mathverse_query(row)
        == "According to the question shown in the image, please directly answer the question and"
        " provide the correct option letter, e.g., A, B, C, D."
    )


def test_mmmu_pro_asks_for_a_letter_at_once_or_after_reasoning():
    row = prompt(choices=("one", "two"))
    start = "Q?\nA. one\nB. two\n"
    assert (
        mmmu_direct(row) == f"{start}Answer with the option letter from the given choices directly."
    )
    assert (
        mmmu_reasoning(row)
        == f"{start}Answer the preceding multiple choice question. The last line of your response"
        " should be of the following format: 'Answer: $LETTER' (without quotes) where LETTER is"
        " one of options. Think step by step before answering."
    )


def test_the_papers_prompt_is_that_of_table_8():
    assert (
        PAPER_SYSTEM
        == "Please solve the problem step by step and put your answer in one \\boxed{}. "
        "If it is a multiple-choice question, only one letter should appear inside the \\boxed{}."
    )
    assert question_with_options(prompt(choices=("x", "y"))) == "Q?\nChoices:\n(A) x\n(B) y"


def test_an_unknown_form_is_refused_with_those_there_are():
    with pytest.raises(
        ConfigError, match=r"set 'x' has no prompt 'offical'; there are paper, official, bare"
    ):
        find_form(BENCHMARKS["mathvision"].forms, "offical", where="set 'x'")


@given(
    st.sampled_from(EVERY_FORM),
    st.text(min_size=6, alphabet=st.characters(min_codepoint=0x4E00, max_codepoint=0x4FFF)),
    st.sampled_from([None, ("one", "two"), tuple("ABCDE")]),
    st.sampled_from(["integer", "float", "list", "text"]),
)
def test_no_form_shows_an_answer_a_solution_or_a_fact_of_the_answer(
    form, secret, choices, answer_type
):
    benchmark, name = form
    told = Prompt(
        id="p",
        question="Q?",
        answer=secret,
        solution=f"it is {secret}",
        choices=choices,
        metadata={
            "answer_type": answer_type,
            "native_answer": secret,
            "precision": 1,
            "problem_version": "Vision Only",
        },
    )
    asked = asked_prompt(told, BENCHMARKS[benchmark].forms[name])
    assert secret not in repr(asked)
    assert (asked.answer, asked.solution, asked.choices, dict(asked.metadata)) == (
        "",
        None,
        None,
        {},
    )


@pytest.mark.slow
@pytest.mark.skipif("VASARI_DATA" not in os.environ, reason="needs VASARI_DATA")
def test_mathvistas_published_queries_are_rebuilt_but_for_white_space():
    folder = Path(os.environ["VASARI_DATA"]) / "mathvista_questions"
    published = json.loads((folder / "query.json").read_text())
    prompts = list(
        read_source("mathvista", folder, split="testmini", allow_test=True, images=False)
    )
    pairs = [(mathvista_query(found), published[found.metadata["native_id"]]) for found in prompts]
    assert len(pairs) == 1000
    assert (
        sum(ours == theirs for ours, theirs in pairs) == 994
    )  # the others have blanks at the ends of texts
    assert all("".join(ours.split()) == "".join(theirs.split()) for ours, theirs in pairs)
