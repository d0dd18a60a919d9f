"""Compare models' benchmark results on the same prompts, prompt by prompt."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from vasari.core.errors import ConfigError, DataError, StateError
from vasari.core.files import write_json
from vasari.evaluate.benchmarks.job import read_scores
from vasari.evaluate.benchmarks.settings import BenchmarkDir, PassName
from vasari.evaluate.benchmarks.table import Table, results_table, write_tables
from vasari.evaluate.statistics import (
    accuracy,
    clustered_standard_error,
    improvement_chance,
    paired_difference,
    solved_shares,
)

_Rows = dict[str, Mapping[str, Any]]
"""Prompt id -> its line of `by_prompt.jsonl`."""


@dataclass(frozen=True, slots=True)
class Comparison:
    """Comparison of models on the same benchmarks: a table of scores, and paired differences."""

    table: Table
    """A row for each model."""
    pairs: list[dict[str, Any]]
    """Result of `compare_benchmarks` for the first model and each other model."""


def compare_folders(
    folders: Sequence[Path], *, protocol: str | None = None, out: Path | None = None
) -> Comparison:
    """Compare each folder's benchmark results with the first folder's; return a `Comparison`.

    Args:
        folders: Result folders, at least two.
        protocol: Whose verdicts; None: the first protocol of each folder.
        out: Folder for the table in three formats and for `comparisons.json`.

    Raises:
        ConfigError: Fewer than two folders, or `out` has a table that is of no comparison.
        DataError: Two results share no prompts.
        StateError: A folder holds no results.
    """
    if len(folders) < 2:
        raise ConfigError("compare needs at least two folders of results")
    _refuse_other_tables(out)
    results = [read_scores(folder) for folder in folders]
    pairs = [compare_benchmarks(folders[0], other, protocol=protocol) for other in folders[1:]]
    if out is not None:
        write_tables(results, BenchmarkDir(out), protocol=protocol)
        write_json(out / "comparisons.json", pairs)
    return Comparison(results_table(results, protocol=protocol), pairs)


def _refuse_other_tables(out: Path | None) -> None:
    """Raise if a table would be replaced that is not of an earlier comparison."""
    if out is None or (out / "comparisons.json").exists():
        return
    for suffix in (".md", ".tex", ".html"):
        path = BenchmarkDir(out).table(suffix)
        if path.exists():
            raise ConfigError(f"{path}: is there, and of no comparison; choose another --out")


def compare_benchmarks(
    a: Path, b: Path, *, protocol: str | None = None, images: PassName = "shown", seed: int = 0
) -> dict[str, Any]:
    """Return paired accuracy differences of two models on each benchmark set that both answered.

    Args:
        a: Result folder of the first model.
        b: Result folder of the second.
        protocol: Whose verdicts; None: the first protocol of `a`.
        images: `shown`, or `blind` for the controls.
        seed: Random seed of the bootstrap.

    Returns:
        `model_a`, `model_b`, `protocol`, `pass`, and by set: `num_prompts` in both, `num_only_a`,
        `num_only_b`, accuracies `a` and `b` over the shared prompts, `difference` (b minus a) with
        interval and clustered standard error, `chance` that b is better over resampled clusters,
        and `num_better`, `num_worse`, `num_equal` prompts.

    Raises:
        DataError: The two share no prompt, one was not scored by the protocol, or a prompt of one
            id has another content in the other.
        StateError: A folder holds no results.
    """
    first, second = read_scores(a), read_scores(b)
    chosen = protocol or first["protocols"][0]
    for place, result in ((a, first), (b, second)):
        if chosen not in result["protocols"]:
            raise DataError(
                f"{place}: was not scored by {chosen!r}; there are {', '.join(result['protocols'])}"
            )
    rows_a, rows_b = _by_set(a, images), _by_set(b, images)
    sets = {
        name: _compare_set(
            rows_a[name], rows_b[name], chosen, where=f"{a} and {b}, set {name!r}", seed=seed
        )
        for name in rows_a
        if rows_a[name].keys() & rows_b.get(name, {}).keys()
    }
    if not sets:
        raise DataError(
            f"{a} and {b}: the two share no prompts; were they evaluated on the same sets?"
        )
    return {
        "model_a": first["model"],
        "model_b": second["model"],
        "protocol": chosen,
        "pass": images,
        "sets": sets,
    }


def _compare_set(
    first: _Rows, second: _Rows, protocol: str, *, where: str, seed: int
) -> dict[str, Any]:
    shared = [identity for identity in first if identity in second]
    changed = [
        identity for identity in shared if first[identity]["digest"] != second[identity]["digest"]
    ]
    if changed:
        raise DataError(
            f"{where}: {len(changed)} prompts have the same id and differ in content, such as"
            f" {changed[0]!r}"
        )
    verdicts_a, verdicts_b = (
        [_verdicts(rows[identity], protocol, where) for identity in shared]
        for rows in (first, second)
    )
    solved_a, solved_b = solved_shares(verdicts_a), solved_shares(verdicts_b)
    clusters = [first[identity]["cluster"] for identity in shared]
    difference = solved_b - solved_a
    interval = asdict(paired_difference(solved_b, solved_a, clusters=clusters, seed=seed))
    return {
        "num_prompts": len(shared),
        "num_only_a": len(first) - len(shared),
        "num_only_b": len(second) - len(shared),
        "a": asdict(accuracy(verdicts_a, clusters=clusters, seed=seed).interval),
        "b": asdict(accuracy(verdicts_b, clusters=clusters, seed=seed).interval),
        "difference": interval | {"standard_error": clustered_standard_error(difference, clusters)},
        "chance": improvement_chance(difference, clusters=clusters, seed=seed),
        "num_better": int((difference > 0).sum()),
        "num_worse": int((difference < 0).sum()),
        "num_equal": int((difference == 0).sum()),
    }


def _verdicts(row: Mapping[str, Any], protocol: str, where: str) -> NDArray[np.float64]:
    try:
        return np.array(
            [float("nan") if value is None else float(value) for value in row["verdicts"][protocol]]
        )
    except (KeyError, TypeError, ValueError) as error:
        raise StateError(
            f"{where}: prompt {row['id']!r} has no verdicts by {protocol!r}"
        ) from error


def _by_set(out: Path, wanted: PassName) -> dict[str, _Rows]:
    path = BenchmarkDir(out).by_prompt
    sets: dict[str, _Rows] = {}
    try:
        with path.open(encoding="utf-8") as file:
            for line in file:
                row = json.loads(line)
                if row["pass"] == wanted:
                    sets.setdefault(row["set"], {})[row["id"]] = row
    except (OSError, ValueError, KeyError, TypeError) as error:
        raise StateError(
            f"{path}: cannot be read as the verdicts of an evaluation on benchmarks"
        ) from error
    return sets
