"""Pies and stacked bars: labelled shares, shares of a whole, two wholes compared."""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np

from vasari.data.tasks.families.base import COLOURS, LeveledFamily
from vasari.data.tasks.problem import Fact, Problem
from vasari.data.tasks.scene import Line, Mark, Point, Scene, Text, Wedge, around, rectangle
from vasari.data.tasks.thinker import Thinker


def _slices(parts: dict[str, int], turn: float) -> Iterator[tuple[str, float, float]]:
    """Yield colour, start and sweep of each slice, in degrees."""
    whole = sum(parts.values())
    for colour, part in parts.items():
        sweep = 360 * part / whole
        yield colour, turn, sweep
        turn += sweep


def _pie(
    centre: Point, radius: float, parts: dict[str, int], *, turn: float, ticks: int
) -> list[Mark]:
    """A pie whose slices begin at `turn` degrees, with `ticks` marks around its rim."""
    angles = [360 * i / ticks for i in range(ticks)]
    marks: list[Mark] = [
        Line(around(centre, radius, a), around(centre, radius + 0.04, a)) for a in angles
    ]
    marks += [
        Wedge(centre, radius, start, start + sweep, fill=colour, outline="ink", width=0.01)
        for colour, start, sweep in _slices(parts, turn)
    ]
    return marks


def _pie_labels(
    centre: Point, radius: float, parts: dict[str, int], labels: dict[str, str], *, turn: float
) -> list[Mark]:
    return [
        Text(around(centre, radius + 0.09, start + sweep / 2), labels[colour], 0.11)
        for colour, start, sweep in _slices(parts, turn)
    ]


def _stack(parts: dict[str, int], labels: dict[str, str] | None) -> list[Mark]:
    """Draw a horizontal stacked bar, with labels above its parts or a mark at every unit."""
    whole, left = sum(parts.values()), 0.04
    marks: list[Mark] = []
    for colour, part in parts.items():
        right = left + 0.92 * part / whole
        marks.append(rectangle(left, 0.35, right, 0.65, fill=colour, outline="ink", width=0.01))
        if labels:
            marks.append(Text(((left + right) / 2, 0.26), labels[colour], 0.12))
        left = right
    if not labels:
        marks += [
            Line((0.04 + 0.92 * i / whole, 0.65), (0.04 + 0.92 * i / whole, 0.71))
            for i in range(whole + 1)
        ]
    return marks


def _parts(rng: np.random.Generator, count: int, whole: int, least: int) -> dict[str, int]:
    """`count` colours that share `whole` at random, each at least `least`."""
    spare = whole - count * least
    cuts = np.sort(rng.choice(spare + count - 1, size=count - 1, replace=False))
    sizes = np.diff(np.concatenate([[-1], cuts, [spare + count - 1]])) - 1 + least
    colours = [COLOURS[i] for i in rng.permutation(len(COLOURS))[:count]]
    return {colour: int(size) for colour, size in zip(colours, sizes, strict=True)}


def _level_1(rng: np.random.Generator) -> Problem:
    """Labelled shares of 100: two together, or the one whose label is missing."""
    parts = {colour: 5 * n for colour, n in _parts(rng, 3, 20, 3).items()}
    missing, as_pie, turn = (
        bool(rng.random() < 0.5),
        bool(rng.random() < 0.6),
        float(rng.integers(0, 8) * 45),
    )
    first, second, asked = (list(parts)[i] for i in rng.permutation(3))
    labels = {c: "?" if missing and c == asked else str(n) for c, n in parts.items()}
    if as_pie:
        marks = _pie((0.5, 0.5), 0.33, parts, turn=turn, ticks=0)
        marks += _pie_labels((0.5, 0.5), 0.33, parts, labels, turn=turn)
    else:
        turn, marks = 0.0, _stack(parts, labels)

    def think(t: Thinker) -> str:
        a, b = (t.look_number(c, parts[c], (parts[c] - 5, parts[c] + 5)) for c in (first, second))
        total = t.add(a, b)
        return str(t.difference(100, total) if missing else total)

    shape = "pie" if as_pie else "bar"
    return Problem(
        scene=Scene(tuple(marks)),
        scene_key=f"pies {shape} turn{turn:.0f} " + " ".join(f"{c}:{n}" for c, n in labels.items()),
        question=(
            f"The {shape} is 100 percent. How many percent are {asked}?"
            if missing
            else f"How many percent of the {shape} are {first} and {second} together?"
        ),
        kind="number",
        think=think,
        answer=str(parts[asked] if missing else 100 - parts[asked]),
        facts=tuple(Fact(f"What number is written at the {c} part?", n) for c, n in labels.items()),
    )


