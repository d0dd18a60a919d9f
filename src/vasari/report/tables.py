"""Tables of a run's page: accuracy by model (the paper's table 3), rollouts spent, settings."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any

from vasari.core.errors import ConfigError
from vasari.core.records import PURPOSES
from vasari.report.inputs import NOT_ARMS, Run, dig, interval, known_sum, number, shown
from vasari.report.summary import HELD_OUT, blind, ledger, score
from vasari.run.upgrade import upgrade_recipe

MAX_ROWS = 40
"""Most families or levels in the table of accuracies."""

_NAMES = {
    "base": "Base",
    "cold_start": "Cold start",
    "uniform": "GRPO, uniform",
    "vas": "GRPO, VAS",
}

PURPOSE_WORDS: Mapping[str, str] = {
    "train": "to train",
    "refresh": "to score prompts",
    "screen": "to try prompts out",
    "discarded": "refused by a gate",
}
"""Purpose of rollouts -> its words on the page."""


def model_name(model: str) -> str:
    """Return the name that the page shows for a model, e.g. "GRPO, VAS" for "vas"."""
    return _NAMES.get(model) or f"GRPO, {shown(model, 40)}"


def spent_words(counts: Mapping[str, Any], *, between: str = ", ") -> str:
    """Describe nonzero rollout counts in words, e.g. "24 to train, 48 to score prompts"."""
    known = {purpose: number(counts.get(purpose)) for purpose in PURPOSES}
    return between.join(
        f"{count:,.0f} {PURPOSE_WORDS[purpose]}" for purpose, count in known.items() if count
    )


def models_of(run: Run, order: Sequence[str]) -> list[str]:
    """Return names of the evaluated models: base, cold start, then GRPO runs in reverse `order`."""
    return [name for name in (*NOT_ARMS, *reversed(order)) if run.evaluation.get(name)]


def accuracy_blocks(run: Run, models: Sequence[str]) -> list[dict[str, Any]]:
    """Return accuracy tables with one column per model: by measure, problem family and level.

    Empty rows and tables are left out.
    """
    measures: list[tuple[str, Callable[[str], Any]]] = [
        ("Accuracy, sampled", lambda model: score(run, model, "test", "sampled", "accuracy")),
        *(
            (
                f"{label}@{k}",
                lambda model, kind=kind, k=k: score(run, model, "test", "sampled", kind, k),
            )
            for label, kind in (("pass", "pass_at"), ("maj", "maj_at"))
            for k in _ks(run, models, kind)
        ),
        ("Accuracy, greedy", lambda model: score(run, model, "test", "greedy", "accuracy")),
        (
            "Held-out drawing style",
            lambda model: score(run, model, HELD_OUT, "sampled", "accuracy"),
        ),
        (_blind_label(run, models), lambda model: (blind(run, model) or {}).get("accuracy")),
        ("Majority answer", lambda model: interval((blind(run, model) or {}).get("majority"))),
    ]
    blocks: list[dict[str, Any]] = [
        {
            "title": "Test prompts",
            "rows": [_row(label, models, found) for label, found in measures],
        },
        {"title": "By family", "rows": _split_rows(run, models, "by_category")},
        {"title": "By level", "rows": _split_rows(run, models, "by_difficulty")},
    ]
    for block in blocks:
        block["rows"] = [row for row in block["rows"] if any(row["cells"])]
    return [block for block in blocks if block["rows"]]


def _blind_label(run: Run, models: Sequence[str]) -> str:
    """Return the label of the blind control, which says what was shown in place of the images."""
    for model in models:
        instead = dig(run.evaluation.get(model, {}), "sets", "test", "blind", "decoding", "images")
        if instead:
            return {
                "blank": "Blind: white pages for images",
                "removed": "Blind: without images",
            }.get(str(instead), "Blind")
    return "Blind"


def side_facts(run: Run, models: Sequence[str]) -> list[dict[str, Any]]:
    """Return table rows on answer format, truncation, length and unverifiable rollouts."""
    kinds = (
        ("Answers in the format", "format", "share"),
        ("Truncated rollouts", "truncated", "share"),
        ("Tokens a rollout", "mean_tokens", "number"),
        ("Unverifiable rollouts", "unverifiable", "number"),
    )
    rows = [
        {
            "label": label,
            "kind": kind,
            "cells": [
                number(dig(run.evaluation[m], "sets", "test", "sampled", key)) for m in models
            ],
        }
        for label, key, kind in kinds
    ]
    return [row for row in rows if any(cell is not None for cell in row["cells"])]


def family_by_level(run: Run, before: str, after: str | None) -> dict[str, Any] | None:
    """Return each problem family's accuracy by level before and after training; None if unknown."""
    first, last = (
        dig(run.evaluation.get(name or "", {}), "sets", "test", "by_category_difficulty") or {}
        for name in (before, after)
    )
    if not isinstance(first, Mapping) or not isinstance(last, Mapping):
        return None
    keys = [key for key in {**first, **last} if "/" in key]
    families, levels = (
        sorted({key.rsplit("/", 1)[part] for key in keys})[:MAX_ROWS] for part in (0, 1)
    )
    if not families:
        return None
    rows = [
        {
            "family": shown(family, 40),
            "cells": [
                (interval(first.get(f"{family}/{level}")), interval(last.get(f"{family}/{level}")))
                for level in levels
            ],
        }
        for family in families
    ]
    return {"levels": [shown(level, 20) for level in levels], "rows": rows}


