"""Evaluate a policy on sets of prompts: accuracy, pass@k, maj@k, greedy, blind control."""

from __future__ import annotations

import json
import re
from collections.abc import Mapping, Sequence
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
from vasari.evaluate.rollouts import PassRows, judged_rollouts
from vasari.evaluate.scores import ScoredSet
from vasari.evaluate.settings import EvaluateSettings
from vasari.model.base import Decoding, Policy
from vasari.score import format_ok

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
    """Evaluate a policy on sets of prompts, write the scores to `out/NAME.json`, and return them.

    Every rollout goes to `out/NAME-rollouts.parquet`. A killed evaluation continues from its last
    part; a finished one is read, not repeated, as long as the fingerprint, the decoding, the seed
    and the prompts are the same.

    Args:
        policy: Answers the prompts.
        sets: Prompts by the name of their set, none empty.
        settings: How to evaluate.
        name: Name of the model; names the files.
        out: Folder of the results; made when it is missing.
        fingerprint: Changes whenever the model does, such as a digest of its weights; without one
            nothing is reused.
        reference: Prompts whose majority answers are the measure of the blind control, such as the
            training pool.
        tell: Called with the rollouts done and their total.

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
    by_set: dict[str, dict[str, tuple[Pass, PassRows]]] = {set_name: {} for set_name in sets}
    for item, rows in zip(passes, found, strict=True):
        by_set[item.set_name][item.name] = (item, rows)
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
        "sets": {key: _score_set(here, settings, reference) for key, here in by_set.items()},
    }
    write_json(out / f"{name}.json", result)
    return result


def _plan(
    sets: Mapping[str, Sequence[Prompt]], settings: EvaluateSettings, fingerprint: str
) -> list[Pass]:
    """Plan the passes of an evaluation: each set sampled, then greedily, then blind."""
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
    prompts = [entry.prompt for entry in item.entries]
    sampled = _scored(found, settings)
    result: dict[str, Any] = {
        "num_prompts": len(rows),
        "sampled": _accuracy(item, sampled)
        | sampled.at_k([row["extractions"] for row in rows], prompts, settings.reported_ks())
        | {
            "format": float(np.mean([format_ok(text) for row in rows for text in row["texts"]])),
            "truncated": float(np.mean([cut for row in rows for cut in row["truncated"]])),
            "mean_tokens": float(np.mean([count for row in rows for count in row["num_tokens"]])),
        },
    }
    if "greedy" in passes:
        item, found = passes["greedy"]
        result["greedy"] = _accuracy(item, _scored(found, settings))
    if "blind" in passes:
        item, found = passes["blind"]
        majority = score_majority([entry.prompt for entry in item.entries], reference)
        scores = _accuracy(item, _scored(found, settings))
        result["blind"] = scores | {
            "majority": majority.accuracy,
            "majority_num_own": majority.num_own,
            "gap": scores["accuracy"]["mean"] - majority.accuracy,
        }
    labels = {
        "by_category": [prompt.category for prompt in prompts],
        "by_difficulty": [prompt.difficulty for prompt in prompts],
        "by_category_difficulty": [
            f"{prompt.category}/{prompt.difficulty}"
            if prompt.category and prompt.difficulty
            else ""
            for prompt in prompts
        ],
    }
    for heading, names in labels.items():
        split = sampled.by_label([[name] for name in names])
        result[heading] = {label: scores["accuracy"] for label, scores in split.items()}
    return result


def _scored(found: PassRows, settings: EvaluateSettings) -> ScoredSet:
    return ScoredSet([row["verdicts"] for row in found.rows], settings.seed)


def _accuracy(item: Pass, scored: ScoredSet) -> dict[str, Any]:
    found = scored.accuracy()
    return {
        "decoding": item.described,
        "accuracy": found["accuracy"],
        "unverifiable": found["num_undecided"],
    }
