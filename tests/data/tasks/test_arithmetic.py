from __future__ import annotations

import re

import numpy as np
from hypothesis import given
from hypothesis import strategies as st

from vasari.data.tasks.arithmetic import arithmetic_facts, named_sums

seeds = st.integers(0, 2**32 - 1)


def value_of(sum_text: str) -> int:
    left, sign, right = re.fullmatch(r"(\d+)([+-])(\d+)", sum_text).groups()  # type: ignore[union-attr]
    return int(left) + (1 if sign == "+" else -1) * int(right)


@given(seed=seeds)
def test_every_short_sum_is_right_and_not_negative(seed: int) -> None:
    for question, answer in arithmetic_facts(np.random.default_rng(seed), 20):
        assert int(answer) == value_of(question) >= 0


@given(seed=seeds)
def test_every_equation_of_a_named_sum_is_true(seed: int) -> None:
    for _, answer in named_sums(np.random.default_rng(seed), 20):
        for left, right in re.findall(r"(\d+[+-]\d+)=(\d+)", answer):
            assert value_of(left) == int(right)


def told_and_asked(question: str) -> tuple[dict[str, int], str]:
    """What a question tells, name by name, and what it asks."""
    *lines, asked = question.split(". ")
    return {line.rsplit(" ", 1)[0]: int(line.rsplit(" ", 1)[1]) for line in lines}, asked


def expected(told: dict[str, int], asked: str) -> str | None:
    """The end of the answer, found by other means; None for a question that another test checks."""
    ranked = sorted(told, key=lambda name: told[name])
    if found := re.fullmatch(r"far apart (.+) plus (.+) and (.+) plus (.+)", asked):
        one, two, three, four = (told[name] for name in found.groups())
        return f"={abs(one + two - three - four)}."
    if found := re.fullmatch(r"(.+) plus (.+) minus (.+)", asked):
        one, two, less = (told[name] for name in found.groups())
        return f"={one + two - less}."
    if found := re.fullmatch(r"tallest minus (shortest|second tallest)", asked):
        return f"={told[ranked[-1]] - told[ranked[0 if found[1] == 'shortest' else -2]]}."
    if found := re.fullmatch(r"(.+) (plus|minus) (.+)", asked):
        return f"={told[found[1]] + told[found[3]] * (1 if found[2] == 'plus' else -1)}."
    if asked == "sum of all":
        return f"={sum(told.values())}."
    return expected_comparison(told, asked)


def expected_comparison(told: dict[str, int], asked: str) -> str | None:
    """The end of the answer where numbers are compared, not added."""
    ranked = sorted(told, key=lambda name: told[name])
    if asked in ("tallest", "largest", "most"):
        return f" {ranked[-1]} {told[ranked[-1]]}."
    if asked in ("shortest", "smallest"):
        return f" {ranked[0]} {told[ranked[0]]}."
    if found := re.fullmatch(r"more (.+) or (.+)", asked):
        most = max(found[1], found[2], key=lambda name: told[name])
        return f"more {most} {told[most]}."
    if found := re.fullmatch(r"taller than (.+)", asked):
        return (
            f" over {told[found[1]]}"
            f" {[told[name] for name in reversed(ranked)].index(told[found[1]])}."
        )
    if found := re.fullmatch(r"(more than|exactly) (\d)", asked):
        places = [
            value > int(found[2]) if found[1] == "more than" else value == int(found[2])
            for value in told.values()
        ]
        names = [name for name, wanted in zip(told, places, strict=True) if wanted]
        return f" {asked if found[1] == 'more than' else 'exactly'} {' '.join(names) or 'none'}."
    return None


@given(seed=seeds)
def test_answers_about_named_numbers_are_those_found_by_other_means(seed: int) -> None:
    for question, answer in named_sums(np.random.default_rng(seed), 20):
        told, asked = told_and_asked(question)
        found = expected(told, asked)
        if found is None:
            *passed, last = answer.removesuffix(".").split(". ")
            listed = [
                re.fullmatch(r"(.+) ([A-D]) (.+) (yes|no)", step).groups()
                for step in (*passed, last)
            ]  # type: ignore[union-attr]
            assert asked.startswith(" ".join(f"{letter}) {text}" for _, letter, text, _ in listed))
            assert all(asked.endswith(f" {sought}") for sought, *_ in listed)
            assert [verdict for *_, verdict in listed] == [
                ("yes" if sought == text else "no") for sought, _, text, _ in listed
            ]
            assert listed[-1][3] == "yes"
        else:
            assert answer.endswith(found)


def test_the_same_seed_gives_the_same_questions() -> None:
    assert named_sums(np.random.default_rng(3), 9) == named_sums(np.random.default_rng(3), 9)