def spending(run: Run, order: Sequence[str]) -> list[dict[str, Any]]:
    """Return bars of the rollouts and tokens each training run spent by purpose, on one scale."""
    spent = {name: ledger(run.arms[name]) for name in order if name in run.arms}
    found = []
    for unit in ("rollouts", "tokens"):
        counts = {name: by_unit[unit] for name, by_unit in spent.items()}
        totals = {name: known_sum(counts[name].values()) for name in counts}
        largest = max((total for total in totals.values() if total), default=0)
        bars = [
            {
                "arm": name,
                "total": total,
                "parts": [
                    {"purpose": purpose, "count": count, "width": 100 * count / largest}
                    for purpose in PURPOSES
                    if (count := counts[name][purpose])
                ],
            }
            for name, total in totals.items()
            if total
        ]
        if bars:
            found.append({"unit": unit, "bars": bars})
    return found


def stage_rows(run: Run) -> list[dict[str, Any]]:
    """Return a table row for each finished stage: its name, time, peak memory and results."""
    first = {"tasks": 0, "sft": 1, "evaluate": 3}
    rows = []
    for name in sorted(run.stages, key=lambda stage: (first.get(stage, 2), stage)):
        stage = run.stages[name]
        facts = {
            key: value
            for key, value in stage.items()
            if key not in ("schema", "stage", "seconds", "cpu_seconds", "peak_memory_mb")
        }
        rows.append(
            {
                "name": shown(name, 60),
                "seconds": number(stage.get("seconds")),
                "memory": number(stage.get("peak_memory_mb")),
                "facts": [
                    (shown(key.removeprefix("num_"), 40).replace("_", " "), _fact(key, value))
                    for key, value in list(facts.items())[:12]
                ],
            }
        )
    return rows


def _fact(key: str, value: Any) -> str:
    is_spent = key in ("rollouts", "tokens") and isinstance(value, Mapping)
    return spent_words(value) if is_spent else plain(value)


def essentials(run: Run) -> list[tuple[str, str]]:
    """Return the run's main settings as pairs of label and text, such as ("Seed", "0")."""
    recipe, settings = _under_todays_keys(run.recipe), run.settings
    lines = [
        *_prompt_lines(dig(recipe, "prompts", "tasks"), dig(recipe, "prompts", "files")),
        ("Model", _model_words(dig(recipe, "model"))),
        ("Cold start", _facts(dig(recipe, "sft"), "target", "epochs", "batch_prompts")),
        ("", _facts(dig(recipe, "sft", "trl"), "learning_rate")),
        *(
            ("Sampler", _joined(plain(arm), _facts(run.sampler_settings(arm))))
            for arm in run.arm_names or [dig(recipe, "sampler", "name")]
        ),
        *_grpo_lines(recipe),
        (
            "Evaluation",
            _facts(dig(recipe, "evaluate"), "num_rollouts", "temperature", "top_p", "max_tokens"),
        ),
        ("Seed", plain(settings.get("seed", dig(recipe, "seed")))),
        ("Versions", _facts(settings.get("versions"))),
        ("Machine", _facts(settings.get("machine"))),
        ("First command", _command(settings.get("command"))),
        ("Last command", _command(dig(settings, "last", "command"))),
        ("", plain(dig(settings, "last", "started"))),
        *_other_versions(settings),
    ]
    return [(label, text) for label, text in lines if text]


def _command(words: Any) -> str:
    """A command as it can be given again; runs of before have `__main__.py` for `vasari`."""
    said = plain(words)
    return (
        f"vasari {said.removeprefix('__main__.py ')}" if said.startswith("__main__.py ") else said
    )


def _other_versions(settings: Mapping[str, Any]) -> list[tuple[str, str]]:
    """Versions of the run's last command that differ from those of its first."""
    first, last = (dig(settings, *keys) for keys in (("versions",), ("last", "versions")))
    if not isinstance(first, Mapping) or not isinstance(last, Mapping):
        return []
    others = {name: value for name, value in last.items() if first.get(name) != value}
    return [("Versions, last command", _facts(others))] if others else []


def _under_todays_keys(recipe: Mapping[str, Any]) -> Mapping[str, Any]:
    """Upgrade an older version's recipe to the current keys; unchanged if that is not possible."""
    try:
        return upgrade_recipe(recipe, tell=lambda _: None)
    except ConfigError:
        return recipe


