"""A model names one of the thirteen categories, its replies are read strictly, and how often it is
right is measured."""

from __future__ import annotations

import dataclasses
import json

import pytest
from hypothesis import given
from hypothesis import strategies as st

pytest.importorskip("aiohttp")

from vasari.core.errors import DataError
from vasari.curate.ask.categorise import (
    CATEGORIES,
    MATHVISION_SUBJECTS,
    UNCATEGORISED,
    CategoriseSettings,
    categorise,
    compare_categories,
    measure_categories,
    read_category,
)
from vasari.records import Prompt

# arXiv:2402.14804, table 1: the subjects of MathVision.
SUBJECTS = (
    *(
        "algebra",
        "analytic geometry",
        "arithmetic",
        "combinatorial geometry",
        "combinatorics",
        "counting",
    ),
    *(
        "descriptive geometry",
        "graph theory",
        "logic",
        "metric geometry - angle",
        "metric geometry - area",
    ),
    *(
        "metric geometry - length",
        "solid geometry",
        "statistics",
        "topology",
        "transformation geometry",
    ),
)


@pytest.fixture
def problems():
    """One prompt of each subject, with a solution by which the recorded teacher knows it."""
    return [
        Prompt(
            id=f"p{n}",
            question=f"Problem {n} of a book?",
            answer=str(n),
            category=subject,
            solution="Known.",
        )
        for n, subject in enumerate(SUBJECTS)
    ]


def test_there_are_thirteen_and_every_subject_of_mathvision_is_one_of_them():
    assert len(CATEGORIES) == 13
    assert {MATHVISION_SUBJECTS.get(subject, subject) for subject in SUBJECTS} == set(CATEGORIES)


@pytest.mark.parametrize("name", CATEGORIES)
@pytest.mark.parametrize(
    "form",
    [
        "{}",
        "\\boxed{{{}}}",
        "**{}**",
        "{}.",
        "<think>It is algebra or logic.</think><answer>\\boxed{{{}}}</answer>",
        "\\boxed{{\\text{{{}}}}}",
    ],
)
def test_a_category_is_read_in_each_plain_form(name, form):
    assert read_category(form.format(name), CATEGORIES) == name
    assert read_category(form.format(name.title()), CATEGORIES) == name


@pytest.mark.parametrize(
    "reply",
    [
        "",
        "geometry",
        "algebra or logic",
        "I would say algebra, or perhaps counting, but it could be logic as well.",
        "\\boxed{}",
        "\\boxed{trigonometry}",
        "not algebra",
        "3",
    ],
)
def test_anything_else_is_no_category(reply):
    assert read_category(reply, CATEGORIES) is None


@given(st.text(max_size=200))
def test_whatever_a_model_says_is_one_of_the_categories_or_none(reply):
    assert read_category(reply, CATEGORIES) in {*CATEGORIES, None}


def test_every_prompt_gets_the_category_that_the_model_names(teach, asking, problems):
    server = teach(problems)
    result = categorise(problems, asking(server), CategoriseSettings())
    assert [p.category for p in result.kept] == [MATHVISION_SUBJECTS.get(s, s) for s in SUBJECTS]
    assert [p.metadata["source_category"] for p in result.kept] == list(SUBJECTS)
    assert (result.counts["category_plane geometry"], result.counts["category_topology"]) == (4, 1)


def test_the_instructions_name_all_thirteen_and_no_request_names_the_answer(
    teach, asking, problems
):
    server = teach(problems)
    hidden = [
        dataclasses.replace(p, answer="SECRET", solution="SECRET", category="SECRET")
        for p in problems
    ]
    categorise(hidden, asking(server), CategoriseSettings())
    assert len(server.bodies) == 16
    assert all(name in server.bodies[0]["messages"][0]["content"] for name in CATEGORIES)
    assert "SECRET" not in json.dumps(server.bodies)


def test_what_is_no_mathematics_has_its_domain_for_a_category_and_costs_no_request(
    teach, asking, problems
):
    server = teach(problems)
    puzzle = Prompt(
        id="q",
        question="Which shape?",
        answer="A",
        category="triangle",
        metadata={"domain": "puzzle"},
    )
    result = categorise([puzzle, problems[0]], asking(server), CategoriseSettings())
    assert [(p.category, p.metadata["source_category"]) for p in result.kept] == [
        ("puzzle", "triangle"),
        ("algebra", "algebra"),
    ]
    assert (len(server.bodies), result.counts["by_source"]) == (1, 1)


