"""Short sums and questions about named numbers, without a picture: part of what a base model knows
before it reasons.
"""

from __future__ import annotations

from collections.abc import Callable

import numpy as np

from vasari.data.tasks.thinker import Thinker


def arithmetic_facts(rng: np.random.Generator, count: int) -> list[tuple[str, str]]:
    """Questions such as "7+5" with their answers: sums to 99, differences from 0, in the wording of
    worked reasoning.
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
"""What is asked for, and the word that keeps the best so far."""
_PLACES = ("row A", "row B", "row C", "column X", "column Y", "column Z")

Told = dict[str, int]
"""Name to number, in the order told; no number stands twice."""


def named_sums(rng: np.random.Generator, count: int) -> list[tuple[str, str]]:
    """Questions about a list of named numbers, such as "red 5. blue 3. red plus blue", with the
    steps that answer them.

    They need no picture: what is learnt is to find a number by its name, to carry it on, and to
    keep the best so far in mind.
    """
    facts = []
    for _ in range(count):
        names = _COLOURS if rng.random() < 0.8 else _PLACES
        chosen = [names[int(i)] for i in rng.permutation(len(names))[: int(rng.integers(3, 5))]]
        values = rng.permutation(10)[: len(chosen)]
        told: Told = {name: int(value) for name, value in zip(chosen, values, strict=True)}
        ask, answer = _ASKED[int(rng.integers(len(_ASKED)))](rng, told)
        facts.append(
            (" ".join(f"{name} {value}." for name, value in told.items()) + f" {ask}", answer)
        )
    return facts


def _equation(left: int, sign: str, right: int) -> str:
    return f"{left}{sign}{right}={left + right if sign == '+' else left - right}."


def _picked(rng: np.random.Generator, told: Told, num: int) -> list[str]:
    names = list(told)
    return [names[int(i)] for i in rng.permutation(len(names))[:num]]


def _sum(rng: np.random.Generator, told: Told) -> tuple[str, str]:
    one, two = _picked(rng, told, 2)
    return f"{one} plus {two}", _equation(told[one], "+", told[two])


def _difference(rng: np.random.Generator, told: Told) -> tuple[str, str]:
    high, low = sorted(_picked(rng, told, 2), key=lambda name: -told[name])
    return f"{high} minus {low}", _equation(told[high], "-", told[low])


def _three_terms(rng: np.random.Generator, told: Told) -> tuple[str, str]:
    one, two, less = sorted(_picked(rng, told, 3), key=lambda name: -told[name])
    both = told[one] + told[two]
    answer = f"{_equation(told[one], '+', told[two])} {_equation(both, '-', told[less])}"
    return f"{one} plus {two} minus {less}", answer


def _total(_: np.random.Generator, told: Told) -> tuple[str, str]:
    steps, running = [], 0
    for place, value in enumerate(told.values()):
        if place:
            steps.append(_equation(running, "+", value))
        running += value
    return "sum of all", " ".join(steps)


def _extreme(rng: np.random.Generator, told: Told) -> tuple[str, str]:
    word, better = _EXTREMES[int(rng.integers(len(_EXTREMES)))]
    largest = word not in ("shortest", "smallest")
    return word, _worked(
        told, lambda t, read: t.best(read, list(told), word=better, largest=largest)
    )


def _worked(told: Told, steps: Callable[[Thinker, Callable[[str], int]], object]) -> str:
    """What an exact thinker writes who reads the numbers off the list."""
    thinker = Thinker(np.random.default_rng(0))
    steps(thinker, lambda name: thinker.read(name, told[name]))
    return thinker.text()


def _spread(rng: np.random.Generator, told: Told) -> tuple[str, str]:
    word = ("shortest", "second tallest")[int(rng.integers(2))]
    ranked = sorted(told.values(), reverse=True)
    low = ranked[-1] if word == "shortest" else ranked[1]
    return (
        f"tallest minus {word}",
        f"tallest {ranked[0]}. {word} {low}. {_equation(ranked[0], '-', low)}",
    )


def _more(rng: np.random.Generator, told: Told) -> tuple[str, str]:
    one, two = _picked(rng, told, 2)
    answer = _worked(told, lambda t, read: t.best(read, (one, two), word="more", largest=True))
    return f"more {one} or {two}", answer


def _above(rng: np.random.Generator, told: Told) -> tuple[str, str]:
    limit = int(rng.integers(1, 8))
    asked = f"more than {limit}"
    return asked, _worked(
        told, lambda t, read: t.subset(read, list(told), word=asked, fits=lambda n: n > limit)
    )


def _taller(rng: np.random.Generator, told: Told) -> tuple[str, str]:
    mark = _picked(rng, told, 1)[0]
    rest = [name for name in told if name != mark]
    return f"taller than {mark}", _worked(
        told, lambda t, read: t.count_above(read, rest, limit=read(mark))
    )


def _far_apart(rng: np.random.Generator, told: Told) -> tuple[str, str]:
    if len(told) < 4:
        return _difference(rng, told)
    pairs = _picked(rng, told, 4)
    first, second = told[pairs[0]] + told[pairs[1]], told[pairs[2]] + told[pairs[3]]
    sums = " ".join(_equation(told[one], "+", told[two]) for one, two in (pairs[:2], pairs[2:]))
    asked = f"far apart {pairs[0]} plus {pairs[1]} and {pairs[2]} plus {pairs[3]}"
    return asked, f"{sums} {_equation(max(first, second), '-', min(first, second))}"


def _equal_to(rng: np.random.Generator, told: Told) -> tuple[str, str]:
    wanted = told[_picked(rng, told, 1)[0]] if rng.random() < 0.8 else int(rng.integers(10))
    steps = _worked(
        told,
        lambda t, read: t.subset(read, list(told), word="exactly", fits=lambda n: n == wanted),
    )
    return f"exactly {wanted}", steps


def _option(rng: np.random.Generator, told: Told) -> tuple[str, str]:
    texts = [str(value) for value in told.values()] if rng.random() < 0.6 else list(told)
    letters = "ABCD"[: len(texts)]
    place = int(rng.integers(len(texts)))
    options = " ".join(f"{letter}) {text}" for letter, text in zip(letters, texts, strict=True))
    answer = _worked(
        told, lambda t, _: t.match(texts[place], dict(zip(letters, texts, strict=True)))
    )
    return f"{options} {texts[place]}", answer


_ASKED: tuple[Callable[[np.random.Generator, Told], tuple[str, str]], ...] = (
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
"""What is asked of a list, each as likely as it stands here."""
