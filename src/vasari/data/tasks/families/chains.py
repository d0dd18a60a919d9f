"""Chains: sums and differences of a growing number of bars, worked out one term at a time."""

from __future__ import annotations

from collections.abc import Sequence
from functools import partial

import numpy as np

from vasari.data.tasks.families.bars import draw_bars
from vasari.data.tasks.families.base import (
    COLOURS,
    LeveledFamily,
    Numbers,
    Question,
    shuffled,
    with_question,
)
from vasari.data.tasks.problem import Fact, Problem
from vasari.data.tasks.thinker import Thinker

MOST_TERMS = 6
"""Terms of the longest chain: its worked solution stays below 80 tokens of the small model."""

_MAX = 9
_WORDS = {1: "plus", -1: "minus"}


def _signs(rng: np.random.Generator, kind: str, num: int) -> list[int]:
    """Return the signs of the terms after the first, as the kind of a chain says."""
    if kind == "plus":
        return [1] * num
    if kind == "minus":
        return [-1] * num
    first, last = [-1, *[1] * (num - 1)], [*[1] * (num - 1), -1]
    if kind != "mixed":
        return first if kind == "minus_first" else last
    while True:
        signs = [int(sign) for sign in rng.choice((1, -1), size=num)]
        if len(set(signs)) == 2 and signs not in (first, last):
            return signs


def _chain(rng: np.random.Generator, bars: Numbers, *, kind: str, num: int) -> Question | None:
    """Return a question for a chain of `num` terms; None if a value on the way is negative."""
    names = _names(rng, list(bars.values), num)
    signs = _signs(rng, kind, num - 1)
    value = bars.values[names[0]]
    text = names[0]
    for name, sign in zip(names[1:], signs, strict=True):
        value += sign * bars.values[name]
        text += f" {_WORDS[sign]} {name}"
        if value < 0:
            return None

    def think(thinker: Thinker) -> str:
        held = bars.read(thinker, names[0])
        for name, sign in zip(names[1:], signs, strict=True):
            term = bars.read(thinker, name)
            word = thinker.settle(_WORDS[sign], tuple(_WORDS.values()))
            held = thinker.add(held, term) if word == "plus" else thinker.difference(held, term)
        return str(held)

    return Question(f"What is {text}?", str(value), think)


def _names(rng: np.random.Generator, names: Sequence[str], num: int) -> list[str]:
    """Return `num` names, each at most one more time than another, none twice in a row."""
    chosen: list[str] = []
    while len(chosen) < num:
        turn = shuffled(rng, names)
        if not chosen or turn[0] != chosen[-1]:
            chosen += turn
    return chosen[:num]


def _sample(kind: str, num: int, rng: np.random.Generator) -> Problem:
    colours = shuffled(rng, COLOURS, 4)

    def bars() -> Numbers:
        heights = (int(height) for height in rng.permutation(_MAX)[: len(colours)] + 1)
        return Numbers(dict(zip(colours, heights, strict=True)), low=1, high=_MAX)

    shown, question = with_question(bars, lambda bars: _chain(rng, bars, kind=kind, num=num))
    return question.about(
        draw_bars(shown.values),
        "bars " + ", ".join(f"{name} {height}" for name, height in shown.values.items()),
        tuple(
            Fact(f"How tall is the {colour} bar?", str(height))
            for colour, height in shown.values.items()
        ),
    )


_KINDS = {
    2: ("plus", "minus"),
    3: ("plus", "minus", "minus_first", "minus_last"),
}
_LEVELS = {
    f"{kind}_{num}": partial(_sample, kind, num)
    for num in range(2, MOST_TERMS + 1)
    for kind in _KINDS.get(num, ("plus", "minus_first", "minus_last", "mixed"))
}
CHAINS = LeveledFamily("chains", _LEVELS)
"""Four bars, and questions such as "What is red minus blue plus green?".

The number in a level's name is that of terms. "plus_3" has only "plus" and "minus_3" only "minus";
"minus_first_4" has one "minus", the first sign, "minus_last_4" one that is the last, and "mixed_4"
both words in any other order. The pictures are those of `bars`, with its keys: what is a test
picture of one family is none that the other trains on.
"""
