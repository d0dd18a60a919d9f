"""Charts, geometry, gauges, matrices, grids and paths: pictures and answers against independent
solutions."""

from __future__ import annotations

import itertools
import math
import re
from collections.abc import Callable

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from vasari.core.errors import ConfigError
from vasari.data.tasks.families import FAMILIES
from vasari.data.tasks.families.grids import RULES, transformed
from vasari.data.tasks.families.lengths import root_text
from vasari.data.tasks.families.mazes import walk
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


def cells(problem: Problem) -> list[list[tuple[str, ...]]]:
    """The nine cells as words, the missing one filled with the option that is the answer."""
    words = [tuple(f.answer.rstrip("s").split()) for f in problem.facts]
    answer = problem.choices[ord(problem.answer) - ord("A")]
    words.append(tuple(answer.rstrip("s").split()))
    return [words[i : i + 3] for i in (0, 3, 6)]


def obeys(rows: list[list[str]]) -> bool:
    """Whether one rule holds in every row: the same, growing, or the same three values mixed."""
    orders = [("1", "2", "3", "4"), ("small", "medium", "large")]
    same = all(len(set(row)) == 1 for row in rows)
    grows = any(all(tuple(row) in (order[:3], order[1:4]) for row in rows) for order in orders)
    mixes = len({frozenset(row) for row in rows}) == 1 and all(len(set(row)) == 3 for row in rows)
    return same or grows or mixes


@levels
@law
def test_every_row_of_a_matrix_obeys_one_rule_and_only_the_answer_completes_it(
    level: str, seed: int
) -> None:
    problem = sample("matrices", level, seed)
    table = cells(problem)
    fitting = []
    for option in problem.choices:
        table[2][2] = tuple(option.rstrip("s").split())
        if all(obeys([[cell[part] for cell in row] for row in table]) for part in range(3)):
            fitting.append(option)
    assert fitting == [problem.choices[ord(problem.answer) - ord("A")]]


@levels
@law
def test_no_option_of_a_matrix_shares_more_with_the_others(level: str, seed: int) -> None:
    options = [
        tuple(option.rstrip("s").split()) for option in sample("matrices", level, seed).choices
    ]
    shared = [
        sum(a == b for other in options for a, b in zip(option, other, strict=True))
        for option in options
    ]
    assert len(set(shared)) == 1


# Grids


@pytest.mark.parametrize(
    ("rule", "after"),
    [
        ("flip left-right", "bgr/yrb/grb"),
        ("flip top-bottom", "brg/bry/rgb"),
        ("turn right", "bbr/rrg/gyb"),
        ("turn left", "byg/grr/rbb"),
        ("half turn", "grb/yrb/bgr"),
        ("shift right", "brg/ybr/gbr"),
        ("shift down", "brg/rgb/bry"),
        ("fill rows from the left", "rrr/bbb/bbb"),
        ("fill columns from the top", "rgb/rgb/rgb"),
        ("swap r and b", "bgr/rby/rbg"),
    ],
)
def test_transformations_give_what_a_hand_gives(rule: str, after: str) -> None:
    rows = ("rgb", "bry", "brg")
    assert "/".join(RULES[rule](rows)) == "/".join(transformed(rule, rows)) == after


@levels
@law
def test_every_transformation_that_fits_the_examples_gives_the_answer(
    level: str, seed: int
) -> None:
    problem = sample("grids", level, seed)
    *pairs, query = [
        tuple(tuple(g.split("/")) for g in pair.split(">"))
        for pair in problem.scene_key.split()[1:]
    ]
    results = {
        transformed(rule, query[0])
        for rule in RULES
        if all(transformed(rule, a) == b for a, b in pairs)
    }
    assert len(results) == 1
    rows = results.pop()
    if level == "1":
        side, end = re.search(r"at the (top|bottom) (left|right)", problem.question).groups()
        assert problem.answer[0] == rows[-(side == "bottom")][-(end == "right")]
    else:
        assert problem.answer == "/".join(rows)
    squares = [m.fill[0] for m in problem.scene.marks if isinstance(m, Polygon) and m.outline]
    assert "".join(squares) == "".join("".join(a) + "".join(b) for a, b in pairs) + "".join(
        query[0]
    )


