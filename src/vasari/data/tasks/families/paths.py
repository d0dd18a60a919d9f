"""Graphs and mazes: neighbours, routes, shortest paths, moves that walls may stop."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from functools import partial
from itertools import pairwise

import numpy as np

from vasari.data.tasks.families.base import LeveledFamily, Question, pick, shuffled
from vasari.data.tasks.families.mazes import maze
from vasari.data.tasks.problem import Fact, Problem
from vasari.data.tasks.scene import Disc, Line, Mark, Point, Scene, Text
from vasari.data.tasks.thinker import Thinker, braces

SPOTS: tuple[Point, ...] = ((0.12, 0.12), (0.88, 0.12), (0.5, 0.5), (0.12, 0.88), (0.88, 0.88))
"""Four corners and the middle: no two edges cross."""
PAIRS = ((0, 1), (0, 3), (1, 4), (3, 4), (0, 2), (1, 2), (2, 3), (2, 4))


@dataclass(frozen=True, slots=True)
class Graph:
    """A graph of five nodes, drawn at the points `SPOTS`, with the lengths of its edges."""

    names: tuple[str, ...]
    lengths: dict[frozenset[str], int]

    def neighbours(self, node: str) -> list[str]:
        """Return the names of the nodes that share an edge with `node`, sorted."""
        return sorted(other for other in self.names if frozenset((node, other)) in self.lengths)

    def routes(self, start: str, goal: str) -> list[tuple[str, ...]]:
        """Return all routes between two nodes that visit no node twice, fewest edges first."""
        found: list[tuple[str, ...]] = []
        open_ways: list[tuple[str, ...]] = [(start,)]
        for way in open_ways:
            if way[-1] == goal:
                found.append(way)
            else:
                open_ways += [(*way, n) for n in self.neighbours(way[-1]) if n not in way]
        return found


def _graph(rng: np.random.Generator, num_edges: int) -> Graph:
    """A connected graph."""
    while True:
        names = shuffled(rng, tuple("ABCDE"))
        pairs = [PAIRS[int(i)] for i in rng.permutation(len(PAIRS))[:num_edges]]
        graph = Graph(
            names, {frozenset((names[a], names[b])): int(rng.integers(1, 10)) for a, b in pairs}
        )
        if all(graph.routes("A", name) for name in "BCDE"):
            return graph


def _graph_scene(graph: Graph, *, weighted: bool) -> Scene:
    at = dict(zip(graph.names, SPOTS, strict=True))
    edges = sorted(tuple(sorted(edge)) for edge in graph.lengths)
    marks: list[Mark] = [Line(at[a], at[b], "blue", 0.02) for a, b in edges]
    marks += [Disc(spot, 0.1, fill="yellow", outline="ink") for spot in SPOTS]
    marks += [Text(spot, name, 0.13, "black") for name, spot in at.items()]
    if weighted:
        for a, b in edges:
            middle = (at[a][0] + at[b][0]) / 2, (at[a][1] + at[b][1]) / 2
            marks += [
                Disc(middle, 0.065, fill="paper"),
                Text(middle, str(graph.lengths[frozenset((a, b))]), 0.12),
            ]
    return Scene(tuple(marks))


def _graph_key(graph: Graph, *, weighted: bool) -> str:
    edges = sorted(
        "".join(sorted(edge)) + (f"{length}" if weighted else "")
        for edge, length in graph.lengths.items()
    )
    return f"paths {'weighted' if weighted else 'plain'} graph {''.join(graph.names)} " + " ".join(
        edges
    )


def _plain(graph: Graph, question: Question) -> Problem:
    """Ask about a graph without lengths; facts name each node's edges and each possible edge."""
    degrees = (
        Fact(f"How many edges has node {n}?", str(len(graph.neighbours(n))))
        for n in sorted(graph.names)
    )
    edges = (
        Fact(
            f"Are {graph.names[a]} and {graph.names[b]} joined by an edge?",
            "yes" if frozenset((graph.names[a], graph.names[b])) in graph.lengths else "no",
        )
        for a, b in PAIRS
    )
    return question.about(
        _graph_scene(graph, weighted=False),
        _graph_key(graph, weighted=False),
        (*degrees, *edges),
    )


def _see_neighbours(t: Thinker, graph: Graph, node: str) -> list[str]:
    """Read the neighbours of a node; a deliberate mistake reads one node more or fewer."""
    true = graph.neighbours(node)
    others = [name for name in graph.names if name != node]
    wrong = [" ".join(sorted({*true} ^ {name})) for name in others if {*true} != {name}]
    return t.look(f"{node} joins", " ".join(true), wrong).split()


