"""Score outputs on benchmarks: verdicts by scoring protocol, accuracies, counts, categories."""

from __future__ import annotations

from collections import Counter
from collections.abc import Collection, Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from vasari.core.errors import ConfigError, StateError
from vasari.core.files import write_json_lines
from vasari.core.progress import Tell, silent
from vasari.core.records import Outcome, Verdict
from vasari.evaluate.benchmarks.load import LoadedSet, labels_of
from vasari.evaluate.benchmarks.settings import BenchmarkDir, BenchmarkSettings
from vasari.evaluate.collect import Entry, Pass
from vasari.evaluate.majority import score_majority
from vasari.evaluate.outputs import OutputKey, output_rows
from vasari.evaluate.protocols import PROTOCOLS
from vasari.evaluate.rescore import rescore
from vasari.evaluate.rescore_settings import RescoreSettings
from vasari.evaluate.scores import ScoredSet
from vasari.evaluate.verdicts import read_verdicts, verdict_facts, verdict_file

if TYPE_CHECKING:  # asking needs packages that scoring does not
    from vasari.verify.judge import JudgeSettings

NEEDS_JUDGE = frozenset({"needs_llm", "unsupported", "random"})
"""Rules after which the official scorer would ask an LLM or draw a letter: undecided, and no fault
of the output."""

_COUNTS = (
    "correct",
    "wrong",
    "truncated",
    "unverifiable",
    "needs_judge",
    "unanswered",
    "no_answer",
)


@dataclass(frozen=True, slots=True)
class ScoredRollout:
    """Verdict of each scoring protocol on one rollout, with the rollout's length in tokens."""

    truncated: bool
    num_tokens: int
    verdicts: tuple[Verdict, ...]
    """[protocols]"""


@dataclass(slots=True)
class ScoredPass:
    """Scored rollouts of all benchmark sets, asked either with images or without (the control)."""

    rollouts: dict[OutputKey, ScoredRollout] = field(default_factory=dict)
    judge: dict[str, Any] | None = None
    """What a judge was asked and what that cost; None without one."""


@dataclass(frozen=True, slots=True)
class Finished:
    """Prompts of a benchmark set whose rollouts all exist or failed for good, with the verdicts."""

    item: Pass
    entries: list[Entry]
    groups: list[list[ScoredRollout | None]]
    """[prompts][rollouts], None where no answer came."""

    @property
    def num_missing(self) -> int:
        """Number of prompts left out because some of their rollouts are still missing."""
        return len(self.item.entries) - len(self.entries)

    def verdicts(self, number: int) -> list[list[Verdict | None]]:
        """Return one scoring protocol's verdicts, [prompts][rollouts]; None for a failed rollout.

        `number` is the index of the protocol.
        """
        return [
            [None if one is None else one.verdicts[number] for one in group]
            for group in self.groups
        ]

    def scored(self, number: int, *, seed: int) -> ScoredSet:
        """Return one scoring protocol's verdicts with the prompts' clusters, as a `ScoredSet`.

        `number` is the index of the protocol.
        """
        values = [
            np.array([float("nan") if one is None else one.value for one in group])
            for group in self.verdicts(number)
        ]
        return ScoredSet(values, seed, [entry.cluster for entry in self.entries])


