"""Evaluate a model on benchmarks: rollouts, verdicts, scores and tables, all in one folder."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import vasari
from vasari.core.errors import ConfigError, StateError
from vasari.core.files import read_json, write_bytes, write_json, write_json_lines
from vasari.core.progress import Tell, silent
from vasari.evaluate.benchmarks.load import LoadedSet, load_set, question_key
from vasari.evaluate.benchmarks.scores import (
    average_of,
    finished,
    prompt_rows,
    score_blind,
    score_pass,
    score_set,
)
from vasari.evaluate.benchmarks.settings import BenchmarkDir, BenchmarkSettings
from vasari.evaluate.benchmarks.table import as_category_markdown, write_tables
from vasari.evaluate.collect import Collected, Entry, Pass, collect, plan_passes
from vasari.evaluate.outputs import OutputKey
from vasari.model.base import Decoding, Policy
from vasari.model.chat import SYSTEM_PROMPTS

if TYPE_CHECKING:  # asking needs packages that scoring does not
    from vasari.verify.judge import JudgeSettings

SCHEMA_VERSION = 1


@dataclass(frozen=True, slots=True, kw_only=True)
class BenchmarkPlan:
    """Plan of an evaluation on benchmarks: loaded prompts, system prompt, rollouts to generate."""

    settings: BenchmarkSettings
    sets: tuple[LoadedSet, ...]
    system: str
    """The system prompt that the policy must send."""
    passes: tuple[Pass, ...]

    @property
    def num_rollouts(self) -> int:
        """Number of rollouts that the whole evaluation needs, those already on disk included."""
        return sum(item.num_rollouts for item in self.passes)


def plan_benchmarks(
    settings: BenchmarkSettings, *, folder: Path, tell: Tell = silent
) -> BenchmarkPlan:
    """Read the prompts of all benchmark sets, and plan the rollouts and their sampling settings.

    Args:
        settings: Which sets, asked how.
        folder: Paths of the settings are relative to it, such as the recipe's.
        tell: Called with the sets read and their number.

    Raises:
        ConfigError: A source or split does not exist, or the sets' prompts have different system
            prompts.
        DataError: The files of a set are missing or of another shape.
    """
    sets = []
    for number, name in enumerate(settings.sets):
        tell(number, len(settings.sets), name)
        sets.append(load_set(name, settings, folder=folder))
    tell(len(sets), len(sets))
    systems = {loaded.system for loaded in sets}
    if settings.system_prompt is not None:
        system = SYSTEM_PROMPTS.get(settings.system_prompt, settings.system_prompt)
    elif len(systems) == 1:
        system = next(iter(systems))
    else:
        raise ConfigError(
            f"prompt {settings.prompt!r} has another system prompt for some sets; evaluate them"
            " apart"
        )

    def keys(_set: str, _pass: str, decoding: Decoding, entries: Sequence[Entry]) -> list[str]:
        facts = decoding.model_dump(include={"temperature", "top_p", "images"})
        facts["seed"] = settings.seed
        return [question_key(entry, system=system, facts=facts) for entry in entries]

    passes = plan_passes(
        {loaded.name: loaded.entries for loaded in sets},
        settings.decodings(),
        seed=settings.seed,
        rollouts_per_part=settings.batch_rollouts,
        keys=keys,
    )
    return BenchmarkPlan(settings=settings, sets=tuple(sets), system=system, passes=tuple(passes))


def open_folder(
    folder: BenchmarkDir, plan: BenchmarkPlan, *, model: dict[str, Any], resume: bool
) -> None:
    """Write the settings to the result folder; raise if it holds outputs that may not be reused.

    Args:
        folder: Folder of the results.
        plan: The evaluation that is wanted.
        model: Facts that tell one model from another.
        resume: Whether outputs in the folder may be used.

    Raises:
        ConfigError: The folder holds outputs and `resume` is not given, or outputs of another model
            or another way to ask.
        StateError: The folder's `recipe.json` cannot be read.
    """
    asked = {
        "schema": SCHEMA_VERSION,
        "vasari": vasari.__version__,
        "model": model,
        "system": plan.system,
        "prompt": plan.settings.prompt,
        "settings": plan.settings.model_dump(mode="json"),
    }
    if folder.outputs("shown").exists():
        if not resume:
            raise ConfigError(
                f"{folder.root}: holds outputs already; go on with --resume, or choose another"
                " --out"
            )
        _refuse_other(folder, asked)
    write_json(folder.recipe, asked)
    rows = [
        {"set": one.name, "where": row.where, "reason": row.reason}
        for one in plan.sets
        for row in one.bad_rows
    ]
    write_json_lines(folder.bad_rows, rows)


def evaluate_benchmarks(
    policy: Policy, plan: BenchmarkPlan, out: Path, *, name: str, tell: Tell = silent
) -> dict[str, Any]:
    """Generate a benchmark plan's missing rollouts, score all rollouts, and return the scores.

    It calls `collect_benchmarks`, then `score_benchmarks`.
    """
    return score_benchmarks(
        plan, collect_benchmarks(policy, plan, out, name=name, tell=tell), out, name=name, tell=tell
    )


def collect_benchmarks(
    policy: Policy, plan: BenchmarkPlan, out: Path, *, name: str, tell: Tell = silent
) -> Collected:
    """Generate the rollouts of a benchmark plan that the result folder `out` does not hold yet.

    They go to `out/outputs.jsonl` and `out/blind/outputs.jsonl`. Rollouts in them are used
    as far as they answer the same questions in the same way; `open_folder` checks that they are of
    the same model.

    Args:
        policy: Answers prompts, with the plan's system prompt.
        plan: From `plan_benchmarks`.
        out: Folder of the results.
        name: Name of the model in the rows.
        tell: Called with the rollouts done and their total.

    Raises:
        DataError: The policy gave too few rollouts.
        StateError: The folder holds something else.
        StorageError: The disk refused.
    """
    folder = BenchmarkDir(out)
    collected = collect(
        policy, plan.passes, lambda item: folder.outputs(item.name), model=name, tell=tell
    )
    write_json_lines(folder.failures, collected.lost)
    return collected


def score_benchmarks(
    plan: BenchmarkPlan,
    collected: Collected,
    out: Path,
    *,
    name: str,
    judge: JudgeSettings | None = None,
    tell: Tell = silent,
) -> dict[str, Any]:
    """Score a benchmark plan's rollouts in folder `out`; write verdicts, `scores.json` and tables.

    Args:
        plan: From `plan_benchmarks`.
        collected: From `collect_benchmarks`.
        out: Folder of the results.
        name: Name of the model in tables.
        judge: Asked about what the rules of `paper` and `vasari` leave undecided; None: no judge.
        tell: Called with the outputs scored and their number.

    Raises:
        StateError: The folder holds something else.
        StorageError: The disk refused.
    """
    folder, settings = BenchmarkDir(out), plan.settings
    scored = {
        chosen: score_pass(settings, folder, chosen, judge=judge, tell=tell)
        for chosen in dict.fromkeys(item.name for item in plan.passes)
    }
    loaded = {one.name: one for one in plan.sets}
    sets: dict[str, dict[str, Any]] = {}
    rows: list[dict[str, Any]] = []
    for item in plan.passes:
        done = finished(item, scored[item.name], _failed(collected, item))
        rows += prompt_rows(done, settings.protocols)
        if item.name == "shown":
            sets[item.set_name] = score_set(loaded[item.set_name], done, settings)
        else:
            sets[item.set_name]["blind"] = score_blind(done, settings)
    result = {
        "schema": SCHEMA_VERSION,
        "model": name,
        "prompt": settings.prompt,
        "system": plan.system,
        "protocols": list(settings.protocols),
        "seed": settings.seed,
        "is_complete": not any(
            one["num_missing"] or one.get("blind", {}).get("num_missing") for one in sets.values()
        ),
        "stopped_by": collected.stopped_by,
        "num_failures": len(collected.lost),
        "judge": judge and {chosen: found.judge for chosen, found in scored.items()},
        "average": average_of(sets, settings.protocols),
        "sets": sets,
    }
    write_json_lines(folder.by_prompt, rows)
    write_json(folder.scores, result)
    write_tables([result], folder)
    write_bytes(folder.categories, as_category_markdown(result).encode())
    return result


def read_scores(out: Path) -> dict[str, Any]:
    """Return the content of `scores.json` (scores on benchmarks) in the result folder `out`.

    Raises:
        StateError: The file is missing or damaged, or is no result on benchmarks.
    """
    path = BenchmarkDir(out).scores
    try:
        found = read_json(path)
    except (OSError, ValueError) as error:
        raise StateError(
            f"{out}: holds no results on benchmarks ({path.name} is missing or damaged)"
        ) from error
    if not isinstance(found, dict) or found.get("schema") != SCHEMA_VERSION or "sets" not in found:
        raise StateError(f"{path}: is no result on benchmarks")
    return found


def _failed(collected: Collected, item: Pass) -> set[OutputKey]:
    return {
        (row["set"], row["id"], row["rollout"])
        for row in collected.lost
        if row["pass"] == item.name
    }


def _refuse_other(folder: BenchmarkDir, asked: dict[str, Any]) -> None:
    try:
        old = _identity(read_json(folder.recipe))
    except (OSError, ValueError, KeyError, TypeError) as error:
        raise StateError(f"{folder.recipe}: cannot be read; choose another --out") from error
    new = _identity(asked)
    differing = [
        f"{key} was {old[key]!r} and is {new[key]!r}" for key in new if old[key] != new[key]
    ]
    if differing:
        raise ConfigError(
            f"{folder.root}: holds outputs of another evaluation ({'; '.join(differing)}); choose"
            " another --out"
        )


def _identity(asked: dict[str, Any]) -> dict[str, Any]:
    """Return the settings that change the content of a rollout.

    `num_rollouts`, `max_tokens`, protocols and sets may change between two runs.
    """
    settings = asked["settings"]
    return {key: asked[key] for key in ("schema", "model", "system", "prompt")} | {
        key: settings[key] for key in ("temperature", "top_p", "seed")
    }
