"""Finds which benchmark prompts are in a training set, to report with the benchmark's scores."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, get_args

from vasari.core.progress import Tell, silent
from vasari.core.records import Prompt
from vasari.curate.match.decontaminate import BenchmarkIndex, LeakSettings, Occurrence, Rule
from vasari.curate.match.image_hash import index_images

RULES: tuple[Rule, ...] = get_args(Rule)
"""Rules by which a benchmark prompt is recognised, the surest first."""

MAX_LISTED = 10
"""Training prompts that are listed for one benchmark prompt; all are counted."""


@dataclass(frozen=True, slots=True, kw_only=True)
class FoundItem:
    """A benchmark prompt found in the training set, with the training prompts that repeat it."""

    id: str
    rule: Rule
    """The surest rule that found the benchmark prompt."""
    num_training: int
    """Number of training prompts that repeat it."""
    training: tuple[tuple[str, Rule, str], ...]
    """(id, rule, measured values) of those training prompts, the surest first; at most
    `MAX_LISTED`."""


@dataclass(frozen=True, slots=True, kw_only=True)
class BenchmarkContamination:
    """Result for one benchmark: which of its prompts are in the training set."""

    name: str
    num_prompts: int
    num_unreadable: int
    """Prompts whose image cannot be read: they were not searched for by figure."""
    found: tuple[FoundItem, ...]
    """Prompts found, in the benchmark's order."""
    num_training: int
    """Number of different training prompts that repeat any prompt of the benchmark."""

    @property
    def share(self) -> float:
        """Share of the benchmark's prompts found in the training set, in [0, 1]; less is better."""
        return len(self.found) / self.num_prompts if self.num_prompts else 0.0

    @property
    def by_rule(self) -> dict[str, int]:
        """For each search rule, the number of benchmark prompts found by it and no surer rule."""
        counts = Counter(item.rule for item in self.found)
        return {rule: counts[rule] for rule in RULES}


@dataclass(frozen=True, slots=True, kw_only=True)
class ContaminationReport:
    """Result of searching one training set for the prompts of several benchmarks."""

    num_training: int
    num_training_unreadable: int
    """Training prompts whose image cannot be read."""
    benchmarks: tuple[BenchmarkContamination, ...]
    num_bad_rows: int = 0
    """Rows of the files that held no prompt."""
    first_bad_row: str = ""

    def as_json(self) -> dict[str, Any]:
        """Return the report as a dict for a JSON file, without the rows that held no prompt."""
        return {
            "num_training": self.num_training,
            "num_training_unreadable": self.num_training_unreadable,
            "benchmarks": [_benchmark_json(row) for row in self.benchmarks],
        }

    def as_markdown(self) -> str:
        """Return the report as a Markdown table with a row for each benchmark."""
        head = (
            "benchmark",
            "prompts",
            "in the training set",
            "share",
            *RULES,
            "training prompts",
            "image unreadable",
        )
        lines = [f"| {' | '.join(head)} |", "| --- " * len(head) + "|"]
        for row in self.benchmarks:
            counts = [f"{row.by_rule[rule]:,}" for rule in RULES]
            cells = [
                _cell(row.name),
                f"{row.num_prompts:,}",
                f"{len(row.found):,}",
                f"{row.share:.2%}",
                *counts,
            ]
            lines.append(
                f"| {' | '.join([*cells, f'{row.num_training:,}', f'{row.num_unreadable:,}'])} |"
            )
        return "\n".join(lines) + "\n"


@dataclass(slots=True)
class _Search:
    """One benchmark, and the matches found so far between it and the training set."""

    name: str
    index: BenchmarkIndex
    num_unreadable: int
    hits: dict[int, list[tuple[Occurrence, str]]] = field(default_factory=dict)
    """(occurrence, training id) by place of the benchmark prompt, at most `MAX_LISTED` by rule."""
    counts: Counter[int] = field(default_factory=Counter)
    num_training: int = 0

    def add(self, occurrence: Occurrence, prompt: str) -> None:
        self.counts[occurrence.benchmark] += 1
        hits = self.hits.setdefault(occurrence.benchmark, [])
        if sum(hit.rule == occurrence.rule for hit, _ in hits) < MAX_LISTED:
            hits.append((occurrence, prompt))

    def result(self) -> BenchmarkContamination:
        found = []
        for place in sorted(self.hits):
            hits = sorted(self.hits[place], key=lambda hit: RULES.index(hit[0].rule))
            found.append(
                FoundItem(
                    id=self.index.prompts[place].id,
                    rule=hits[0][0].rule,
                    num_training=self.counts[place],
                    training=tuple(
                        (prompt, hit.rule, hit.detail) for hit, prompt in hits[:MAX_LISTED]
                    ),
                )
            )
        return BenchmarkContamination(
            name=self.name,
            num_prompts=len(self.index.prompts),
            num_unreadable=self.num_unreadable,
            found=tuple(found),
            num_training=self.num_training,
        )


def contamination(
    parts: Iterable[Sequence[Prompt]],
    benchmarks: Mapping[str, Sequence[Prompt]],
    settings: LeakSettings | None = None,
    *,
    num_training: int = 0,
    tell: Tell = silent,
) -> ContaminationReport:
    """Return which prompts of each benchmark a training set repeats, copied or reworded.

    Memory: that of the benchmarks' indices, and one part of the training set.

    Args:
        parts: The training set in successive chunks.
        benchmarks: Prompts by name of the benchmark.
        settings: When a training prompt counts as a benchmark prompt.
        num_training: How many training prompts there will be, for `tell`; 0 when not known.
        tell: Called with the number of training prompts searched, and their total.
    """
    searches = []
    for name, prompts in benchmarks.items():
        images = index_images(prompts, crops=True)
        searches.append(
            _Search(name, BenchmarkIndex(prompts, images, settings), len(images.dropped))
        )
    done = unreadable = 0
    for part in parts:
        images = index_images(part)
        unreadable += len(images.dropped)
        for search in searches:
            holders = set()
            for occurrence in search.index.occurrences(part, images):
                search.add(occurrence, part[occurrence.prompt].id)
                holders.add(occurrence.prompt)
            search.num_training += len(holders)
        done += len(part)
        tell(done, max(done, num_training))
    return ContaminationReport(
        num_training=done,
        num_training_unreadable=unreadable,
        benchmarks=tuple(search.result() for search in searches),
    )


def _benchmark_json(row: BenchmarkContamination) -> dict[str, Any]:
    items = [
        {
            "id": item.id,
            "rule": item.rule,
            "num_training": item.num_training,
            "training": [
                {"id": prompt, "rule": rule, "detail": detail}
                for prompt, rule, detail in item.training
            ],
        }
        for item in row.found
    ]
    return {
        "name": row.name,
        "num_prompts": row.num_prompts,
        "num_found": len(row.found),
        "share": row.share,
        "by_rule": row.by_rule,
        "num_training": row.num_training,
        "num_unreadable": row.num_unreadable,
        "found": items,
    }


def _cell(text: str) -> str:
    return text.replace("|", "\\|").replace("\n", " ")