def score_pass(
    settings: BenchmarkSettings,
    folder: BenchmarkDir,
    name: str,
    *,
    judge: JudgeSettings | None = None,
    tell: Tell = silent,
) -> ScoredPass:
    """Score stored outputs with (`shown`) or without images (`blind`); write `verdicts*.jsonl`.

    A killed scoring of the same outputs continues where it was; other outputs are scored anew.

    Args:
        settings: Which protocols, on how many processes.
        folder: Where the outputs lie.
        name: Name of the pass.
        judge: Asked about what the rules of `paper` and `vasari` leave undecided; None: no judge.
        tell: Called with the outputs done and their number.

    Raises:
        StateError: Outputs and verdicts do not fit.
        StorageError: The disk refused.
    """
    protocols, scored = settings.protocols, ScoredPass()
    outputs = folder.outputs(name)
    if not outputs.exists() or outputs.stat().st_size == 0:
        return scored
    asked = RescoreSettings(
        files=(outputs,), protocols=protocols, workers=settings.workers, judge=judge
    )
    place = folder.scoring(name)
    try:
        result = rescore(asked, place, tell=tell)
    except (ConfigError, StateError):  # of outputs that have changed since
        result = rescore(asked, place, overwrite=True, tell=tell)
    scored.judge = result.get("judge")
    rows: list[list[dict[str, Any]]] = [[] for _ in protocols]
    for row, verdicts in _joined(outputs, place, protocols):
        scored.rollouts[row["set"], row["id"], int(row["rollout"])] = ScoredRollout(
            bool(row["truncated"]), int(row["num_tokens"]), verdicts
        )
        for found, verdict in zip(rows, verdicts, strict=True):
            found.append(_verdict_row(row, verdict))
    for protocol, found in zip(protocols, rows, strict=True):
        write_json_lines(verdict_file(folder.of_pass(name), protocols, protocol), found)
    return scored


def _joined(
    path: Path, place: Path, protocols: tuple[str, ...]
) -> Iterator[tuple[dict[str, Any], tuple[Verdict, ...]]]:
    """Yield each output with its verdicts."""
    files = [read_verdicts(verdict_file(place, protocols, protocol)) for protocol in protocols]
    try:
        for row, *found in zip(output_rows(path), *files, strict=True):
            if any(identity != row["id"] for identity, _ in found):
                raise StateError(
                    f"{place}: its verdicts are not those of {path}; remove that folder and"
                    " evaluate again"
                )
            yield row, tuple(verdict for _, verdict in found)
    except ValueError as error:
        raise StateError(
            f"{place}: has not one verdict for each line of {path}; remove that folder"
        ) from error


def _verdict_row(output: Mapping[str, Any], verdict: Verdict) -> dict[str, Any]:
    place = {"id": output["id"], "set": output["set"], "rollout": output["rollout"]}
    return place | verdict_facts(verdict) | {"truncated": output["truncated"]}


def finished(item: Pass, scored: ScoredPass, failed: Collection[OutputKey]) -> Finished:
    """Return the prompts of a benchmark set that wait for no more rollouts, with scored rollouts.

    Args:
        item: The pass.
        scored: Its verdicts.
        failed: Rollouts for which no answer will come: they count as undecided.
    """
    done = Finished(item, [], [])
    for entry in item.entries:
        keys = item.rollouts_of(entry)
        if all(key in scored.rollouts or key in failed for key in keys):
            done.entries.append(entry)
            done.groups.append([scored.rollouts.get(key) for key in keys])
    return done


def score_set(loaded: LoadedSet, done: Finished, settings: BenchmarkSettings) -> dict[str, Any]:
    """Return a benchmark set's entry in `scores.json`: size, sampling, and scores by protocol."""
    benchmark, num_prompts = loaded.benchmark, len(done.entries)
    facts: dict[str, Any] = {
        "title": benchmark.title,
        "benchmark": benchmark.name,
        "split": loaded.split,
        "num_prompts": num_prompts,
        "num_missing": done.num_missing,
        "num_bad_rows": len(loaded.bad_rows),
        "published_size": loaded.published_size,
        "reported_split": benchmark.split,
        "is_whole": num_prompts == loaded.published_size,
        "official_note": benchmark.official,
        "cluster": benchmark.cluster,
        "template": settings.sets[loaded.name].template,
        "decoding": done.item.described,
    }
    if not done.entries:
        return facts | {"protocols": {}}
    tokens = [one.num_tokens for group in done.groups for one in group if one is not None]
    facts["mean_tokens"] = float(np.mean(tokens)) if tokens else None
    return facts | {
        "protocols": {
            name: _score_protocol(done, number, name, loaded, settings)
            for number, name in enumerate(settings.protocols)
        }
    }


