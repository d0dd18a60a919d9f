"""What a model card counts: prompts by their properties, rollouts by what they were spent on."""

from __future__ import annotations

import math
import statistics
from collections import Counter
from collections.abc import Iterable, Mapping
from typing import Any

from vasari.core.markdown import plain
from vasari.core.records import PURPOSES, Prompt
from vasari.report.inputs import NOT_ARMS, Run, dig, interval, known_sum, read_pool, whole
from vasari.report.summary import ledger
from vasari.report.tables import PURPOSE_WORDS

_SPLITS = ("cold_start", "train", "validation", "test", "test_held_out_style")
_MOST = 12
_DECODINGS = ("sampled", "greedy", "blind")


def data_lines(run: Run) -> list[str]:
    """Return Markdown lines on a run's prompts: their number, and what they are."""
    rows, details = [], []
    for split in _SPLITS:
        prompts = read_pool(run, split)
        if prompts:
            images = sum(len(prompt.images) for prompt in prompts)
            rows.append(f"| {split.replace('_', ' ')} | {len(prompts):,} | {images:,} |")
        if prompts and split in ("cold_start", "train"):
            details += _counts(split, "category", (prompt.category for prompt in prompts))
            details += _counts(split, "difficulty", (prompt.difficulty for prompt in prompts))
            for key in ("source", "licence"):
                details += _counts(split, key, _of_metadata(prompts, key))
    if not rows:
        return ["The run's prompts are not in its folder."]
    head = ["| prompts | number | images |", "| --- | ---: | ---: |"]
    return [*head, *rows, *(["", *details] if details else [])]


def _of_metadata(prompts: Iterable[Prompt], key: str) -> Iterable[str]:
    for prompt in prompts:
        # Ours first: a source that curation read has a licence by rule.
        value = prompt.metadata.get(key) or prompt.columns.get(key)
        yield value if isinstance(value, str) else ""


def _counts(split: str, what: str, values: Iterable[str]) -> list[str]:
    """A line on how many prompts have which value; numbers in their order, words by their count."""
    counts = Counter(values)
    if set(counts) <= {""}:
        return []
    numbers = {value: found for value in counts if (found := _as_number(value)) is not None}
    named = [value for value in counts if value]
    if len(numbers) == len(named) and len(named) > _MOST:
        shown = _spread(what, [numbers[value] for value in named for _ in range(counts[value])])
    else:
        order = sorted(named, key=lambda value: (numbers.get(value, 0.0), -counts[value], value))
        first, *parts = [f"{plain(value)} ({counts[value]:,})" for value in order[:_MOST]]
        shown = ", ".join([f"{what} {first.removesuffix(')')} prompts)", *parts])
        if len(named) > _MOST:
            shown += f", and {len(named) - _MOST} others"
    if counts[""]:
        shown += f"; {counts['']:,} prompts without"
    return [f"* {split.replace('_', ' ')}: {shown}"]


def _spread(what: str, values: list[float]) -> str:
    return (
        f"{what} {min(values):g} to {max(values):g}, median {statistics.median(values):g}"
        f" ({len(values):,} prompts)"
    )


def _as_number(value: str) -> float | None:
    try:
        number = float(value)
    except ValueError:
        return None
    return number if math.isfinite(number) else None


def rollout_lines(run: Run, arm: str) -> list[str]:
    """Return Markdown lines on what rollouts were spent on for the weights of an arm."""
    logs = run.arms.get(arm)
    rows = []
    if logs is not None:
        spent = ledger(logs)
        rows = [
            (PURPOSE_WORDS[purpose], *(spent[unit].get(purpose) for unit in ("rollouts", "tokens")))
            for purpose in PURPOSES
        ]
        validated = known_sum(whole(row.get("rollouts_validation")) for row in logs.validation)
        rows.append(("to choose the best weights by validation", whole(validated), None))
    evaluated = [_evaluated(run.evaluation.get(model, {})) for model in (*NOT_ARMS, arm)]
    if any(evaluated):
        rows.append(("to evaluate the models in the table of scores", sum(evaluated), None))
    if not rows:
        return ["No rollouts were spent on these weights."]
    lines = ["| spent on | rollouts | tokens |", "| --- | ---: | ---: |"]
    for words, *counts in rows:
        cells = " | ".join("-" if count is None else f"{count:,}" for count in counts)
        lines.append(f"| {words} | {cells} |")
    return [*lines, "", "A rollout is one generated answer; - is not counted."]


def _evaluated(result: Mapping[str, Any]) -> int:
    """Rollouts of a model's evaluation, over all sets and ways to decode."""
    total, sets = 0, dig(result, "sets")
    for found in sets.values() if isinstance(sets, Mapping) else ():
        for name in _DECODINGS:
            per_prompt = whole(dig(found, name, "decoding", "num_rollouts"))
            prompts = (interval(dig(found, name, "accuracy")) or {}).get("n")
            total += (per_prompt or 0) * (prompts or 0)
    return total
