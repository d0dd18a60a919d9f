"""Mazes of nine lettered rooms: where a list of moves ends, when walls may stop a move."""

from __future__ import annotations

import itertools

import numpy as np

from vasari.data.tasks.families.base import pick, shuffled
from vasari.data.tasks.problem import Fact, Problem
from vasari.data.tasks.scene import Line, Mark, Scene, Text, rectangle
from vasari.data.tasks.thinker import Thinker

Room = tuple[int, int]
"""Row and column, from the top left."""
Walls = frozenset[frozenset[Room]]
"""Pairs of neighbouring rooms that a wall parts."""

MOVES: dict[str, Room] = {"up": (-1, 0), "down": (1, 0), "left": (0, -1), "right": (0, 1)}
ROOMS: tuple[Room, ...] = tuple(itertools.product(range(3), range(3)))
DOORS: tuple[tuple[Room, Room], ...] = tuple(
    (a, b) for a, b in itertools.combinations(ROOMS, 2) if abs(a[0] - b[0]) + abs(a[1] - b[1]) == 1
)


def walk(room: Room, move: str, walls: Walls) -> Room:
    """Return the room that `move` leads to from `room`, or `room` if a wall or border stops it."""
    target = room[0] + MOVES[move][0], room[1] + MOVES[move][1]
    return room if target not in ROOMS or frozenset((room, target)) in walls else target


def _draw(letters: dict[Room, str], walls: Walls) -> Scene:
    marks: list[Mark] = [rectangle(0.05, 0.05, 0.95, 0.95, outline="ink", width=0.02)]
    for at in (0.35, 0.65):
        marks += [
            Line((at, 0.05), (at, 0.95), "gray", 0.008),
            Line((0.05, at), (0.95, at), "gray", 0.008),
        ]
    marks += [
        Text((0.2 + 0.3 * c, 0.2 + 0.3 * r), letter, 0.15) for (r, c), letter in letters.items()
    ]
    for a, b in DOORS:
        if frozenset((a, b)) in walls:
            x, y = 0.05 + 0.3 * b[1], 0.05 + 0.3 * b[0]
            marks.append(Line((x, y), (x, y + 0.3) if a[0] == b[0] else (x + 0.3, y), "red", 0.05))
    return Scene(tuple(marks))


def _closed_doors(rng: np.random.Generator, num_walls: int) -> list[tuple[Room, Room]]:
    """Doors to wall up so that every room can still be reached."""
    while True:
        order = [DOORS[int(i)] for i in rng.permutation(len(DOORS))]
        reached = {ROOMS[0]}
        for _ in ROOMS:
            reached |= {room for door in order[num_walls:] if reached & {*door} for room in door}
        if len(reached) == len(ROOMS):
            return order[:num_walls]


def _moves(
    rng: np.random.Generator, start: Room, walls: Walls, *, num_moves: int, num_stops: int
) -> tuple[str, ...]:
    """Moves that stay in the maze, end elsewhere, and run into a wall as often as asked."""
    while True:
        room, moves, stops = start, list[str](), 0
        for _ in range(num_moves):
            inside = [m for m, (dr, dc) in MOVES.items() if (room[0] + dr, room[1] + dc) in ROOMS]
            moves.append(pick(rng, inside))
            after = walk(room, moves[-1], walls)
            stops, room = stops + (after == room), after
        if room != start and stops == num_stops:
            return tuple(moves)


def maze(rng: np.random.Generator, *, num_moves: int, num_walls: int) -> Problem:
    """Return a problem that asks where `num_moves` moves end in a maze; a wall stops one move."""
    letters = dict(zip(ROOMS, shuffled(rng, tuple("ABCDEFGHI")), strict=True))
    rooms = {letter: room for room, letter in letters.items()}
    closed = _closed_doors(rng, num_walls)
    walls: Walls = frozenset(frozenset(pair) for pair in closed)
    start = closed[0][int(rng.integers(2))]
    moves = _moves(rng, start, walls, num_moves=num_moves, num_stops=1)

    def think(t: Thinker) -> str:
        here = letters[start]
        for move in moves:
            here = t.look(move, letters[walk(rooms[here], move, walls)], list(rooms))
        return here

    return Problem(
        scene=_draw(letters, walls),
        scene_key=f"paths maze {''.join(letters.values())} walls "
        + " ".join(sorted("".join(sorted((letters[a], letters[b]))) for a, b in closed)),
        question=f"From {letters[start]} go {', '.join(moves)}. Red walls stop you. Where are you?",
        kind="text",
        think=think,
        answer=letters[_end(start, moves, walls)],
        facts=(
            *(
                Fact(
                    f"Is there a red wall between {letters[a]} and {letters[b]}?",
                    "yes" if frozenset((a, b)) in walls else "no",
                )
                for a, b in (
                    *closed,
                    *[pair for pair in DOORS if pair not in closed][::2][:num_walls],
                )
            ),
            *(
                Fact(
                    f"Which letter is {'right of' if a[0] == b[0] else 'below'} {letters[a]}?",
                    letters[b],
                )
                for a, b in DOORS[::3]
            ),
        ),
    )


def _end(start: Room, moves: tuple[str, ...], walls: Walls) -> Room:
    """Where the moves end, computed on a map of 5 x 5 fields whose odd fields are doors."""
    free = np.ones((5, 5), dtype=bool)
    for a, b in map(tuple, walls):
        free[a[0] + b[0], a[1] + b[1]] = False
    row, column = 2 * start[0], 2 * start[1]
    for move in moves:
        down, right = MOVES[move]
        if (
            0 <= row + 2 * down < 5
            and 0 <= column + 2 * right < 5
            and free[row + down, column + right]
        ):
            row, column = row + 2 * down, column + 2 * right
    return row // 2, column // 2
