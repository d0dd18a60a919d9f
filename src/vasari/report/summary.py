"""Write a run's numbers to `RUN/summary.json`; a number that the run lacks is null, never 0."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import asdict
from pathlib import Path
from typing import Any

from vasari.core.files import write_json
from vasari.core.records import PURPOSES
from vasari.evaluate.statistics import paired_difference
from vasari.report.inputs import (
    Arm,
    Run,
    dig,
    interval,
    known_sum,
    number,
    read_rollouts,
    read_run,
    solved_share,
    whole,
)
from vasari.report.reward_terms import RewardTerms, read_reward_terms
from vasari.report.taught import taught_and_untaught

SCHEMA = 1

FEW_PROMPTS = 100
"""Test prompts below which an accuracy says little."""

_STAGES = ("tasks", "sft", "rl", "evaluate")
HELD_OUT = "test_held_out_style"


def write_summary(root: Path) -> dict[str, Any]:
    """Write a run's summary numbers to `RUN/summary.json` and return them.

    Raises:
        DataError: There is no such run folder.
        StorageError: The disk refused.
    """
    run = read_run(root)
    found = summarise(run, read_reward_terms(run))
    write_json(run.place.summary, found)
    return found


def summarise(run: Run, terms: Mapping[str, RewardTerms]) -> dict[str, Any]:
    """Return a run's summary numbers: accuracies, rollouts, tokens, reward terms, time, memory.

    `final` is the arm (training run) of the recipe's sampler, or the last arm by name.

    Args:
        run: The run.
        terms: The reward terms of each arm, from `read_reward_terms`.
    """
    final = run.final_arm
    charged = {name: ledger(arm) for name, arm in run.arms.items()}
    nothing: dict[str, dict[str, int | None]] = {
        unit: dict.fromkeys(PURPOSES) for unit in ("rollouts", "tokens")
    }
    spent = charged.get(final or "", nothing)
    return {
        "schema": SCHEMA,
        "name": dig(run.recipe, "name"),
        "started": dig(run.settings, "started"),
        "final_arm": final,
        "seed": _first(run.settings.get("seed"), run.recipe.get("seed")),
        "versions": run.settings.get("versions"),
        "sampler": _sampler(run, final),
        "decoding": _first(
            *(
                dig(run.evaluation.get(name, {}), "decoding")
                for name in (final or "", "cold_start", "base")
            )
        ),
        "accuracy": _scores(run, final, "test", "sampled", "accuracy"),
        "greedy": _scores(run, final, "test", "greedy", "accuracy"),
        "held_out_style": _scores(run, final, HELD_OUT, "sampled", "accuracy"),
        "blind": _blind(run, final),
        "difference": _differences(run, final),
        **taught_and_untaught(run, final),
        "rollouts": spent["rollouts"],
        "tokens": spent["tokens"],
        "zero_variance_share": mean_of(run.arms.get(final or ""), "zero_variance_share"),
        "reward_terms": _terms(terms.get(final or "")),
        "by_arm": {
            name: _arm_facts(run, arm, charged[name]) | {"reward_terms": _terms(terms.get(name))}
            for name, arm in run.arms.items()
        },
        "wall_seconds": {stage: _seconds(run, stage, "seconds") for stage in _STAGES},
        "cpu_seconds": {stage: _seconds(run, stage, "cpu_seconds") for stage in _STAGES},
        "peak_memory_mb": _peak_memory(run),
    }


def ledger(arm: Arm) -> dict[str, dict[str, int | None]]:
    """Return the rollouts and tokens a training run spent, by purpose; None where not logged."""
    last: Mapping[str, Any] = next(
        (row for row in reversed(arm.metrics) if "ledger/rollouts/train" in row), {}
    )
    return {
        unit: {purpose: whole(last.get(f"ledger/{unit}/{purpose}")) for purpose in PURPOSES}
        for unit in ("rollouts", "tokens")
    }


def best_is_the_start(run: Run, arm: str | None) -> bool:
    """Whether no step of a training run (arm) was better than its start in validation."""
    return bool(dig(run.stages, f"rl-{arm}", "best_step") == 0)


def shrunk_from(run: Run) -> str | None:
    """Return the model of the recipe that `--shrink` made the run's of; None for another run."""
    named = dig(run.recipe, "shrunk_from")
    return str(named) if named else None


