"""Sums and questions about named numbers, without a picture, for training a base model.

What is learnt here, arithmetic and finding a number by its name, is needed in worked reasoning.
"""

from __future__ import annotations

from collections.abc import Callable
from functools import partial

import numpy as np

from vasari.data.tasks.thinker import Read, Thinker


def arithmetic_facts(rng: np.random.Generator, count: int) -> list[tuple[str, str]]:
    """Return `count` random sums and differences such as "7+5", each paired with its answer.

    They are worded as in worked reasoning.

    Sums reach 99, differences begin at 0.
    """
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


_COLOURS = ("red", "blue", "green", "yellow")
_EXTREMES = (
    ("tallest", "taller"),
    ("shortest", "shorter"),
    ("largest", "larger"),
    ("smallest", "smaller"),
    ("most", "more"),
)
"""Word of the question, and the word with which the reasoning notes the best name so far."""
_PLACES = ("row A", "row B", "row C", "column X", "column Y", "column Z")

Told = dict[str, int]
"""Name to number, in the order told; no number stands twice."""
Asked = tuple[str, Callable[[Thinker, Read], object]]
"""A question about a list of named numbers, and the function that works it out."""


def named_sums(rng: np.random.Generator, count: int) -> list[tuple[str, str]]:
    """Return `count` pairs of a question such as "red 5. blue 3. red plus blue" and its solution.

    They need no picture: what is learnt is to find a number by its name, to carry it on, and to
    keep the best so far in mind.
    """
    facts = []
    for _ in range(count):
        names = _COLOURS if rng.random() < 0.8 else _PLACES
        chosen = [names[int(i)] for i in rng.permutation(len(names))[: int(rng.integers(3, 5))]]
        values = rng.permutation(10)[: len(chosen)]
        told: Told = {name: int(value) for name, value in zip(chosen, values, strict=True)}
        ask, steps = _ASKED[int(rng.integers(len(_ASKED)))](rng, told)
        thinker = Thinker(np.random.default_rng(0))
        steps(thinker, partial(_read, thinker, told))
        question = " ".join(f"{name} {value}." for name, value in told.items()) + f" {ask}"
        facts.append((question, thinker.text()))
    return facts


def _read(thinker: Thinker, told: Told, name: str) -> int:
    return thinker.read(name, told[name])


def _picked(rng: np.random.Generator, told: Told, num: int) -> list[str]:
    names = list(told)
    return [names[int(i)] for i in rng.permutation(len(names))[:num]]


def _ranked(rng: np.random.Generator, told: Told, num: int) -> list[str]:
    """Return `num` random names, the name of the largest number first."""
    return sorted(_picked(rng, told, num), key=lambda name: -told[name])


def _sum(rng: np.random.Generator, told: Told) -> Asked:
    one, two = _picked(rng, told, 2)
    return f"{one} plus {two}", lambda t, _: t.add(told[one], told[two])


def _difference(rng: np.random.Generator, told: Told) -> Asked:
    high, low = _ranked(rng, told, 2)
    return f"{high} minus {low}", lambda t, _: t.subtract(told[high], told[low])


def _three_terms(rng: np.random.Generator, told: Told) -> Asked:
    one, two, less = _ranked(rng, told, 3)
    return (
        f"{one} plus {two} minus {less}",
        lambda t, _: t.subtract(t.add(told[one], told[two]), told[less]),
    )


def _total(_: np.random.Generator, told: Told) -> Asked:
    return "sum of all", lambda t, _: t.total(list(told.values()))


def _extreme(rng: np.random.Generator, told: Told) -> Asked:
    word, better = _EXTREMES[int(rng.integers(len(_EXTREMES)))]
    largest = word not in ("shortest", "smallest")
    return word, lambda t, read: t.best(read, list(told), word=better, largest=largest)


def _spread(rng: np.random.Generator, told: Told) -> Asked:
    word, place = (("shortest", -1), ("second tallest", 1))[int(rng.integers(2))]
    ranked = sorted(told.values(), reverse=True)

    def steps(thinker: Thinker, _: Read) -> None:
        thinker.say(f"tallest {ranked[0]}")
        thinker.say(f"{word} {ranked[place]}")
        thinker.subtract(ranked[0], ranked[place])

    return f"tallest minus {word}", steps


def _more(rng: np.random.Generator, told: Told) -> Asked:
    one, two = _picked(rng, told, 2)
    return (
        f"more {one} or {two}",
        lambda t, read: t.best(read, (one, two), word="more", largest=True),
    )


def _above(rng: np.random.Generator, told: Told) -> Asked:
    limit = int(rng.integers(1, 8))
    asked = f"more than {limit}"
    return asked, lambda t, read: t.subset(read, list(told), word=asked, fits=lambda n: n > limit)


def _taller(rng: np.random.Generator, told: Told) -> Asked:
    mark = _picked(rng, told, 1)[0]
    rest = [name for name in told if name != mark]
    return f"taller than {mark}", lambda t, read: t.count_above(read, rest, limit=read(mark))


def _far_apart(rng: np.random.Generator, told: Told) -> Asked:
    if len(told) < 4:
        return _difference(rng, told)
    a, b, c, d = _picked(rng, told, 4)
    return (
        f"far apart {a} plus {b} and {c} plus {d}",
        lambda t, _: t.difference(t.add(told[a], told[b]), t.add(told[c], told[d])),
    )


def _equal_to(rng: np.random.Generator, told: Told) -> Asked:
    wanted = told[_picked(rng, told, 1)[0]] if rng.random() < 0.8 else int(rng.integers(10))
    return (
        f"exactly {wanted}",
        lambda t, read: t.subset(read, list(told), word="exactly", fits=lambda n: n == wanted),
    )


def _option(rng: np.random.Generator, told: Told) -> Asked:
    texts = [str(value) for value in told.values()] if rng.random() < 0.6 else list(told)
    sought = texts[int(rng.integers(len(texts)))]
    options = dict(zip("ABCD", texts, strict=False))
    listed = " ".join(f"{letter}) {text}" for letter, text in options.items())
    return f"{listed} {sought}", lambda t, _: t.match(sought, options)


_ASKED: tuple[Callable[[np.random.Generator, Told], Asked], ...] = (
    _sum,
    _difference,
    _three_terms,
    _far_apart,
    _total,
    _extreme,
    _extreme,
    _extreme,
    _spread,
    _more,
    _above,
    _above,
    _taller,
    _taller,
    _equal_to,
    _option,
    _option,
    _option,
)
"""Makers of questions about a list; one that stands here twice is twice as likely."""
