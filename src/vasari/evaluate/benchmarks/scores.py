"""Verdicts on benchmarks to numbers: accuracy with clustered errors, pass@k, maj@k, categories, and
what is no wrong answer.
"""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Collection, Mapping, Sequence
from dataclasses import asdict, dataclass, replace
from typing import Any

import numpy as np
from numpy.typing import NDArray

from vasari.core.records import Outcome
from vasari.evaluate.benchmarks.load import LoadedSet, labels_of
from vasari.evaluate.benchmarks.scoring import NEEDS_JUDGE, ScoredPass, ScoredRollout, matrix
from vasari.evaluate.benchmarks.settings import BenchmarkSettings
from vasari.evaluate.collect import Entry, Pass
from vasari.evaluate.majority import score_majority
from vasari.evaluate.outputs import OutputKey
from vasari.evaluate.protocols import PROTOCOLS
from vasari.evaluate.statistics import (
    accuracy,
    bootstrap_mean,
    clustered_standard_error,
    maj_at_k,
    pass_at_k,
    solved_shares,
)
from vasari.evaluate.votes import vote_of

Group = list[ScoredRollout | None]
"""The rollouts of a prompt; None where no answer came."""


@dataclass(frozen=True, slots=True)
class Finished:
    """The prompts of a pass whose rollouts are all there, or never will be."""

    entries: list[Entry]
    groups: list[Group]
    num_missing: int
    """Prompts that were not asked, or not to the end."""


def finished(item: Pass, scored: ScoredPass, failed: Collection[OutputKey]) -> Finished:
    """The prompts that can be scored, with their rollouts.

    Args:
        item: The pass.
        scored: Its verdicts.
        failed: Rollouts for which no answer will come: they count as undecided.
    """
    entries: list[Entry] = []
    groups: list[Group] = []
    for entry in item.entries:
        keys = item.rollouts_of(entry)
        if all(key in scored.rollouts or key in failed for key in keys):
            entries.append(entry)
            groups.append([scored.rollouts.get(key) for key in keys])
    return Finished(entries, groups, len(item.entries) - len(entries))


def score_set(
    loaded: LoadedSet,
    item: Pass,
    done: Finished,
    scored: ScoredPass,
    settings: BenchmarkSettings,
) -> dict[str, Any]:
    """What one set came to: its size, and its numbers by every protocol."""
    facts: dict[str, Any] = {
        "title": loaded.benchmark.title,
        "benchmark": loaded.benchmark.name,
        "split": loaded.split,
        "num_prompts": len(done.entries),
        "num_missing": done.num_missing,
        "num_bad_rows": len(loaded.bad_rows),
        "published_size": loaded.published_size,
        "reported_split": loaded.benchmark.split,
        "is_whole": loaded.published_size is not None
        and len(done.entries) == loaded.published_size,
        "official_note": loaded.benchmark.official,
        "cluster": loaded.benchmark.cluster,
        "template": settings.sets[loaded.name].template,
        "decoding": item.described,
    }
    if not done.entries:
        return facts | {"protocols": {}}
    answered = [one for group in done.groups for one in group if one is not None]
    facts["mean_tokens"] = (
        float(np.mean([one.num_tokens for one in answered])) if answered else None
    )
    return facts | {
        "protocols": {
            name: _score_protocol(done, number, name, loaded, item, settings)
            for number, name in enumerate(scored.protocols)
        }
    }


def score_blind(
    item: Pass, done: Finished, scored: ScoredPass, settings: BenchmarkSettings
) -> dict[str, Any]:
    """The blind control of a set: its accuracy, beside that of giving the most frequent answer to
    all prompts of one shape.
    """
    facts: dict[str, Any] = {
        "decoding": item.described,
        "num_prompts": len(done.entries),
        "num_missing": done.num_missing,
    }
    if not done.entries:
        return facts | {"protocols": {}}
    clusters = [entry.cluster for entry in done.entries]
    # By shape alone: categories of a handful of prompts would have majorities by luck.
    shapes = [replace(entry.prompt, category="", difficulty="") for entry in done.entries]
    majority = score_majority(shapes, ())
    return facts | {
        "majority": majority.accuracy,
        "protocols": {
            name: _score_accuracy(matrix(done.groups, number), clusters, settings.seed)
            | _counts(done.groups, number)
            for number, name in enumerate(scored.protocols)
        },
    }


def average_of(sets: Mapping[str, Mapping[str, Any]], protocols: Sequence[str]) -> dict[str, Any]:
    """The plain mean over sets of each protocol's accuracy, as the last column of the paper's table
    2.
    """
    means: dict[str, Any] = {}
    for name in protocols:
        found = [
            one["protocols"][name]["accuracy"]["mean"]
            for one in sets.values()
            if name in one["protocols"]
        ]
        means[name] = {"mean": float(np.mean(found)), "num_sets": len(found)} if found else None
    return means


