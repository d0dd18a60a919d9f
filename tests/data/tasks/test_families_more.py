"""Charts, geometry, gauges, matrices, grids and paths: pictures and answers against independent
solutions."""

from __future__ import annotations

import math
import re
from collections.abc import Callable

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from vasari.core.errors import ConfigError
from vasari.data.tasks.families import FAMILIES
from vasari.data.tasks.families.lengths import root_text
from vasari.data.tasks.problem import Problem
from vasari.data.tasks.scene import Disc, Line, Polygon, Text, Wedge

MINE = ("angles", "gauges", "grids", "lengths", "lines", "matrices", "paths", "pies")
levels = pytest.mark.parametrize("level", ["1", "2", "3"])


def law(test: Callable[..., None]) -> Callable[..., None]:
    """The test, for thirty seeds, however slow the machine."""
    return settings(max_examples=30, deadline=None)(given(seed=st.integers(0, 2**32 - 1))(test))


def sample(name: str, level: str, seed: int) -> Problem:
    return FAMILIES[name].sample(np.random.default_rng(seed), level)


def facts(problem: Problem) -> dict[str, str]:
    return {fact.question: fact.answer for fact in problem.facts}


@pytest.mark.parametrize("name", MINE)
def test_an_unknown_level_is_refused_by_name(name: str) -> None:
    with pytest.raises(ConfigError, match=rf"family '{name}' has levels 1, 2, 3, got '4'"):
        sample(name, "4", 0)


@pytest.mark.parametrize("name", MINE)
@levels
@law
def test_text_is_large_enough_for_the_smallest_picture(name: str, level: str, seed: int) -> None:
    assert min(m.size for m in sample(name, level, seed).scene.marks if isinstance(m, Text)) >= 0.1


# Lines


@pytest.mark.parametrize("level", ["2", "3"])
@law
def test_a_point_of_a_line_stands_at_the_height_of_its_value(level: str, seed: int) -> None:
    problem = sample("lines", level, seed)
    tick = {
        m.text: m.at[1] for m in problem.scene.marks if isinstance(m, Text) and m.text.isdigit()
    }
    column = {
        m.at[0]: m.text for m in problem.scene.marks if isinstance(m, Text) and m.text.isalpha()
    }
    unit = (tick["0"] - tick["6"]) / 6
    for mark in problem.scene.marks:
        if isinstance(mark, Disc):
            value, letter = (tick["0"] - mark.centre[1]) / unit, column[mark.centre[0]]
            question = (
                f"What is the {mark.fill} value at {letter}?"
                if level == "3"
                else f"What is the value at {letter}?"
            )
            assert value == pytest.approx(int(facts(problem)[question]))


@law
def test_the_widest_gap_is_at_the_letter_that_the_answer_names(seed: int) -> None:
    problem = sample("lines", "3", seed)
    if "furthest apart" in problem.question:
        told = facts(problem)
        gaps = {
            x: abs(
                int(told[f"What is the red value at {x}?"])
                - int(told[f"What is the blue value at {x}?"])
            )
            for x in "ABCD"
        }
        assert [x for x, gap in gaps.items() if gap == max(gaps.values())] == [problem.answer]


# Pies


@levels
@law
def test_the_parts_of_a_pie_or_bar_are_drawn_in_proportion(level: str, seed: int) -> None:
    problem = sample("pies", level, seed)
    wedges = [
        (str(m.fill), (m.end - m.start) / 360) for m in problem.scene.marks if isinstance(m, Wedge)
    ]
    bars = [
        (str(m.fill), (m.points[1][0] - m.points[0][0]) / 0.92)
        for m in problem.scene.marks
        if isinstance(m, Polygon)
    ]
    told = [f.answer for f in problem.facts if "number" in f.question or "eighths" in f.question]
    for (_, share), answer in zip(wedges + bars, told, strict=True):
        if answer != "?":
            assert share == pytest.approx(int(answer) / (100 if level == "1" else 8))


@law
def test_a_colour_of_two_pies_is_worth_its_eighths_of_each_whole(seed: int) -> None:
    problem = sample("pies", "3", seed)
    told = facts(problem)
    colour = re.search(r"(?:is|two) (red|blue|green|yellow)", problem.question)[1]
    left, right = (
        int(told[f"How many eighths of the {side} pie are {colour}?"])
        * int(told[f"How much is all of the {side} pie?"])
        // 8
        for side in ("left", "right")
    )
    assert int(problem.answer) == (
        left + right if "together" in problem.question else abs(left - right)
    )


# Angles


