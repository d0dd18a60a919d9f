"""Read ARC tasks (arXiv:1911.01547) from JSON files, one per task; their grids become images."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

from vasari.core.errors import DataError
from vasari.data.json_rows import json_document
from vasari.data.sources.pictures import ARC_COLOURS, Grid, draw_pairs
from vasari.data.stored_row import StoredRow

MAX_SIDE = 30
"""Largest side of a grid, by the data set's definition."""

MAX_PAIRS = 20

QUESTION = (
    "Each line shows an input grid and the output grid that one rule makes of it. Apply the rule to"
    " the last grid and give its output as a list of rows, for example [[0, 1], [2, 0]]. The"
    " colours are "
    + ", ".join(f"{digit} {name}" for digit, (name, _) in enumerate(ARC_COLOURS))
    + "."
)


def arc_rows(path: Path, _folder: Path, shown: str) -> Iterator[StoredRow]:
    """Yield one row per test grid of an ARC task file, with all grids of the task in one image.

    It has `id` (task and number of the test), `question`, `answer` (rows), `image`, `kind` and
    `num_examples`.

    Raises:
        DataError: It is no ARC task.
    """
    task = json_document(path, shown=shown)
    train, tests = (task.get("train"), task.get("test")) if isinstance(task, dict) else (None, None)
    if not isinstance(train, list) or not isinstance(tests, list) or not train or not tests:
        raise DataError("expected an object with lists 'train' and 'test'")
    for number, test in enumerate(tests):
        where = f"{shown}: test {number + 1}"
        pairs = [*train, test]
        if len(pairs) > MAX_PAIRS or not all(_is_pair(pair) for pair in pairs):
            problem = (
                f"expected at most {MAX_PAIRS} pairs of grids of digits, sides 1 to {MAX_SIDE}"
            )
            yield StoredRow(where, problem=problem)
            continue
        shown_pairs: list[tuple[Grid, Grid | None]] = [
            (pair["input"], pair["output"]) for pair in train
        ]
        yield StoredRow(
            where,
            {
                "id": f"{path.stem}/{number}",
                "question": QUESTION,
                "answer": _grid_text(test["output"]),
                "image": {
                    "bytes": draw_pairs([*shown_pairs, (test["input"], None)]),
                    "path": f"{path.stem}_{number}.png",
                },
                "kind": "text",
                "num_examples": len(train),
            },
        )


def _is_pair(pair: Any) -> bool:
    return isinstance(pair, dict) and all(_is_grid(pair.get(side)) for side in ("input", "output"))


def _is_grid(grid: Any) -> bool:
    if (
        not isinstance(grid, list)
        or not 1 <= len(grid) <= MAX_SIDE
        or not all(isinstance(row, list) for row in grid)
    ):
        return False
    width = len(grid[0])
    return 1 <= width <= MAX_SIDE and all(
        len(row) == width
        and all(type(cell) is int and 0 <= cell < len(ARC_COLOURS) for cell in row)
        for row in grid
    )


def _grid_text(grid: Grid) -> str:
    return "[" + ", ".join(str(list(row)) for row in grid) + "]"
