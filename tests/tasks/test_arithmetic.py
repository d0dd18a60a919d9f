from __future__ import annotations

import re

import numpy as np
from hypothesis import given
from hypothesis import strategies as st

from vasari.tasks.arithmetic import arithmetic_facts, named_sums

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


@given(seed=seeds)
def test_a_named_sum_adds_the_numbers_that_its_names_have(seed: int) -> None:
    for question, answer in named_sums(np.random.default_rng(seed), 20):
        told = dict(re.findall(r"([A-Za-z ]+?) (\d)\.", question))
        told = {name.strip(): int(value) for name, value in told.items()}
        asked = re.search(r"\. ([^.]+)$", question).group(1)  # type: ignore[union-attr]
        if found := re.fullmatch(r"(.+) (plus|minus) (.+)", asked):
            one, word, two = found.groups()
            assert answer.startswith(f"{told[one]}{'+' if word == 'plus' else '-'}{told[two]}=")
        elif asked == "sum of all":
            assert answer.endswith(f"={sum(told.values())}.")
        elif asked == "most":
            assert told[answer.removeprefix("most ").removesuffix(".")] == max(told.values())
        else:
            assert answer == f"largest {max(told.values())}. smallest {min(told.values())}."


def test_the_same_seed_gives_the_same_questions() -> None:
    assert named_sums(np.random.default_rng(3), 9) == named_sums(np.random.default_rng(3), 9)
