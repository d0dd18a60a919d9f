"""Read a benchmark's prompts, and separate what the model is shown from what scoring needs."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from vasari.core.errors import ConfigError, DataError
from vasari.core.records import Prompt
from vasari.data.images import read_image_bytes
from vasari.data.prompt_file import read_prompts
from vasari.data.sources import BadRow, read_source
from vasari.evaluate.benchmarks.catalogue import BENCHMARKS, Benchmark
from vasari.evaluate.benchmarks.forms import QuestionForm
from vasari.evaluate.benchmarks.settings import BenchmarkSet, BenchmarkSettings
from vasari.evaluate.collect import Entry, draw_prompts, hex_digest, prompt_digest

_FIELDS = {"category", "difficulty"}


@dataclass(frozen=True, slots=True, kw_only=True)
class LoadedSet:
    """Prompts read for one benchmark set, with its split, its system prompt and unreadable rows."""

    name: str
    benchmark: Benchmark
    split: str
    entries: tuple[Entry, ...]
    bad_rows: tuple[BadRow, ...]
    system: str
    """System prompt that belongs to the wording of the set's prompts."""

    @property
    def published_size(self) -> int | None:
        """Number of prompts in the benchmark's split as published; None where it is not known."""
        return self.benchmark.sizes.get(self.split)


def load_set(name: str, settings: BenchmarkSettings, *, folder: Path) -> LoadedSet:
    """Read the prompts of the benchmark set that the settings name `name`, as a `LoadedSet`.

    Args:
        name: Name of the set.
        settings: Settings of the evaluation, which describe the set.
        folder: Folder to which paths are relative.

    Raises:
        ConfigError: An unknown source or split, or a category by a field that no prompt has.
        DataError: Files are missing or of another shape, or nothing is left to ask.
    """
    chosen, benchmark, form = settings.sets[name], settings.benchmark(name), settings.form(name)
    split = chosen.split or benchmark.split
    prompts: list[Prompt] = []
    bad: list[BadRow] = []
    for found in _found(chosen, benchmark, folder, split):
        if isinstance(found, BadRow):
            bad.append(found)
        elif _is_kept(found, chosen.only):
            prompts.append(found)
    if not prompts:
        why = f"; the first bad row: {bad[0].where}: {bad[0].reason}" if bad else ""
        raise DataError(
            f"set {name!r}: {folder / chosen.folder} has no prompt to ask ({len(bad)} bad"
            f" rows{why})"
        )
    _check_categories(name, chosen, prompts)
    drawn = draw_prompts(prompts, chosen.limit, settings.seed)
    return LoadedSet(
        name=name,
        benchmark=benchmark,
        split=split,
        entries=tuple(_entry(prompt, benchmark, form, split) for prompt in drawn),
        bad_rows=tuple(bad),
        system=form.system,
    )


def _entry(prompt: Prompt, benchmark: Benchmark, form: QuestionForm, split: str) -> Entry:
    cluster = cluster_of(prompt, benchmark)
    return Entry(
        prompt=prompt,
        asked=asked_prompt(prompt, form),
        digest=prompt_digest(prompt),
        cluster=cluster,
        facts=output_facts(prompt, benchmark, split=split, cluster=cluster),
    )


def asked_prompt(prompt: Prompt, form: QuestionForm) -> Prompt:
    """Return the prompt as a model gets it: the worded question and the images, but no answer."""
    text = form.text(replace(prompt, answer="", solution=None))
    return Prompt(id=prompt.id, question=text, answer="", images=prompt.images)


def cluster_of(prompt: Prompt, benchmark: Benchmark) -> str:
    """Return the id of a prompt's cluster, the prompts that share its problem or its exact images.

    A prompt without images is a cluster of its own.
    """
    if benchmark.cluster != "image":
        return str(prompt.stated.get(benchmark.cluster) or prompt.id)
    if not prompt.images:
        return prompt.id
    digest = hashlib.blake2b(digest_size=8)
    for ref in prompt.images:
        digest.update(read_image_bytes(ref, where=f"prompt {prompt.id!r}"))
    return digest.hexdigest()


def labels_of(prompt: Prompt, field: str) -> tuple[str, ...]:
    """Return a prompt's category labels in the field `field`, as a tuple (empty if it has none)."""
    value: Any = getattr(prompt, field) if field in _FIELDS else prompt.stated.get(field)
    values = value if isinstance(value, list | tuple) else [value]
    return tuple(dict.fromkeys(str(item) for item in values if item not in (None, "")))


def output_facts(
    prompt: Prompt, benchmark: Benchmark, *, split: str, cluster: str
) -> dict[str, Any]:
    """Return the columns of an output row that tell scoring protocols about the prompt."""
    facts = prompt.stated
    row: dict[str, Any] = {
        "benchmark": benchmark.name,
        "split": split,
        "cluster": cluster,
        "question": prompt.question,
        "choices": list(prompt.choices) if prompt.choices else None,
        # The reference as published, which MathVista compares by its text; the prompt's own is the
        # option's letter.
        "answer": str(prompt.metadata.get("native_answer") or prompt.answer),
    }
    row |= {
        name: facts[name]
        for name in ("question_type", "answer_type", "precision", "unit")
        if name in facts
    }
    named = {field: labels_of(prompt, field) for field in benchmark.categories.values()}
    row["metadata"] = {field: values[0] for field, values in named.items() if len(values) == 1}
    if benchmark.name not in BENCHMARKS:  # A scorer of the user's may need any fact of the prompt.
        row["metadata"] = {**facts, **row["metadata"]}
        row["kind"] = prompt.kind
    return row


def question_key(entry: Entry, *, system: str, facts: Mapping[str, Any]) -> str:
    """Return a hex digest of all that determines a prompt's rollouts, except the model.

    That is the text of the turn, the prompt with its images, the system prompt and `facts`.
    """
    what = {"system": system, "text": entry.asked.question, "prompt": entry.digest, **facts}
    return hex_digest(json.dumps(what, sort_keys=True).encode())


def _check_categories(name: str, chosen: BenchmarkSet, prompts: Sequence[Prompt]) -> None:
    """Raise if a category names a field that no prompt has: its table would be missing."""
    known = _FIELDS.union(*(prompt.stated for prompt in prompts))
    unknown = [field for field in (chosen.categories or {}).values() if field not in known]
    if unknown:
        listed = ", ".join(sorted(known))
        raise ConfigError(
            f"set {name!r}: categories: no prompt has the field {unknown[0]!r}; there are {listed}"
        )


def _found(
    chosen: BenchmarkSet, benchmark: Benchmark, folder: Path, split: str
) -> Iterable[Prompt | BadRow]:
    place = folder / chosen.folder
    if chosen.prompts is not None:
        return read_prompts(place / chosen.prompts)
    source = chosen.source or benchmark.source
    if source.endswith((".yaml", ".yml")):
        source = str(folder / source)
    return read_source(source, place, split=split, allow_test=True)


def _is_kept(prompt: Prompt, only: Mapping[str, Sequence[str]]) -> bool:
    for field, values in only.items():
        if field not in _FIELDS and field not in prompt.stated:
            known = ", ".join(sorted(_FIELDS | set(prompt.stated)))
            raise ConfigError(
                f"only: prompt {prompt.id!r} has no field {field!r}; there are {known}"
            )
        if not set(labels_of(prompt, field)) & set(values):
            return False
    return True
