"""The card of an exported model: what it is, scores, data, rollouts, recipe, licence."""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import yaml

from vasari.core.markdown import fenced, plain
from vasari.core.records import PURPOSES, Prompt
from vasari.model.chat import SYSTEM_PROMPTS
from vasari.report.inputs import Run, dig, interval, read_pool
from vasari.report.summary import FEW_PROMPTS, best_is_the_start, ledger, paired, score
from vasari.report.tables import PURPOSE_WORDS, model_name

_SPLITS = ("cold_start", "train", "validation", "test", "test_held_out_style")
_MOST = 12
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
        "tags": ["vasari", "sft" if facts.arm == "cold_start" else "grpo"],
    }
    lines = ["---", yaml.safe_dump(header, sort_keys=False).rstrip(), "---", "", f"# {title}", ""]
    lines += [*_what(run, facts, base), ""]
    lines += ["## Use", "", *_use(run, facts), ""]
    lines += ["## Scores", "", *_scores(run, facts), ""]
    lines += ["## Data", "", *_data(run), ""]
    lines += ["## Rollouts", "", *_rollouts(run, facts), ""]
    lines += ["## How it was made", "", *_recipe(run), ""]
    return "\n".join(lines)


def _what(run: Run, facts: CardFacts, base: str | None) -> list[str]:
    source = f"`{base}`" if base else "A base model whose name is not known"
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
        f'model = {kind}.from_pretrained(FOLDER, dtype="auto")\n'
        "processor = AutoProcessor.from_pretrained(FOLDER)"
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


def _data(run: Run) -> list[str]:
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
        value = prompt.metadata.get(key)
        yield value if isinstance(value, str) else ""


def _counts(split: str, what: str, values: Iterable[str]) -> list[str]:
    counts = Counter(values)
    if set(counts) <= {""}:
        return []
    shown = counts.most_common(_MOST)
    named = ", ".join(f"{plain(value) or '(none)'} {count:,}" for value, count in shown)
    more = f", and {len(counts) - _MOST} others" if len(counts) > _MOST else ""
    return [f"* {split.replace('_', ' ')}, by {what}: {named}{more}"]


def _rollouts(run: Run, facts: CardFacts) -> list[str]:
    arm = run.arms.get(facts.arm)
    if arm is None:
        return ["No rollouts were spent on these weights."]
    spent = ledger(arm)
    lines = ["| spent on | rollouts | tokens |", "| --- | ---: | ---: |"]
    for purpose in PURPOSES:
        counts = [spent[unit].get(purpose) for unit in ("rollouts", "tokens")]
        cells = " | ".join("-" if count is None else f"{count:,}" for count in counts)
        lines.append(f"| {PURPOSE_WORDS[purpose]} | {cells} |")
    return lines


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