def score_blind(done: Finished, settings: BenchmarkSettings) -> dict[str, Any]:
    """Return the model's accuracy without images, and that of giving the most frequent answer.

    The most frequent answer is that to prompts of the same kind and number of options.
    """
    facts: dict[str, Any] = {
        "decoding": done.item.described,
        "num_prompts": len(done.entries),
        "num_missing": done.num_missing,
    }
    if not done.entries:
        return facts | {"protocols": {}}
    # By shape alone: categories of a handful of prompts would have majorities by luck.
    shapes = [replace(entry.prompt, category="", difficulty="") for entry in done.entries]
    return facts | {
        "majority": score_majority(shapes, ()).accuracy,
        "protocols": {
            name: done.scored(number, seed=settings.seed).accuracy() | _counts(done, number)
            for number, name in enumerate(settings.protocols)
        },
    }


def average_of(sets: Mapping[str, Mapping[str, Any]], protocols: Sequence[str]) -> dict[str, Any]:
    """Return each protocol's mean accuracy over benchmark sets, as in table 2 of the paper."""
    means: dict[str, Any] = {}
    for name in protocols:
        found = [
            one["protocols"][name]["accuracy"]["mean"]
            for one in sets.values()
            if name in one["protocols"]
        ]
        means[name] = {"mean": float(np.mean(found)), "num_sets": len(found)} if found else None
    return means


def prompt_rows(done: Finished, protocols: Sequence[str]) -> list[dict[str, Any]]:
    """Return a row per prompt (digest, cluster, verdicts), for paired comparison of models."""
    by_protocol = [done.verdicts(number) for number in range(len(protocols))]
    return [
        {
            "set": done.item.set_name,
            "id": entry.prompt.id,
            "pass": done.item.name,
            "digest": entry.digest,
            "cluster": entry.cluster,
            "category": entry.prompt.category,
            "verdicts": {
                name: [_number(verdict) for verdict in verdicts[place]]
                for name, verdicts in zip(protocols, by_protocol, strict=True)
            },
        }
        for place, entry in enumerate(done.entries)
    ]


def _number(verdict: Verdict | None) -> int | None:
    """Return 1 for correct, 0 for incorrect, None where there is no verdict."""
    if verdict is None or verdict.outcome is Outcome.UNVERIFIABLE:
        return None
    return int(verdict.value)


def _score_protocol(
    done: Finished, number: int, protocol: str, loaded: LoadedSet, settings: BenchmarkSettings
) -> dict[str, Any]:
    prompts = [entry.prompt for entry in done.entries]
    extractions = [
        [None if one is None else one.extraction for one in group]
        for group in done.verdicts(number)
    ]
    scored = done.scored(number, seed=settings.seed)
    at_k = scored.at_k(extractions, prompts, settings.reported_ks())
    # A scorer that never says what it read gives a majority vote nothing to count, which is no
    # score of 0.
    if protocol not in PROTOCOLS and not any(
        text is not None for group in extractions for text in group
    ):
        at_k["maj_at"] = {}
    by_category = {
        heading: scored.by_label([labels_of(prompt, field) for prompt in prompts])
        for heading, field in loaded.benchmark.categories.items()
    }
    return (
        scored.accuracy()
        | {"avg_at": done.item.decoding.num_rollouts}
        | at_k
        | _counts(done, number)
        | {"by_category": {name: split for name, split in by_category.items() if len(split) > 1}}
    )


def _counts(done: Finished, number: int) -> dict[str, Any]:
    """Count rollouts by outcome; the first six counts add up to the number of rollouts."""
    counts: Counter[str] = Counter()
    decided_by: Counter[str] = Counter()
    for one in (one for group in done.groups for one in group):
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
    return {
        "counts": {name: counts[name] for name in _COUNTS},
        "decided_by": dict(decided_by.most_common()),
    }
