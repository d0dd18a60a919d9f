"""Short sums without a picture: part of what a base model knows before it reasons."""

from __future__ import annotations

import numpy as np


def arithmetic_facts(rng: np.random.Generator, count: int) -> list[tuple[str, str]]:
    """Questions such as "7+5" with their answers: sums to 99, differences from 0, in the wording of worked reasoning."""
    facts = []
    for _ in range(count):
        kind = rng.random()
        if kind < 0.55:
            left, right = (int(n) for n in rng.integers(0, 10, size=2))
        elif kind < 0.85:
            left, right = int(rng.integers(0, 31)), int(rng.integers(0, 31))
        else:  # minutes of a clock
            left, right = 5 * int(rng.integers(0, 20)), 5 * int(rng.integers(0, 13))
        if rng.random() < 0.5:
            facts.append((f"{left}+{right}", str(left + right)))
        else:
            high, low = max(left, right), min(left, right)
            facts.append((f"{high}-{low}", str(high - low)))
    return facts


_NAMES = (
    "red",
    "blue",
    "green",
    "yellow",
    "row A",
    "row B",
    "row C",
    "red X",
    "red Y",
    "blue X",
    "blue Z",
    "green Y",
    "green Z",
)


def named_sums(rng: np.random.Generator, count: int) -> list[tuple[str, str]]:
    """Questions about a list of named numbers, such as "red 5. blue 3. red plus blue", with the sums that answer them.

    They need no picture: what is learnt is to find a number by its name and to carry it into a sum.
    """
    facts = []
    for _ in range(count):
        names = [str(name) for name in rng.permutation(_NAMES)[: int(rng.integers(2, 6))]]
        values = [int(value) for value in rng.integers(0, 10, size=len(names))]
        told = " ".join(f"{name} {value}." for name, value in zip(names, values, strict=True))
        ask, answer = _about_list(rng, names, values)
        facts.append((f"{told} {ask}", answer))
    return facts


def _about_list(rng: np.random.Generator, names: list[str], values: list[int]) -> tuple[str, str]:
    """A question about the list, in the wording of worked reasoning, and its answer."""
    one, two = (int(place) for place in rng.permutation(len(names))[:2])
    kind = rng.random()
    if kind < 0.25:
        return f"{names[one]} plus {names[two]}", f"{values[one]}+{values[two]}={values[one] + values[two]}."
    if kind < 0.5:
        high, low = (one, two) if values[one] >= values[two] else (two, one)
        return f"{names[high]} minus {names[low]}", f"{values[high]}-{values[low]}={values[high] - values[low]}."
    if kind < 0.7:
        return "sum of all", _running_sum(values)
    if kind < 0.85:
        return "largest, smallest", f"largest {max(values)}. smallest {min(values)}."
    return "most", f"most {names[values.index(max(values))]}."


def _running_sum(values: list[int]) -> str:
    steps, total = [], values[0]
    for value in values[1:]:
        steps.append(f"{total}+{value}={total + value}.")
        total += value
    return " ".join(steps)
