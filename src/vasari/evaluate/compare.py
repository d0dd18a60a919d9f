"""Two models or a ladder of them, side by side on the same prompts."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import asdict
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from vasari.core.errors import DataError
from vasari.evaluate.rollouts import DecodingName, read_decodings, read_rollouts
from vasari.evaluate.statistics import NUM_RESAMPLES, accuracy, bootstrap_mean, paired_difference

_COLUMNS = ("set", "decoding", "prompt_id", "prompt_digest", "category", "verdicts")
_CELLS_AT_ONCE = 4_000_000

_Scores = dict[str, Mapping[str, Any]]
"""Prompt id -> its row."""


def compare_results(
    a: Path, b: Path, *, decoding: DecodingName = "sampled", seed: int = 0
) -> dict[str, Any]:
    """How much better `b` is than `a`, paired by prompt, for each set that both were evaluated on.

    Args:
        a: Rollouts file of the first model, `<name>-rollouts.parquet`.
        b: Rollouts file of the second model.
        decoding: Which rollouts to compare.
        seed: Of the bootstrap.

    Returns:
        By set: `decoding_a` and `decoding_b`, `num_prompts` in both files, `num_only_a` and
        `num_only_b` in one, the accuracy of each over the shared prompts (`a`, `b`), `difference`
        (b minus a) with its 95% interval, `improvement` (the chance that b is better, see
        `improvement_chance`), and the differences `by_category`.

    Raises:
        DataError: A file cannot be read, the two share no prompts, or a prompt of one id is another
            one in the other file.
    """
    first, second = _by_set(a, decoding), _by_set(b, decoding)
    drawn_a, drawn_b = read_decodings(a), read_decodings(b)
    sets: dict[str, Any] = {}
    for name in first:
        shared = [prompt_id for prompt_id in first[name] if prompt_id in second.get(name, {})]
        if shared:
            scores = _compare_set(
                first[name], second[name], shared, where=f"{a} and {b}, set {name!r}", seed=seed
            )
            sets[name] = {
                "decoding_a": drawn_a[name, decoding],
                "decoding_b": drawn_b[name, decoding],
            } | scores
    if not sets:
        raise DataError(
            f"{a} and {b}: the two share no prompts with {decoding} rollouts; were they evaluated"
            " on the same sets?"
        )
    return {"decoding": decoding, "sets": sets}


def improvement_chance(
    difference: NDArray[np.float64], *, num_resamples: int = NUM_RESAMPLES, seed: int = 0
) -> float:
    """The chance that the mean difference is above 0: the share of bootstrap resamples of prompts
    in which it is.

    A resample with mean 0 counts half, so that two equal models give 0.5.

    Raises:
        DataError: There are no differences.
    """
    if difference.size == 0:
        raise DataError("the chance of an improvement needs at least one prompt")
    rng = np.random.default_rng(seed)
    block = max(1, _CELLS_AT_ONCE // difference.size)
    better = 0.0
    for start in range(0, num_resamples, block):
        rows = rng.integers(
            difference.size, size=(min(block, num_resamples - start), difference.size)
        )
        # Rounded, because differences that cancel do so only up to their last digit.
        means = difference[rows].mean(axis=1).round(12)
        better += float((means > 0).sum()) + 0.5 * float((means == 0).sum())
    return better / num_resamples


def ladder_table(
    results: Sequence[Mapping[str, Any]], *, set_name: str | None = None
) -> list[dict[str, Any]]:
    """One row a model in the order given, as in table 3 of arXiv:2509.21268: accuracy overall and
    by category.

    Args:
        results: Of `evaluate_policy`: the base, the cold start, what RL added, ...
        set_name: The set that is shown; None: the first one that all results have.

    Returns:
        Rows with `model`, `set`, `num_prompts`, `decoding` (of the sampled rollouts), `accuracy`
        (sampled), `greedy` (None where it was not evaluated), `unverifiable`, `gain` (accuracy
        minus that of the row above; None in the first row) and `by_category`, whose keys are the
        same in every row, None where a model was not evaluated on the category.

    Raises:
        DataError: No results, or no set that all of them have.
    """
    chosen = _shared_set(results, set_name)
    scores = [result["sets"][chosen] for result in results]
    categories = sorted({category for score in scores for category in score["by_category"]})
    rows: list[dict[str, Any]] = []
    for result, score in zip(results, scores, strict=True):
        found = score["sampled"]["accuracy"]
        rows.append(
            {
                "model": result["model"],
                "set": chosen,
                "num_prompts": score["num_prompts"],
                "decoding": score["sampled"]["decoding"],
                "accuracy": found,
                "greedy": score["greedy"]["accuracy"] if "greedy" in score else None,
                "unverifiable": score["sampled"]["unverifiable"],
                "gain": found["mean"] - rows[-1]["accuracy"]["mean"] if rows else None,
                "by_category": {
                    category: score["by_category"].get(category) for category in categories
                },
            }
        )
    return rows


def _shared_set(results: Sequence[Mapping[str, Any]], set_name: str | None) -> str:
    if not results:
        raise DataError("a ladder needs at least one result")
    shared = [
        name for name in results[0]["sets"] if all(name in result["sets"] for result in results)
    ]
    if set_name is not None and set_name not in shared:
        lacking = [result["model"] for result in results if set_name not in result["sets"]]
        raise DataError(f"not evaluated on set {set_name!r}: {', '.join(lacking)}")
    if not shared:
        raise DataError("no set of prompts was evaluated with all models")
    return set_name or shared[0]


def _by_set(path: Path, decoding: DecodingName) -> dict[str, _Scores]:
    sets: dict[str, _Scores] = {}
    for row in read_rollouts(path, _COLUMNS):
        if row["decoding"] == decoding:
            sets.setdefault(row["set"], {})[row["prompt_id"]] = row
    return sets


def _compare_set(
    first: _Scores, second: _Scores, shared: Sequence[str], *, where: str, seed: int
) -> dict[str, Any]:
    changed = [
        name for name in shared if first[name]["prompt_digest"] != second[name]["prompt_digest"]
    ]
    if changed:
        raise DataError(
            f"{where}: {len(changed)} prompts have the same id and differ in content, such as"
            f" {changed[0]!r}"
        )
    verdicts_a = [first[name]["verdicts"] for name in shared]
    verdicts_b = [second[name]["verdicts"] for name in shared]
    solved_a, solved_b = _solved(verdicts_a), _solved(verdicts_b)
    categories = [first[name]["category"] for name in shared]
    by_category = {}
    for category in sorted({category for category in categories if category}):
        inside = np.array([found == category for found in categories])
        by_category[category] = asdict(bootstrap_mean((solved_b - solved_a)[inside], seed=seed))
    return {
        "num_prompts": len(shared),
        "num_only_a": len(first) - len(shared),
        "num_only_b": len(second) - len(shared),
        "a": asdict(accuracy(verdicts_a, seed=seed).interval),
        "b": asdict(accuracy(verdicts_b, seed=seed).interval),
        "difference": asdict(paired_difference(solved_b, solved_a, seed=seed)),
        "improvement": improvement_chance(solved_b - solved_a, seed=seed),
        "by_category": by_category,
    }


def _solved(verdicts: Sequence[Sequence[float]]) -> NDArray[np.float64]:
    """[prompts] share of correct rollouts; an unverifiable one is not solved."""
    return np.array([float(np.nansum(row)) / len(row) for row in verdicts])
