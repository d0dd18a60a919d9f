"""A policy on sets of prompts -> accuracy, pass@k, maj@k, greedy and blind control."""

from __future__ import annotations

import json
import re
from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict
from pathlib import Path
from typing import Any

import numpy as np

from vasari.core.errors import ConfigError, DataError
from vasari.core.files import write_json
from vasari.core.progress import Tell, silent
from vasari.core.records import Prompt
from vasari.evaluate.collect import (
    Entry,
    Pass,
    draw_prompts,
    hex_digest,
    plan_passes,
    prompt_digest,
)
from vasari.evaluate.majority import score_majority
from vasari.evaluate.rollouts import PassRows, Row, judged_rollouts
from vasari.evaluate.settings import EvaluateSettings
from vasari.evaluate.statistics import accuracy, bootstrap_mean, maj_at_k, pass_at_k
from vasari.evaluate.votes import vote_of
from vasari.model.base import Decoding, Policy
from vasari.score.reward import format_ok

SCHEMA_VERSION = 1

_NAME = re.compile(r"[\w+@=-][\w.+@=-]*")


def evaluate_policy(
    policy: Policy,
    sets: Mapping[str, Sequence[Prompt]],
    settings: EvaluateSettings,
    *,
    name: str,
    out: Path,
    fingerprint: str = "",
    reference: Sequence[Prompt] = (),
    tell: Tell = silent,
) -> dict[str, Any]:
    """The scores of a policy on sets of prompts, as written to `out/<name>.json`.

    Every rollout goes to `out/<name>-rollouts.parquet`. A killed evaluation continues from its last
    part; a finished one is read, not repeated, as long as the fingerprint, the decoding, the seed
    and the prompts are the same.

    Args:
        policy: Answers the prompts.
        sets: Prompts by the name of their set, none empty.
        settings: How to evaluate.
        name: Of the model; names the files.
        out: Folder of the results; made when it is missing.
        fingerprint: Changes whenever the model does, such as a digest of its weights; without one
            nothing is reused.
        reference: Prompts whose majority answers are the measure of the blind control, such as the
            training pool.
        tell: Told the rollouts done and their total.

    Raises:
        ConfigError: The name cannot name a file.
        DataError: No sets, an empty set, an id twice in a set, or the policy gave too few rollouts.
        ImageError: An image cannot be read.
        StorageError: The disk refused.
    """
    if not _NAME.fullmatch(name):
        raise ConfigError(
            "the name of a result names its files: letters, digits and . + @ = _ - only, got"
            f" {name!r}"
        )
    passes = _plan(sets, settings, fingerprint)
    found = judged_rollouts(policy, passes, name=name, out=out, fingerprint=fingerprint, tell=tell)
    results: dict[str, Any] = {}
    for set_name in sets:
        here = {
            item.name: (item, rows)
            for item, rows in zip(passes, found, strict=True)
            if item.set_name == set_name
        }
        results[set_name] = _score_set(here, settings, reference)
    result = {
        "schema": SCHEMA_VERSION,
        "model": name,
        "fingerprint": fingerprint,
        "decoding": settings.model_dump(
            include={"num_rollouts", "temperature", "top_p", "max_tokens", "blind_rollouts"}
        ),
        "seed": settings.seed,
        "limit": settings.limit,
        "seconds": sum(rows.seconds for rows in found),
        "sets": results,
    }
    write_json(out / f"{name}.json", result)
    return result


