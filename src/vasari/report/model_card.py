"""The card of an exported model: what it is, scores, data, rollouts, recipe, licence."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import yaml

from vasari.core.markdown import fenced, plain
from vasari.model.chat import SYSTEM_PROMPTS
from vasari.report.card_counts import data_lines, rollout_lines
from vasari.report.inputs import Run, dig, interval
from vasari.report.summary import (
    FEW_PROMPTS,
    best_is_the_start,
    paired,
    score,
    shrunk_from,
)
from vasari.report.tables import model_name

_HUB_NAME = re.compile(r"[A-Za-z0-9][\w.-]*/[\w.-]+")
_ABSOLUTE = re.compile(r"(?:[/~\\]|[A-Za-z]:[/\\])")
_SECRET = re.compile(r"key|token|secret|password|credential", re.IGNORECASE)
_SECRET_VALUE = re.compile(r"(?:hf_|sk-|ghp_|AKIA)\w{8,}")
_LEFT_OUT = "(left out)"


@dataclass(frozen=True, slots=True, kw_only=True)
class CardFacts:
    """What a card says that is not in the run's folder, or that the user states."""

    arm: str
    """Name of the exported arm (GRPO run), or `cold_start`."""
    which: str
    """`best` or `last` weights of the arm."""
    dtype: str
    num_parameters: int
    is_merged: bool
    sees_images: bool
    fingerprint: str
    """Of the exported weights as they lie in the run, to tell whether its scores are theirs."""
    base: str | None = None
    """Hub name of the base model; None: as the recipe has it."""
    licence: str | None = None
    """Identifier of the licence, as the user states it; None: unknown."""


def make_model_card(run: Run, facts: CardFacts) -> str:
    """Return the card in Markdown, with the YAML header that the Hugging Face hub reads.

    Text from the run is escaped. Paths of a machine, addresses and keys are left out.
    """
    base = facts.base or _hub_name(dig(run.recipe, "model", "path"))
    title = plain(str(dig(run.recipe, "name") or "model"))
    header = {
        "license": facts.licence or "unknown",
        **({"base_model": base} if base else {}),
        "library_name": "transformers",
        "pipeline_tag": "image-text-to-text" if facts.sees_images else "text-generation",
        "tags": [
            "vasari",
            "sft" if facts.arm == "cold_start" else "grpo",
            *(["trial"] if shrunk_from(run) else []),
        ],
    }
    lines = ["---", yaml.safe_dump(header, sort_keys=False).rstrip(), "---", "", f"# {title}", ""]
    lines += [*_trial(run), *_what(run, facts, base), ""]
    lines += ["## Use", "", *_use(run, facts), ""]
    lines += ["## Scores", "", *_scores(run, facts), ""]
    lines += ["## Data", "", *data_lines(run), ""]
    lines += ["## Rollouts", "", *rollout_lines(run, facts.arm), ""]
    lines += ["## How it was made", "", *_recipe(run), ""]
    return "\n".join(lines)


def _trial(run: Run) -> list[str]:
    named = shrunk_from(run)
    if named is None:
        return []
    what = (
        "few prompts and few steps"
        if named == dig(run.recipe, "model", "path")
        else f"a copy of {_shown_model(named)} in tiny dimensions with random weights, taught the"
        " form of an answer, then few prompts and few steps"
    )
    return [
        f"> **A trial, not a model to use.** `vasari train --shrink` ran a recipe in small: {what}."
        " It shows that the recipe runs; its scores say nothing of the model that the recipe"
        " names.",
        "",
    ]


def _shown_model(path: str) -> str:
    """A hub name as code, or words for a folder, whose path is this machine's."""
    return f"`{path}`" if _hub_name(path) else "the recipe's model"


def _what(run: Run, facts: CardFacts, base: str | None) -> list[str]:
    source = f"`{base}`" if base else "A base model whose name is not known"
    shrunk = shrunk_from(run)
    if shrunk is not None and shrunk != dig(run.recipe, "model", "path"):
        source = f"A small random copy of {_shown_model(shrunk)}"
    how = "supervised fine-tuning on worked reasoning"
    if facts.arm != "cold_start":
        sampler = plain(facts.arm)
        how = f"GRPO on prompts that the sampler {sampler} chose ({facts.which} weights)"
        if "cold_start" in run.evaluation or run.cold_start:
            how = f"supervised fine-tuning, then {how}"
    version = plain(str(dig(run.settings, "versions", "vasari") or "of unknown version"))
    merged = ", a low-rank adapter merged in" if facts.is_merged else ""
    licence = (
        f"Licence: {plain(facts.licence)}, as stated by whoever exported it."
        if facts.licence
        else "Licence of the base model and of the data: unknown: fill in."
    )
    return [
        f"{source}, trained by {how} with Vasari {version}. {facts.num_parameters:,} parameters in"
        f" {facts.dtype}{merged}.",
        "",
        licence,
    ]