def few_prompts(found: Mapping[str, Any]) -> int | None:
    """Return the number of test prompts behind a summary's accuracies if it is small, else None."""
    accuracy = found["accuracy"]
    sizes = [
        value["n"]
        for value in (accuracy["base"], accuracy["cold_start"], accuracy["final"])
        if value
    ]
    known = [size for size in sizes if size]
    return min(known) if known and min(known) < FEW_PROMPTS else None


def mean_of(arm: Arm | None, key: str) -> float | None:
    """Return a metric's mean over a training run's log; None if it was never logged."""
    values = _known(number(row.get(key)) for row in (arm.metrics if arm else []))
    return sum(values) / len(values) if values else None


def score(run: Run, model: str | None, *path: str) -> dict[str, Any] | None:
    """Return a model's stored score at a path such as `"test", "sampled", "accuracy"`, or None."""
    return None if model is None else interval(dig(run.evaluation.get(model, {}), "sets", *path))


def paired(run: Run, better: str | None, worse: str | None) -> dict[str, Any] | None:
    """Return the paired difference of two models' sampled test accuracy; None if unknown."""
    if better is None or worse is None or better == worse:
        return None
    first, second = read_rollouts(run, better), read_rollouts(run, worse)
    shared = [
        key for key in first if key in second and first[key]["verdicts"] and second[key]["verdicts"]
    ]
    if not shared:
        return None
    left, right = (
        [solved_share(rows[key]["verdicts"]) for key in shared] for rows in (first, second)
    )
    return asdict(paired_difference(left, right))


def _scores(run: Run, final: str | None, *path: str) -> dict[str, Any]:
    return {
        "base": score(run, "base", *path),
        "cold_start": score(run, "cold_start", *path),
        "final": score(run, final, *path),
        "by_arm": {name: score(run, name, *path) for name in run.arm_names},
    }


def _blind(run: Run, final: str | None) -> dict[str, Any]:
    return {
        label: blind(run, model)
        for label, model in (("base", "base"), ("cold_start", "cold_start"), ("final", final))
    }


def blind(run: Run, model: str | None) -> dict[str, Any] | None:
    """Return a model's accuracy without images, that of constant answers, and the difference."""
    found = dig(run.evaluation.get(model or "", {}), "sets", "test", "blind")
    if not isinstance(found, Mapping):
        return None
    majority = interval(found.get("majority"))
    return {
        "accuracy": interval(found.get("accuracy")),
        "majority": majority["mean"] if majority else None,
        "gap": number(found.get("gap")),
    }


def _differences(run: Run, final: str | None) -> dict[str, Any]:
    return {
        "final_minus_cold_start": paired(run, final, "cold_start"),
        "final_minus_base": paired(run, final, "base"),
        "final_minus_uniform": paired(run, final, "uniform"),
        "by_arm_minus_uniform": {
            arm: paired(run, arm, "uniform") for arm in run.arm_names if arm != "uniform"
        },
    }


def _arm_facts(run: Run, arm: Arm, spent: Mapping[str, Any]) -> dict[str, Any]:
    stage = run.stages.get(f"rl-{arm.name}", {})
    last = arm.metrics[-1] if arm.metrics else {}
    return {
        **spent,
        "zero_variance_share": mean_of(arm, "zero_variance_share"),
        "unverifiable_share": mean_of(arm, "unverifiable_share"),
        "steps": _first(whole(stage.get("steps")), whole(last.get("step"))),
        "best_step": whole(stage.get("best_step")),
        "seconds": number(stage.get("seconds")),
        "peak_memory_mb": number(stage.get("peak_memory_mb")),
        "resumed": whole(stage.get("resumed")),
    }


def _terms(terms: RewardTerms | None) -> dict[str, Any] | None:
    return terms.summary() or None if terms is not None else None


def _sampler(run: Run, final: str | None) -> dict[str, Any]:
    named = dig(run.recipe, "sampler", "name")
    return {"name": final if final is not None else named, "settings": run.sampler_settings(final)}


def _seconds(run: Run, stage: str, kind: str) -> float | None:
    """Return the seconds of a kind that a stage took; `rl` is the sum over arms."""
    return known_sum(
        number(facts.get(kind))
        for name, facts in run.stages.items()
        if name == stage or (stage == "rl" and name.startswith("rl-"))
    )


def _peak_memory(run: Run) -> float | None:
    peaks = _known(number(facts.get("peak_memory_mb")) for facts in run.stages.values())
    return max(peaks, default=None)


def _known(values: Iterable[float | None]) -> list[float]:
    return [value for value in values if value is not None]


def _first(*values: Any) -> Any:
    return next((value for value in values if value is not None), None)
