"""Matrices, grid transformations, graphs and mazes: answers follow from what is drawn."""

from __future__ import annotations

import itertools
import math
import re
from collections.abc import Callable

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from vasari.data.tasks.families import FAMILIES
from vasari.data.tasks.families.grids import RULES, transformed
from vasari.data.tasks.families.mazes import walk
from vasari.data.tasks.problem import Problem
from vasari.data.tasks.scene import Line, Polygon, Text

MINE = ("angles", "gauges", "grids", "lengths", "lines", "matrices", "paths", "pies")


levels = pytest.mark.parametrize("level", ["1", "2", "3"])


def law(test: Callable[..., None]) -> Callable[..., None]:
    """The test, for thirty seeds, however slow the machine."""
    return settings(max_examples=30, deadline=None)(given(seed=st.integers(0, 2**32 - 1))(test))


def sample(name: str, level: str, seed: int) -> Problem:
    return FAMILIES[name].sample(np.random.default_rng(seed), level)


def facts(problem: Problem) -> dict[str, str]:
    return {fact.question: fact.answer for fact in problem.facts}


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
