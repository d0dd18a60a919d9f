"""Dials, thermometers and rulers: read, then compare or rescale."""

from __future__ import annotations

import numpy as np

from vasari.data.tasks.families.base import COLOURS, LeveledFamily, pick, shuffled
from vasari.data.tasks.problem import Fact, Problem
from vasari.data.tasks.scene import Disc, Line, Mark, Point, Polygon, Scene, Text, around, rectangle
from vasari.data.tasks.thinker import Thinker


def _dial(top: int, value: int, colour: str) -> list[Mark]:
    """A dial from 0 at the lower left to `top` at the lower right, with every second mark named."""
    centre = (0.5, 0.54)
    drawn: list[Mark] = [Disc(centre, 0.31, outline="ink")]

    def at(radius: float, step: float) -> Point:
        return around(centre, radius, -120 + 240 * step / top)

    for step in range(top + 1):
        drawn.append(Line(at(0.31, step), at(0.25, step), width=0.016))
        if step % 2 == 0:
            drawn.append(Text(at(0.4, step), str(step), 0.11))
    return [*drawn, Line(centre, at(0.24, value), colour, 0.035), Disc(centre, 0.045, fill=colour)]


def _tube(x: float, value: int, labels: dict[int, str], top: int, colour: str) -> list[Mark]:
    """A thermometer at `x` with `top` marks above 0; `labels` names some of them."""
    heights = [0.82 - 0.74 * step / top for step in range(top + 1)]
    marks: list[Mark] = [
        Disc((x, 0.89), 0.08, fill=colour, outline="ink"),
        rectangle(x - 0.05, heights[-1] - 0.03, x + 0.05, 0.84, outline="ink"),
        rectangle(x - 0.04, heights[value], x + 0.04, 0.86, fill=colour),
    ]
    for step, y in enumerate(heights):
        marks.append(Line((x - 0.11, y), (x - 0.05, y), width=0.016))
        if step in labels:
            marks.append(Text((x - 0.2, y), labels[step], 0.11))
    return marks


def _ruler(top: int, value: int, colour: str) -> list[Mark]:
    """A ruler from 0 to `top` with a pointer above it."""
    xs = [0.07 + 0.86 * step / top for step in range(top + 1)]
    marks: list[Mark] = [Line((xs[0], 0.55), (xs[-1], 0.55))]
    for step, x in enumerate(xs):
        marks.append(Line((x, 0.55), (x, 0.65), width=0.016))
        if step % 2 == 0:
            marks.append(Text((x, 0.75), str(step), 0.11))
    tip = xs[value]
    return [*marks, Polygon(((tip, 0.54), (tip - 0.06, 0.34), (tip + 0.06, 0.34)), fill=colour)]


def _level_1(rng: np.random.Generator) -> Problem:
    """One gauge with a number at every second mark, and how far it must move to a given number."""
    form, top = str(rng.choice(["dial", "thermometer", "ruler"])), 2 * int(rng.integers(3, 6))
    colour = pick(rng, COLOURS)
    value, target = (int(v) for v in rng.choice(top + 1, size=2, replace=False))
    evens = {step: str(step) for step in range(0, top + 1, 2)}
    marks = {
        "dial": lambda: _dial(top, value, colour),
        "thermometer": lambda: _tube(0.55, value, evens, top, colour),
        "ruler": lambda: _ruler(top, value, colour),
    }[form]()

    def think(t: Thinker) -> str:
        seen = t.read(f"the {form} shows", value, low=0, high=top)
        return str(t.difference(seen, target))

    return Problem(
        scene=Scene(tuple(marks)),
        scene_key=f"gauges {form} {colour} top{top} at{value}",
        question=f"By how much must the reading of the {form} change to become {target}?",
        kind="number",
        think=think,
        answer=str(abs(value - target)),
        facts=(
            Fact(f"What does the {form} show?", str(value)),
            Fact("What is the largest number on the scale?", str(top)),
        ),
    )