def _use(run: Run, facts: CardFacts) -> list[str]:
    kind = "AutoModelForImageTextToText" if facts.sees_images else "AutoModelForCausalLM"
    code = (
        f"from transformers import AutoProcessor, {kind}\n\n"
        'folder = "."  # the folder that this card lies in, or its name on the hub\n'
        f'model = {kind}.from_pretrained(folder, dtype="auto")\n'
        "processor = AutoProcessor.from_pretrained(folder)"
    )
    named = str(dig(run.recipe, "model", "system_prompt") or "none")
    system = SYSTEM_PROMPTS.get(named, named)
    said = ["", "It was trained with this system prompt:", "", *fenced(system)] if system else []
    return [*fenced(code, "python"), *said]


def _scores(run: Run, facts: CardFacts) -> list[str]:
    models = [name for name in ("base", "cold_start", facts.arm) if run.evaluation.get(name)]
    models = list(dict.fromkeys(models))
    if not models:
        return ["Not evaluated."]
    decoding = dig(run.evaluation[models[-1]], "decoding") or {}
    lines = [
        f"Accuracy on the run's own test prompts, in percent, with 95% intervals by prompt."
        f" Sampled: {dig(decoding, 'num_rollouts')} rollouts a prompt, temperature"
        f" {dig(decoding, 'temperature')}, top-p {dig(decoding, 'top_p')}, at most"
        f" {dig(decoding, 'max_tokens')} tokens.",
        "",
        "| model | prompts | sampled | greedy |",
        "| --- | ---: | ---: | ---: |",
    ]
    for name in models:
        sampled = score(run, name, "test", "sampled", "accuracy")
        greedy = score(run, name, "test", "greedy", "accuracy")
        count = sampled["n"] if sampled else "-"
        lines.append(
            f"| {plain(model_name(name))} | {count} | {_percent(sampled)} | {_percent(greedy)} |"
        )
    start = "cold_start" if "cold_start" in models else "base"
    gap = paired(run, facts.arm, start)
    if gap:
        lines += [
            "",
            f"{plain(model_name(facts.arm))} minus {plain(model_name(start))}, paired by prompt:"
            f" {100 * gap['mean']:+.1f} points ({100 * gap['low']:+.1f} to"
            f" {100 * gap['high']:+.1f}, n = {gap['n']}).",
        ]
    return lines + _cautions(run, facts, models)


def _cautions(run: Run, facts: CardFacts, models: Sequence[str]) -> list[str]:
    lines = []
    if facts.which == "best" and best_is_the_start(run, facts.arm):
        lines.append(
            "No step of GRPO was better on the validation prompts than its start: these are the"
            " weights that it began with."
        )
    stored = dig(run.evaluation.get(facts.arm, {}), "fingerprint")
    if facts.arm not in models:
        lines.append("The exported weights were not evaluated.")
    elif stored and stored != facts.fingerprint:
        lines.append(
            f"The scores of {plain(model_name(facts.arm))} are those of other weights of the same"
            " run than the exported ones."
        )
    sizes = [
        found["n"]
        for name in models
        if (found := score(run, name, "test", "sampled", "accuracy")) and found["n"]
    ]
    if sizes and min(sizes) < FEW_PROMPTS:
        lines.append(f"{min(sizes)} test prompts are few: the intervals above are wide.")
    return [text for line in lines for text in ("", f"> {line}")]


def _recipe(run: Run) -> list[str]:
    text = yaml.safe_dump(shareable(dict(run.recipe)), sort_keys=False, allow_unicode=True)
    versions = dig(run.settings, "versions")
    named = (
        ", ".join(f"{plain(name)} {plain(value)}" for name, value in versions.items())
        if isinstance(versions, Mapping)
        else "unknown"
    )
    return [f"Versions: {named}.", "", *fenced(text, "yaml")]


def shareable(value: Any, key: str = "") -> Any:
    """Return settings without what is this machine's or secret.

    Of a path outside the recipe's folder the last part is left; addresses, and what looks like a
    key, are left out.
    """
    if isinstance(value, Mapping):
        return {name: shareable(part, str(name)) for name, part in value.items()}
    if isinstance(value, list | tuple):
        return [shareable(part, key) for part in value]
    if not isinstance(value, str):
        return value
    if "://" in value or _SECRET_VALUE.search(value) or (_SECRET.search(key) and value):
        return _LEFT_OUT
    if key != "system_prompt" and (_ABSOLUTE.match(value) or value.startswith("..")):
        return re.split(r"[/\\]", value.rstrip("/\\"))[-1]
    return value


def _hub_name(path: Any) -> str | None:
    """The name of a hub's model; None for a folder's path."""
    named = isinstance(path, str) and _HUB_NAME.fullmatch(path) is not None
    return path if named else None


def _percent(cell: Mapping[str, Any] | None) -> str:
    found = interval(cell)
    if found is None:
        return "-"
    mean = f"{100 * found['mean']:.1f}"
    if found["low"] is None or found["high"] is None:
        return mean
    return f"{mean} ({100 * found['low']:.1f} to {100 * found['high']:.1f})"