def test_an_unreadable_reply_leaves_a_prompt_uncategorised_and_counted(teach, asking, problems):
    result = categorise(problems, asking(teach(problems, off_format=1.0)), CategoriseSettings())
    assert {p.category for p in result.kept} == {UNCATEGORISED}
    assert result.counts == {"unreadable_replies": 16, f"category_{UNCATEGORISED}": 16}


def test_uncategorised_prompts_are_dropped_on_request_with_what_was_said(teach, asking, problems):
    result = categorise(
        problems[:2],
        asking(teach(problems, off_format=1.0)),
        CategoriseSettings(drop_uncategorised=True),
    )
    assert (result.kept, [drop.reason for drop in result.dropped]) == ((), [UNCATEGORISED] * 2)
    assert "I would say algebra" in result.dropped[0].detail


def test_a_failed_request_leaves_a_prompt_uncategorised(teach, asking, problems):
    server = teach(problems)
    server.plan = lambda body, attempt: "bad_request" if "Problem 3" in str(body) else "good"
    result = categorise(problems, asking(server), CategoriseSettings())
    assert [p.id for p in result.kept if p.category == UNCATEGORISED] == ["p3"]
    assert result.counts["classifier_failed"] == 1


def test_a_tie_of_votes_is_no_category(recorded, teach, asking, problems):
    server = teach(problems)
    replies = iter(["logic", "algebra", "logic", "algebra", "logic"])
    server.teacher.answer = lambda body: recorded.Reply(f"\\boxed{{{next(replies)}}}", "good")
    settings = CategoriseSettings(num_votes=2)
    assert (
        categorise(problems[:1], asking(server, "two"), settings).kept[0].category == UNCATEGORISED
    )
    settings = CategoriseSettings(num_votes=3)
    assert categorise(problems[:1], asking(server, "three"), settings).kept[0].category == "logic"


def test_accuracy_is_counted_by_hand():
    # algebra: 2 of 3 found; logic: 1 of 1. 3 of 4 right, the larger category has 3 of 4, mean of
    # 2/3 and 1 is 5/6.
    gold = ["algebra", "algebra", "algebra", "logic"]
    found = compare_categories(gold, ["algebra", "algebra", UNCATEGORISED, "logic"])
    assert (found.accuracy, found.majority, found.num_unreadable) == (0.75, 0.75, 1)
    assert found.macro_recall == pytest.approx(5 / 6)
    assert found.confusion == {"algebra": {"algebra": 2, UNCATEGORISED: 1}, "logic": {"logic": 1}}
    # Wilson, z = 1.96: (0.75 + 0.4802 -+ 1.96 sqrt(0.046875 + 0.060025)) / 1.9604 = (1.2302 -+
    # 0.64083) / 1.9604.
    assert (found.low, found.high) == (
        pytest.approx(0.30064, abs=2e-4),
        pytest.approx(0.95441, abs=2e-4),
    )
    assert "| algebra | 3 | 0.67 | uncategorised 1 |" in found.table()


@given(
    st.lists(
        st.tuples(
            st.sampled_from(sorted(CATEGORIES)), st.sampled_from([*CATEGORIES, UNCATEGORISED])
        ),
        min_size=1,
    )
)
def test_the_confusion_table_holds_every_prompt_once(pairs):
    found = compare_categories([gold for gold, _ in pairs], [named for _, named in pairs])
    assert (
        sum(sum(row.values()) for row in found.confusion.values())
        == len(pairs)
        == found.num_prompts
    )
    assert 0 <= found.low <= found.accuracy <= found.high <= 1


def test_a_classifier_is_measured_on_gold_subjects(teach, asking, problems):
    server = teach(problems, wrong=0.5)
    model = asking(server)
    found = measure_categories(problems, model, CategoriseSettings())
    assert found.num_prompts == 16
    assert found.accuracy == server.teacher.told["good"] / 16
    assert measure_categories(problems, model, CategoriseSettings()) == found
    assert len(server.bodies) == 16


def test_a_gold_category_that_is_none_of_ours_is_named(teach, asking, problems):
    odd = [dataclasses.replace(problems[0], category="astronomy")]
    with pytest.raises(DataError, match=r"gold categories \['astronomy'\] are none of"):
        measure_categories(odd, asking(teach(problems)), CategoriseSettings())


def test_measuring_on_nothing_is_refused(teach, asking, problems):
    with pytest.raises(DataError, match=r"no prompt to measure"):
        measure_categories([], asking(teach(problems)), CategoriseSettings())