def _prompt_lines(tasks: Any, files: Any) -> list[tuple[str, str]]:
    generated = _facts(tasks, "families", "num_cold_start", "num_train", "num_test")
    stored = _facts(files, "train", "cold_start", "test")
    spoiled = _facts(tasks, "wrong_label_share", "guessable_share", "unsolvable_share")
    return [
        ("Prompts", f"generated: {generated}" if tasks else ""),
        ("Prompts", f"from files: {stored}" if files else ""),
        ("Planted imperfections", spoiled),
    ]


def _model_words(model: Any) -> str:
    if new := dig(model, "new"):
        return f"made from scratch: {_facts(new, 'hidden', 'layers', 'heads')}"
    return plain(dig(model, "path"))


def _grpo_lines(recipe: Mapping[str, Any]) -> list[tuple[str, str]]:
    grpo = dig(recipe, "grpo")
    keys = ("prompts_per_batch", "rollouts_per_prompt", "steps", "updates_per_batch")
    batch = "{} prompts \u00d7 {} rollouts a batch, {} steps, {} updates a batch".format(
        *(plain(dig(grpo, key)) for key in keys)
    )
    loss = ("loss_type", "learning_rate", "beta", "temperature", "epsilon", "epsilon_high")
    return [
        ("GRPO", batch if grpo else ""),
        ("", _facts(dig(grpo, "trl"), *loss, "max_completion_length")),
        ("Reward", _reward_words(recipe)),
        ("Gate", _gate_words(grpo)),
    ]


def _joined(*parts: str) -> str:
    return " \u00b7 ".join(filter(None, parts))


def plain(value: Any) -> str:
    """Return a setting's value as short text; "" for None and empty containers."""
    if value is None or value in ({}, []):
        return ""
    if isinstance(value, bool):
        return "yes" if value else "no"
    if isinstance(value, float):
        return f"{value:.4g}"
    if isinstance(value, Mapping):
        return shown(
            ", ".join(f"{key} {plain(part)}" for key, part in list(value.items())[:20]), 300
        )
    if isinstance(value, list):
        return shown(", ".join(plain(part) for part in value[:20]), 300)
    return shown(value, 300)


def _facts(content: Any, *keys: str) -> str:
    """Join settings as `name value`, the named ones or all; unset and zero ones are left out."""
    if not isinstance(content, Mapping):
        return ""
    named = {key: content.get(key) for key in keys or content}
    return _joined(
        *(
            f"{shown(key, 40).replace('_', ' ')} {plain(value)}"
            for key, value in named.items()
            if value and plain(value)
        )
    )


def _reward_words(recipe: Mapping[str, Any]) -> str:
    """Describe the reward as its terms with their weights."""
    rewards = dig(recipe, "grpo", "rewards")
    said = []
    for term in rewards if isinstance(rewards, list) else []:
        weight = number(dig(term, "weight")) if isinstance(term, Mapping) else None
        times = "" if weight in (None, 1) else f"{plain(float(weight))} \u00d7 "
        said.append(times + _named_words(term))
    return " + ".join(said)


def _gate_words(grpo: Any) -> str:
    gate = dig(grpo, "gate")
    # In 0.1.0 it was a bare name.
    named = gate if isinstance(gate, Mapping) else {"name": gate}
    if named.get("name") == "two_stage":
        named = {"name": "two_stage", "settings": dig(grpo, "screening")}
    return _named_words(named)


def _named_words(named: Mapping[str, Any]) -> str:
    """Return the name of a recipe's entry with its settings in brackets."""
    settings = _facts(named.get("settings"))
    return f"{plain(named.get('name'))}{f' ({settings})' if settings else ''}"


def _row(label: str, models: Sequence[str], found: Callable[[str], Any]) -> dict[str, Any]:
    cells = [found(model) for model in models]
    best = max((cell["mean"] for cell in cells if cell), default=None)
    compared = not label.startswith(("Majority answer", "Blind")) and len(models) > 1
    return {"label": label, "cells": cells, "best": best if compared else None}


def _split_rows(run: Run, models: Sequence[str], split: str) -> list[dict[str, Any]]:
    labels: dict[str, None] = {}
    for model in models:
        found = dig(run.evaluation[model], "sets", "test", split)
        labels |= dict.fromkeys(found) if isinstance(found, Mapping) else {}
    return [
        _row(
            shown(label, 40),
            models,
            lambda model, label=label: score(run, model, "test", split, label),  # type: ignore[misc]
        )
        for label in sorted(labels)[:MAX_ROWS]
    ]


def _ks(run: Run, models: Sequence[str], kind: str) -> list[str]:
    """Return the numbers k with pass@k or maj@k of some model, without 1, which is the accuracy."""
    found = {
        str(k)
        for model in models
        for k in dig(run.evaluation[model], "sets", "test", "sampled", kind) or {}
    }
    return sorted((k for k in found if k.isdigit() and k != "1"), key=int)