def _level_2(rng: np.random.Generator) -> Problem:
    """Two thermometers with one scale: difference, sum, or the middle between them."""
    top, task = 10, str(rng.choice(["difference", "sum", "middle"]))
    one, two = shuffled(rng, COLOURS, 2)
    first, second = (int(v) for v in rng.choice(top + 1, size=2, replace=False))
    while task == "middle" and (first + second) % 2:
        first, second = (int(v) for v in rng.choice(top + 1, size=2, replace=False))
    evens = {step: str(step) for step in range(0, top + 1, 2)}
    marks = _tube(0.33, first, evens, top, one) + _tube(0.85, second, evens, top, two)

    def think(t: Thinker) -> str:
        a, b = t.read(one, first, low=0, high=top), t.read(two, second, low=0, high=top)
        if task == "difference":
            return str(t.difference(a, b))
        total = t.add(a, b)
        return str(t.divide(total, 2) if task == "middle" else total)

    low, high = sorted((first, second))
    answer = {"difference": high - low, "sum": first + second, "middle": low + (high - low) // 2}[
        task
    ]
    return Problem(
        scene=Scene(tuple(marks)),
        scene_key=f"gauges two top{top} {one}{first} {two}{second}",
        question={
            "difference": f"How far apart are the {one} and the {two} reading?",
            "sum": f"What do the {one} and the {two} reading add up to?",
            "middle": f"Which number lies in the middle between the {one} and the {two} reading?",
        }[task],
        kind="number",
        think=think,
        answer=str(answer),
        facts=(
            Fact(f"What does {one} show?", str(first)),
            Fact(f"What does {two} show?", str(second)),
        ),
    )


def _level_3(rng: np.random.Generator) -> Problem:
    """Two thermometers with two scales that have numbers at their ends only."""
    marks_up, together = 5, bool(rng.random() < 0.5)
    units = [int(n) for n in rng.choice([2, 3, 4, 5, 10], size=2, replace=False)]
    steps = [int(n) for n in rng.integers(1, marks_up + 1, size=2)]
    colours = shuffled(rng, COLOURS, 2)
    marks: list[Mark] = []
    for x, colour, unit, step in zip((0.33, 0.85), colours, units, steps, strict=True):
        marks += _tube(x, step, {0: "0", marks_up: str(unit * marks_up)}, marks_up, colour)

    def reading(t: Thinker, i: int) -> int:
        step = t.read(f"{colours[i]} mark", steps[i], low=1, high=marks_up)
        tops = [n * marks_up for n in (2, 3, 4, 5, 10)]
        top = t.look_number("top", units[i] * marks_up, tops)
        return t.multiply(step, t.divide(top, marks_up))

    def think(t: Thinker) -> str:
        left, right = reading(t, 0), reading(t, 1)
        return str(t.add(left, right) if together else t.difference(left, right))

    values = np.array(units) * np.array(steps)
    return Problem(
        scene=Scene(tuple(marks)),
        scene_key="gauges scales "
        + " ".join(
            f"{c}{s}of{marks_up}top{u * marks_up}"
            for c, u, s in zip(colours, units, steps, strict=True)
        ),
        question="What do the two readings add up to? Mind both scales."
        if together
        else "How far apart are the two readings? Mind both scales.",
        kind="number",
        think=think,
        answer=str(int(values.sum() if together else abs(values[0] - values[1]))),
        facts=tuple(
            fact
            for colour, unit, step in zip(colours, units, steps, strict=True)
            for fact in (
                Fact(f"At which mark above 0 does {colour} stand?", str(step)),
                Fact(f"What is the top number of the {colour} scale?", str(unit * marks_up)),
            )
        ),
    )


GAUGES = LeveledFamily("gauges", {"1": _level_1, "2": _level_2, "3": _level_3})
"""Dials, thermometers and rulers: one reading, then two, then two on different scales."""