def _read_share(t: Thinker, colour: str, eighths: int, whole: int) -> int:
    """Reason from eighths of a whole to a number."""
    seen = t.read(f"{colour} eighths", eighths, low=1, high=6)
    total = t.look_number("of", whole, [n for n in (whole - 8, whole + 8) if n > 0])
    return t.multiply(seen, t.divide(total, 8))


def _level_2(rng: np.random.Generator) -> Problem:
    """Shares in eighths of a whole that is written beneath: one share, or the rest."""
    parts, whole = _parts(rng, 3, 8, 1), 8 * int(rng.integers(2, 10))
    as_pie, rest, turn = (
        bool(rng.random() < 0.6),
        bool(rng.random() < 0.4),
        float(rng.integers(0, 8) * 45),
    )
    asked = list(parts)[int(rng.integers(3))]
    turn = turn if as_pie else 0.0
    marks = _pie((0.5, 0.42), 0.34, parts, turn=turn, ticks=8) if as_pie else _stack(parts, None)
    marks.append(Text((0.5, 0.92), f"all {whole}", 0.13))

    def think(t: Thinker) -> str:
        share = _read_share(t, asked, parts[asked], whole)
        return str(t.difference(whole, share) if rest else share)

    shape = "pie" if as_pie else "bar"
    value = sum(n for c, n in parts.items() if (c == asked) != rest) * whole / 8
    return Problem(
        scene=Scene(tuple(marks)),
        scene_key=f"pies eighths {shape} turn{turn:.0f} all{whole} "
        + " ".join(f"{c}:{n}" for c, n in parts.items()),
        question=(
            f"The whole {shape} stands for the number beneath it. How much is"
            f" {'not ' if rest else ''}{asked}?"
        ),
        kind="number",
        think=think,
        answer=str(round(value)),
        facts=(
            *(Fact(f"How many eighths are {c}?", str(n)) for c, n in parts.items()),
            Fact("How much is all?", str(whole)),
        ),
    )


def _level_3(rng: np.random.Generator) -> Problem:
    """Two pies in eighths of two wholes: one colour in both, together or compared."""
    pies = [_parts(rng, 3, 8, 1) for _ in range(2)]
    shared = sorted(set(pies[0]) & set(pies[1]))
    wholes = [8 * int(n) for n in rng.choice(np.arange(1, 7), size=2, replace=False)]
    turns = [float(rng.integers(0, 8) * 45) for _ in range(2)]
    asked, together = shared[int(rng.integers(len(shared)))], bool(rng.random() < 0.5)
    marks: list[Mark] = []
    for x, parts, whole, turn in zip((0.25, 0.75), pies, wholes, turns, strict=True):
        marks += _pie((x, 0.4), 0.19, parts, turn=turn, ticks=8)
        marks.append(Text((x, 0.82), f"all {whole}", 0.13))

    def think(t: Thinker) -> str:
        t.say("left")
        left = _read_share(t, asked, pies[0][asked], wholes[0])
        t.say("right")
        right = _read_share(t, asked, pies[1][asked], wholes[1])
        return str(t.add(left, right) if together else t.difference(left, right))

    values = [round(pie[asked] / 8 * whole) for pie, whole in zip(pies, wholes, strict=True)]
    sides = list(zip(("left", "right"), pies, wholes, turns, strict=True))
    return Problem(
        scene=Scene(tuple(marks)),
        scene_key="pies two "
        + " ".join(
            f"{s} turn{u:.0f} all{w} " + ",".join(f"{c}:{n}" for c, n in p.items())
            for s, p, w, u in sides
        ),
        question="Each pie stands for the number beneath it. "
        + (
            f"How much is {asked} in both pies together?"
            if together
            else f"How far apart are the two {asked} amounts?"
        ),
        kind="number",
        think=think,
        answer=str(sum(values) if together else abs(values[0] - values[1])),
        facts=(
            *(
                Fact(f"How many eighths of the {s} pie are {c}?", str(n))
                for s, p, _, _ in sides
                for c, n in p.items()
            ),
            *(Fact(f"How much is all of the {s} pie?", str(w)) for s, _, w, _ in sides),
        ),
    )


PIES = LeveledFamily("pies", {"1": _level_1, "2": _level_2, "3": _level_3})
"""Pies and stacked bars: labelled shares, then eighths of a whole, then two wholes."""