def prompt_lines(item: Pass, done: Finished, scored: ScoredPass) -> str:
    """A JSON line a prompt: its digest, its cluster and its verdicts by protocol, for paired
    comparisons.
    """
    lines = []
    matrices = [matrix(done.groups, number) for number in range(len(scored.protocols))]
    for place, entry in enumerate(done.entries):
        verdicts = {
            name: [None if np.isnan(value) else int(value) for value in matrices[number][place]]
            for number, name in enumerate(scored.protocols)
        }
        row = {
            "set": item.set_name,
            "id": entry.prompt.id,
            "pass": item.name,
            "digest": entry.digest,
            "cluster": entry.cluster,
            "category": entry.prompt.category,
            "verdicts": verdicts,
        }
        lines.append(json.dumps(row) + "\n")
    return "".join(lines)


def _score_protocol(
    done: Finished,
    number: int,
    protocol: str,
    loaded: LoadedSet,
    item: Pass,
    settings: BenchmarkSettings,
) -> dict[str, Any]:
    verdicts = matrix(done.groups, number)
    clusters = [entry.cluster for entry in done.entries]
    reported = settings.reported_ks()
    votes = [
        [
            None if one is None else vote_of(one.verdicts[number].extraction, entry.prompt)
            for one in group
        ]
        for entry, group in zip(done.entries, done.groups, strict=True)
    ]

    # A scorer that never says what it read gives a majority vote nothing to count, which is no
    # score of 0.
    has_votes = protocol in PROTOCOLS or any(vote is not None for group in votes for vote in group)

    def interval(values: NDArray[np.float64]) -> dict[str, Any]:
        found = asdict(bootstrap_mean(values, clusters=clusters, seed=settings.seed))
        return found | {"standard_error": clustered_standard_error(values, clusters)}

    return (
        _score_accuracy(verdicts, clusters, settings.seed)
        | {"avg_at": item.decoding.num_rollouts}
        | {"pass_at": {str(k): interval(pass_at_k(verdicts, k)) for k in reported}}
        | {
            "maj_at": {
                str(k): interval(maj_at_k(votes, verdicts, k)) for k in reported if has_votes
            }
        }
        | _counts(done.groups, number)
        | {"by_category": _by_category(done, verdicts, loaded, settings.seed)}
    )


def _score_accuracy(
    verdicts: list[NDArray[np.float64]], clusters: Sequence[str], seed: int
) -> dict[str, Any]:
    """The mean share of correct rollouts: over k rollouts a prompt it is avg@k."""
    found = accuracy(verdicts, clusters=clusters, seed=seed)
    shares = solved_shares(verdicts)
    return {
        "accuracy": asdict(found.interval)
        | {"standard_error": clustered_standard_error(shares, clusters)},
        "num_prompts": len(verdicts),
        "num_rollouts": found.num_rollouts,
        "num_undecided": found.num_unverifiable,
    }


def _counts(groups: Sequence[Group], number: int) -> dict[str, Any]:
    """Rollouts by what became of them; the first six add up to all."""
    counts: Counter[str] = Counter()
    decided_by: Counter[str] = Counter()
    for one in (one for group in groups for one in group):
        if one is None:
            counts["unanswered"] += 1
            continue
        verdict = one.verdicts[number]
        decided_by[verdict.decided_by] += 1
        if verdict.outcome is Outcome.CORRECT:
            counts["correct"] += 1
        elif verdict.outcome is Outcome.UNVERIFIABLE:
            counts["needs_judge" if verdict.decided_by in NEEDS_JUDGE else "unverifiable"] += 1
        elif one.truncated:
            counts["truncated"] += 1
        else:
            counts["wrong"] += 1
            counts["no_answer"] += verdict.decided_by == "no_answer"
    names = (
        "correct",
        "wrong",
        "truncated",
        "unverifiable",
        "needs_judge",
        "unanswered",
        "no_answer",
    )
    return {
        "counts": {name: counts[name] for name in names},
        "decided_by": dict(decided_by.most_common()),
    }


def _by_category(
    done: Finished, verdicts: list[NDArray[np.float64]], loaded: LoadedSet, seed: int
) -> dict[str, dict[str, Any]]:
    """Accuracy of the prompts of each label; one with several labels counts in each."""
    result: dict[str, dict[str, Any]] = {}
    for heading, field in loaded.benchmark.categories.items():
        places: dict[str, list[int]] = {}
        for place, entry in enumerate(done.entries):
            for label in labels_of(entry.prompt, field):
                places.setdefault(label, []).append(place)
        if len(places) > 1:
            result[heading] = {
                label: _score_accuracy(
                    [verdicts[i] for i in found], [done.entries[i].cluster for i in found], seed
                )
                for label, found in sorted(places.items())
            }
    return result