def _plan(
    sets: Mapping[str, Sequence[Prompt]], settings: EvaluateSettings, fingerprint: str
) -> list[Pass]:
    """The passes of an evaluation: each set sampled, then greedily, then blind."""
    if not sets:
        raise DataError("an evaluation needs at least one set of prompts")

    def keys(
        set_name: str, name: str, decoding: Decoding, entries: Sequence[Entry]
    ) -> Sequence[str]:
        """One key for all prompts of a pass: another prompt or order is another pass."""
        what = {
            "model": fingerprint,
            "set": set_name,
            "name": name,
            "decoding": decoding.model_dump(exclude={"batch_rollouts"}),
            "seed": settings.seed,
            "part": settings.rollouts_per_part,
            "prompts": [entry.digest for entry in entries],
        }
        return [hex_digest(json.dumps(what, sort_keys=True).encode())] * len(entries)

    plan: list[Pass] = []
    for set_name, prompts in sets.items():
        if not prompts:
            raise DataError(f"set {set_name!r} has no prompts")
        if len({prompt.id for prompt in prompts}) != len(prompts):
            raise DataError(f"set {set_name!r} has prompts with the same id")
        entries = [
            Entry(prompt=prompt, asked=prompt, digest=prompt_digest(prompt))
            for prompt in draw_prompts(prompts, settings.limit, settings.seed)
        ]
        plan += plan_passes(
            {set_name: entries},
            settings.decodings(),
            seed=settings.seed,
            rollouts_per_part=settings.rollouts_per_part,
            keys=keys,
        )
    return plan


def _score_set(
    passes: Mapping[str, tuple[Pass, PassRows]],
    settings: EvaluateSettings,
    reference: Sequence[Prompt],
) -> dict[str, Any]:
    item, found = passes["sampled"]
    rows = found.rows
    result: dict[str, Any] = {
        "num_prompts": len(rows),
        "sampled": _score_sampled(item, rows, settings),
    }
    if "greedy" in passes:
        greedy, greedy_found = passes["greedy"]
        result["greedy"] = {"decoding": greedy.described} | _score_accuracy(
            greedy_found.rows, settings.seed
        )
    if "blind" in passes:
        blind, blind_found = passes["blind"]
        majority = score_majority([entry.prompt for entry in blind.entries], reference)
        scores = _score_accuracy(blind_found.rows, settings.seed)
        result["blind"] = (
            {"decoding": blind.described}
            | scores
            | {
                "majority": majority.accuracy,
                "majority_num_own": majority.num_own,
                "gap": scores["accuracy"]["mean"] - majority.accuracy,
            }
        )
    result["by_category"] = _split(rows, lambda row: row["category"], settings.seed)
    result["by_difficulty"] = _split(rows, lambda row: row["difficulty"], settings.seed)
    result["by_category_difficulty"] = _split(
        rows,
        lambda row: (
            f"{row['category']}/{row['difficulty']}"
            if row["category"] and row["difficulty"]
            else ""
        ),
        settings.seed,
    )
    return result


def _score_sampled(item: Pass, rows: Sequence[Row], settings: EvaluateSettings) -> dict[str, Any]:
    verdicts = [row["verdicts"] for row in rows]
    votes = [
        [vote_of(said, entry.prompt) for said in row["extractions"]]
        for row, entry in zip(rows, item.entries, strict=True)
    ]
    reported = settings.reported_ks()

    def interval(values: Any) -> dict[str, Any]:
        return asdict(bootstrap_mean(values, seed=settings.seed))

    return (
        {"decoding": item.described}
        | _score_accuracy(rows, settings.seed)
        | {
            "pass_at": {str(k): interval(pass_at_k(verdicts, k)) for k in reported},
            "maj_at": {str(k): interval(maj_at_k(votes, verdicts, k)) for k in reported},
            "format": float(np.mean([format_ok(text) for row in rows for text in row["texts"]])),
            "truncated": float(np.mean([cut for row in rows for cut in row["truncated"]])),
            "mean_tokens": float(np.mean([count for row in rows for count in row["num_tokens"]])),
        }
    )


def _score_accuracy(rows: Sequence[Row], seed: int) -> dict[str, Any]:
    found = accuracy([row["verdicts"] for row in rows], seed=seed)
    return {"accuracy": asdict(found.interval), "unverifiable": found.num_unverifiable}


def _split(
    rows: Sequence[Row], label_of: Callable[[Row], str], seed: int
) -> dict[str, dict[str, Any]]:
    """Sampled accuracy of the prompts of each label; prompts without a label are left out."""
    groups: dict[str, list[Row]] = {}
    for row in rows:
        groups.setdefault(label_of(row), []).append(row)
    return {
        label: _score_accuracy(groups[label], seed)["accuracy"] for label in sorted(groups) if label
    }