@levels
@law
def test_drawn_angles_measure_what_is_written_within_two_degrees(level: str, seed: int) -> None:
    problem = sample("angles", level, seed)
    told = {f.question.split()[-2]: int(f.answer) for f in problem.facts if f.answer.isdigit()}
    told[re.search(r"the (\w+) angle", problem.question)[1]] = int(problem.answer)
    wedges = {m.fill: m for m in problem.scene.marks if isinstance(m, Wedge)}
    strokes = [m for m in problem.scene.marks if isinstance(m, Line)]
    assert wedges.keys() == told.keys()
    for colour, wedge in wedges.items():
        assert wedge.end - wedge.start == pytest.approx(told[colour], abs=2)
        for side in (wedge.start, wedge.end):
            assert any(lies_on(stroke, wedge.centre, side) for stroke in strokes), colour


def lies_on(stroke: Line, vertex: tuple[float, float], degrees: float) -> bool:
    """Whether a step from the vertex in this direction stays on the stroke."""
    x, y = (
        vertex[0] + 0.05 * math.sin(math.radians(degrees)),
        vertex[1] - 0.05 * math.cos(math.radians(degrees)),
    )
    around = math.dist(stroke.start, (x, y)) + math.dist((x, y), stroke.end)
    return around == pytest.approx(math.dist(stroke.start, stroke.end), abs=1e-6)


@pytest.mark.parametrize("level", ["2", "3"])
@law
def test_marked_sides_are_equally_long(level: str, seed: int) -> None:
    marks = sample("angles", level, seed).scene.marks
    ticks = [m for m in marks if isinstance(m, Line) and m.width > 0.015]
    sides = [m for m in marks if isinstance(m, Line) and m.width < 0.015]
    middles = [((t.start[0] + t.end[0]) / 2, (t.start[1] + t.end[1]) / 2) for t in ticks]
    if "lines" not in sample("angles", level, seed).question and ticks:
        lengths = [
            math.dist(s.start, s.end)
            for m in middles
            for s in sides
            if math.dist(s.start, m) + math.dist(m, s.end)
            == pytest.approx(math.dist(s.start, s.end), abs=1e-6)
        ]
        assert lengths[0] == pytest.approx(lengths[1])
        assert len(lengths) == 2


# Lengths


@levels
@law
def test_figures_have_the_proportions_that_are_written_on_them(level: str, seed: int) -> None:
    problem = sample("lengths", level, seed)
    figures = [m for m in problem.scene.marks if isinstance(m, Polygon)]
    told = {f.question.rpartition(" ")[2].rstrip("?"): int(f.answer) for f in problem.facts}
    if not figures or "bottom" not in told:
        return
    xs, ys = zip(*figures[0].points, strict=True)
    unit = (max(xs) - min(xs)) / told["bottom"]
    height = told.get("left", int(problem.answer) if "left side" in problem.question else 0)
    assert (max(ys) - min(ys)) / unit == pytest.approx(height)
    if problem.question.startswith("What is the area"):
        shoelace = (
            sum(x * ys[i - 1] - xs[i - 1] * y for i, (x, y) in enumerate(zip(xs, ys, strict=True)))
            / 2
        )
        assert abs(shoelace) / unit**2 == pytest.approx(int(problem.answer))
    if "way around the" in problem.question and "inside" not in problem.question:
        edges = sum(math.dist(p, figures[0].points[i - 1]) for i, p in enumerate(figures[0].points))
        assert edges / unit == pytest.approx(int(problem.answer))


@law
def test_a_diagonal_is_worth_the_root_of_its_squares(seed: int) -> None:
    problem = sample("lengths", "3", seed)
    if problem.kind == "expression":
        factor, rest = re.fullmatch(r"(\d+)\*sqrt\((\d+)\)", problem.answer).groups()
        assert int(factor) ** 2 * int(rest) == sum(int(f.answer) ** 2 for f in problem.facts)


@pytest.mark.parametrize(
    ("square", "text"),
    [(1, "1"), (25, "5"), (13, "sqrt(13)"), (18, "3*sqrt(2)"), (72, "6*sqrt(2)")],
)
def test_roots_are_written_in_lowest_terms(square: int, text: str) -> None:
    assert root_text(square) == text


# Gauges


@pytest.mark.parametrize("level", ["2", "3"])
@law
def test_a_thermometer_is_filled_up_to_its_reading(level: str, seed: int) -> None:
    problem = sample("gauges", level, seed)
    columns = [m for m in problem.scene.marks if isinstance(m, Polygon) and m.fill]
    ticks = sorted({m.start[1] for m in problem.scene.marks if isinstance(m, Line)}, reverse=True)
    told = [int(f.answer) for f in problem.facts if "top" not in f.question]
    for column, value in zip(columns, told, strict=True):
        assert min(y for _, y in column.points) == pytest.approx(ticks[value])


@law
def test_marks_of_a_scale_are_worth_a_fifth_of_its_top(seed: int) -> None:
    problem = sample("gauges", "3", seed)
    step, top, other_step, other_top = (int(f.answer) for f in problem.facts)
    one, two = step * top / 5, other_step * other_top / 5
    assert int(problem.answer) == (one + two if "add up" in problem.question else abs(one - two))


# Matrices