# Paths


def drawn_edges(problem: Problem) -> dict[frozenset[str], int]:
    """Edges and the numbers at their middles, read off the marks."""
    texts = [m for m in problem.scene.marks if isinstance(m, Text)]
    nodes = {m.at: m.text for m in texts if m.text.isalpha()}
    edges = {}
    for line in (m for m in problem.scene.marks if isinstance(m, Line)):
        middle = (line.start[0] + line.end[0]) / 2, (line.start[1] + line.end[1]) / 2
        number = next(
            (int(m.text) for m in texts if m.text.isdigit() and math.dist(m.at, middle) < 1e-9), 1
        )
        edges[frozenset((nodes[line.start], nodes[line.end]))] = number
    return edges


def length(edges: dict[frozenset[str], int], way: tuple[str, ...]) -> float:
    return sum(edges.get(frozenset(pair), math.inf) for pair in itertools.pairwise(way))


@levels
@law
def test_answers_about_graphs_follow_from_the_edges_that_are_drawn(level: str, seed: int) -> None:
    problem = sample("paths", level, seed)
    if " graph " not in problem.scene_key:
        return
    edges, question = drawn_edges(problem), problem.question
    if found := re.search(r"shortest way from (\w) to (\w)", question):
        middles = [
            m for n in range(4) for m in itertools.permutations(set("ABCDE") - {*found.groups()}, n)
        ]
        assert int(problem.answer) == min(length(edges, (found[1], *m, found[2])) for m in middles)
    elif found := re.search(r"the way (\S+)\?", question):
        assert int(problem.answer) == length(edges, tuple(found[1].split("-")))
    elif found := re.search(r"two edges away from (\w)", question):
        far = {e for e in "ABCDE" if e != found[1] and frozenset((e, found[1])) not in edges}
        near = {e for e in far if any(length(edges, (found[1], m, e)) < math.inf for m in "ABCDE")}
        assert problem.answer == "{" + ", ".join(sorted(near)) + "}"
    elif found := re.search(r"joined to (\w)", question):
        assert (
            problem.answer
            == "{"
            + ", ".join(sorted({n for e in edges if found[1] in e for n in e} - {found[1]}))
            + "}"
        )
    else:
        one, two = re.search(r"edges of (\w) to those of (\w)", question).groups()
        assert int(problem.answer) == sum((one in edge) + (two in edge) for edge in edges)


@pytest.mark.parametrize(
    ("move", "end"),
    [("up", (1, 1)), ("down", (2, 1)), ("left", (1, 0)), ("right", (1, 2))],
    ids=str,
)
def test_a_wall_stops_a_move_and_an_open_door_does_not(move: str, end: tuple[int, int]) -> None:
    assert walk((1, 1), move, frozenset({frozenset({(0, 1), (1, 1)})})) == end


def test_the_border_stops_a_move() -> None:
    assert walk((0, 2), "right", frozenset()) == (0, 2)


@pytest.mark.parametrize("level", ["2", "3"])
@law
def test_moves_through_a_maze_end_where_the_drawn_walls_let_them(level: str, seed: int) -> None:
    problem = sample("paths", level, seed)
    if "maze" not in problem.scene_key:
        return
    letters = {m.text: m.at for m in problem.scene.marks if isinstance(m, Text)}
    walls = [m for m in problem.scene.marks if isinstance(m, Line) and m.colour == "red"]
    start, moves = re.fullmatch(
        r"From (\w) go ([a-z, ]+)\. Red walls stop you\. Where are you\?", problem.question
    ).groups()
    x, y = letters[start]
    for move in moves.split(", "):
        dx, dy = {"up": (0, -0.3), "down": (0, 0.3), "left": (-0.3, 0), "right": (0.3, 0)}[move]
        middles = [((w.start[0] + w.end[0]) / 2, (w.start[1] + w.end[1]) / 2) for w in walls]
        if not any(math.dist(m, (x + dx / 2, y + dy / 2)) < 0.01 for m in middles):
            x, y = x + dx, y + dy
    assert problem.answer == min(letters, key=lambda letter: math.dist(letters[letter], (x, y)))