def _level_1(rng: np.random.Generator) -> Problem:
    """The neighbours of a node, or how many edges two nodes have."""
    graph, listing = _graph(rng, int(rng.integers(5, 8))), bool(rng.random() < 0.5)
    node, other = shuffled(rng, graph.names, 2)

    def think(t: Thinker) -> str:
        seen = _see_neighbours(t, graph, node)
        if listing:
            t.say(f"{len(seen)} edges")
        return (
            braces(seen)
            if listing
            else str(t.add(len(seen), len(_see_neighbours(t, graph, other))))
        )

    degrees = [sum(name in edge for edge in graph.lengths) for name in (node, other)]
    direct = [name for name in graph.names if frozenset((name, node)) in graph.lengths]
    if listing:
        text = f"Which nodes are joined to {node} by an edge?"
        return _plain(graph, Question(text, braces(direct), think, kind="set"))
    text = f"Add the edges of {node} to those of {other}. How many?"
    return _plain(graph, Question(text, str(sum(degrees)), think))


def _measure(t: Thinker, graph: Graph, way: tuple[str, ...]) -> int:
    """Read the edges of a way and add them up."""
    edges = list(pairwise(way))
    return t.total(
        [t.read(a + b, graph.lengths[frozenset((a, b))], low=1, high=9) for a, b in edges]
    )


def _weighted(graph: Graph, question: Question) -> Problem:
    facts = tuple(
        Fact(f"What number is on the edge {''.join(sorted(edge))}?", str(length))
        for edge, length in graph.lengths.items()
    )
    return question.about(
        _graph_scene(graph, weighted=True), _graph_key(graph, weighted=True), facts
    )


def _route(rng: np.random.Generator) -> Problem:
    """The length of a route that is given."""
    while True:
        graph = _graph(rng, 6)
        start, goal = shuffled(rng, graph.names, 2)
        ways = [way for way in graph.routes(start, goal) if len(way) == 4]
        if ways:
            break
    way = ways[int(rng.integers(len(ways)))]
    answer = sum(
        length
        for edge, length in graph.lengths.items()
        if any(edge == {*pair} for pair in pairwise(way))
    )
    question = f"How long is the way {'-'.join(way)}? Numbers on edges are lengths."
    return _weighted(graph, Question(question, str(answer), lambda t: str(_measure(t, graph, way))))


def _shortest(rng: np.random.Generator) -> Problem:
    """The shortest of two or three routes."""
    while True:
        graph = _graph(rng, int(rng.integers(5, 7)))
        start, goal = sorted(shuffled(rng, graph.names, 2))
        routes = graph.routes(start, goal)
        num_edges = sum(len(way) - 1 for way in routes)
        if 2 <= len(routes) <= 3 and num_edges <= len(routes) + 4 and len(routes[0]) > 2:
            break

    def think(t: Thinker) -> str:
        found = [_measure(t, graph, way) for way in routes]
        return str(t.read("shortest", min(found), low=1))

    question = f"Numbers on edges are lengths. How long is the shortest way from {start} to {goal}?"
    return _weighted(graph, Question(question, str(_relaxed(graph, start)[goal]), think))


def _relaxed(graph: Graph, start: str) -> dict[str, int]:
    """Least distance of every node from `start` (Bellman-Ford)."""
    best = {name: 0 if name == start else 99 for name in graph.names}
    for _ in graph.names:
        for edge, length in graph.lengths.items():
            a, b = edge
            best[a], best[b] = min(best[a], best[b] + length), min(best[b], best[a] + length)
    return best


def _two_steps(rng: np.random.Generator) -> Problem:
    """The nodes that are two edges away, and not one."""
    while True:
        graph = _graph(rng, int(rng.integers(4, 7)))
        node = shuffled(rng, graph.names, 1)[0]
        hops = _relaxed(Graph(graph.names, dict.fromkeys(graph.lengths, 1)), node)
        away = [name for name, count in hops.items() if count == 2]
        if away and len(graph.neighbours(node)) < 4:
            break

    def think(t: Thinker) -> str:
        near = _see_neighbours(t, graph, node)
        beyond = {far for name in near for far in _see_neighbours(t, graph, name)}
        return braces(sorted(beyond - {*near, node}) or near)

    text = f"Which nodes are exactly two edges away from {node}, and not one?"
    return _plain(graph, Question(text, braces(away), think, kind="set"))


def _level_2(rng: np.random.Generator) -> Problem:
    return _route(rng) if rng.random() < 0.5 else maze(rng, num_moves=3, num_walls=2)


def _level_3(rng: np.random.Generator) -> Problem:
    make: tuple[Callable[[np.random.Generator], Problem], ...] = (
        _shortest,
        _two_steps,
        partial(maze, num_moves=5, num_walls=4),
    )
    return pick(rng, make)(rng)


PATHS = LeveledFamily("paths", {"1": _level_1, "2": _level_2, "3": _level_3})
"""Graphs and mazes: neighbours, then routes and moves, then shortest paths and walls."""
