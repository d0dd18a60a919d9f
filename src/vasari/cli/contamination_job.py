"""Training prompts against benchmarks -> which benchmark prompts were trained on, as JSON and a
Markdown table.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from itertools import islice
from pathlib import Path
from typing import Any

from rich.box import SIMPLE_HEAD
from rich.console import Console
from rich.table import Table

import vasari
from vasari.core.errors import ConfigError, DataError
from vasari.core.files import write_bytes, write_json
from vasari.core.progress import stage
from vasari.core.records import Prompt
from vasari.curate.match.contamination import RULES, ContaminationReport, contamination
from vasari.curate.match.decontaminate import LeakSettings
from vasari.data.prompt_file import SUFFIXES, read_prompts
from vasari.data.sources import SOURCES, BadRow, read_source

SCHEMA_VERSION = 1

_PART = 256
_MAX_SHOWN = 20
"""Prompts of a benchmark that the Markdown page names; the JSON file has all."""


@dataclass(frozen=True, slots=True)
class PromptInput:
    """A prompt file, or a public data set in its own layout: `SOURCE=FOLDER`,
    `SOURCE:SPLIT=FOLDER`.
    """

    word: str
    """As given."""
    path: Path
    source: str = ""
    """Name of the data set; empty for a prompt file."""
    split: str = "train"

    @property
    def name(self) -> str:
        """What the report calls it."""
        if self.source:
            return self.word.partition("=")[0]
        return next(
            self.path.name.removesuffix(end)
            for end in (*SUFFIXES, "")
            if self.path.name.endswith(end)
        )


@dataclass(slots=True)
class _BadRows:
    """Rows that held no prompt: counted, the first one kept."""

    count: int = 0
    first: str = ""

    def add(self, row: BadRow) -> None:
        self.count += 1
        self.first = self.first or f"{row.source}: {row.where}: {row.reason}"


class _Reader:
    """Prompts of an input."""

    def __init__(self, *, images: bool) -> None:
        self._images = images
        self.bad = _BadRows()

    def all(self, one: PromptInput) -> list[Prompt]:
        """All prompts of an input.

        Raises:
            DataError: There is none.
        """
        if not one.source:
            prompts = read_prompts(one.path)
            return prompts if self._images else [replace(prompt, images=()) for prompt in prompts]
        before = self.bad.count
        prompts = list(self.stream(one))
        if not prompts:
            hint = "" if self.bad.count == before else f", the first row is bad: {self.bad.first}"
            raise DataError(
                f"{one.word}: no prompt could be read{hint}; --text-only reads no images"
            )
        return prompts

    def stream(self, one: PromptInput) -> Iterator[Prompt]:
        """The prompts of a public data set, one at a time."""
        for row in read_source(
            one.source, one.path, split=one.split, allow_test=True, images=self._images
        ):
            if isinstance(row, BadRow):
                self.bad.add(row)
            else:
                yield row


def read_input(word: str) -> PromptInput:
    """What a word of the command line names.

    Raises:
        ConfigError: It is neither a prompt file nor a known source with its folder.
    """
    source, equals, folder = word.partition("=")
    name, _, split = source.partition(":")
    if equals and name in SOURCES:
        return PromptInput(word, Path(folder), name, split or "train")
    if word.endswith(SUFFIXES):
        return PromptInput(word, Path(word))
    raise ConfigError(
        f"{word!r}: expected a prompt file ({', '.join(SUFFIXES)}), or SOURCE=FOLDER or"
        f" SOURCE:SPLIT=FOLDER with one of {', '.join(SOURCES)}"
    )


def run_contamination(
    training: Sequence[str],
    benchmarks: Sequence[str],
    *,
    out: Path,
    text_only: bool = False,
    overwrite: bool = False,
) -> ContaminationReport:
    """Search the training prompts for benchmark prompts, write `contamination.json` and
    `contamination.md`, print the table.

    Args:
        training: Prompt files or `SOURCE=FOLDER`; together the training set.
        benchmarks: The same; each is a row of the table.
        out: Folder of the two files.
        text_only: Read no images; only the rule `text` can find something then.
        overwrite: Replace a report that lies there.

    Raises:
        ConfigError: An input is named wrongly, or the folder holds a report.
        DataError: A file cannot be read, or an input holds no prompt.
    """
    page, data = out / "contamination.md", out / "contamination.json"
    if not overwrite and (page.exists() or data.exists()):
        raise ConfigError(
            f"{out}: holds a report already; choose another --out, or replace it with --overwrite"
        )
    train, tests = (
        [read_input(word) for word in training],
        [read_input(word) for word in benchmarks],
    )
    reader = _Reader(images=not text_only)
    bad = reader.bad
    with stage("contamination") as tell:
        asked = {_unique(test, tests): reader.all(test) for test in tests}
        files = {one: reader.all(one) for one in train if not one.source}
        expected = sum(map(len, files.values())) if len(files) == len(train) else 0
        streams = (iter(files[one]) if one in files else reader.stream(one) for one in train)
        report = contamination(_parts(streams), asked, num_training=expected, tell=tell)
    if report.num_training == 0:
        raise DataError(
            f"{', '.join(training)}: no training prompt could be read;"
            f" {bad.first or 'there are no rows'}"
        )
    facts = {
        "schema": SCHEMA_VERSION,
        "vasari": vasari.__version__,
        "training": [one.word for one in train],
        "text_only": text_only,
        "rules": LeakSettings().model_dump(exclude={"benchmarks"}),
        "num_bad_rows": bad.count,
        "first_bad_row": bad.first,
    }
    write_json(data, facts | report.as_json())
    write_bytes(page, _page(report, facts).encode())
    _print(report, bad, out)
    return report


def _unique(test: PromptInput, tests: Sequence[PromptInput]) -> str:
    """The name of a benchmark, or the word as given where another has the same name."""
    return test.word if [other.name for other in tests].count(test.name) > 1 else test.name


def _parts(streams: Iterator[Iterator[Prompt]]) -> Iterator[list[Prompt]]:
    for stream in streams:
        while part := list(islice(stream, _PART)):
            yield part


def _page(report: ContaminationReport, facts: dict[str, Any]) -> str:
    lines = [
        "# Benchmark prompts in the training set",
        "",
        (
            f"{report.num_training:,} training prompts ({', '.join(facts['training'])}), vasari"
            f" {facts['vasari']}. {report.num_training_unreadable:,} of them have an image that"
            f" cannot be read, and {facts['num_bad_rows']:,} rows held no prompt."
        ),
        "",
        report.as_markdown(),
        (
            "copy: the same words over the same figure. paraphrase: other words with the same"
            " numbers, symbols and answer over the same figure. text: the same words where no"
            " figure can be compared. A prompt counts by the surest rule that found it."
        ),
    ]
    for row in report.benchmarks:
        if row.found:
            lines += ["", f"## {row.name}", ""]
            for item in row.found[:_MAX_SHOWN]:
                prompt, _, detail = item.training[0]
                more = f" and {item.num_training - 1:,} more" if item.num_training > 1 else ""
                lines.append(f"* `{item.id}`: {item.rule} in `{prompt}`{more} ({detail})")
            if len(row.found) > _MAX_SHOWN:
                lines.append(f"* and {len(row.found) - _MAX_SHOWN:,} more, in contamination.json")
    return "\n".join(lines) + "\n"


def _print(report: ContaminationReport, bad: _BadRows, out: Path) -> None:
    console = Console(highlight=False)
    table = Table(
        title=f"benchmark prompts among {report.num_training:,} training prompts",
        title_justify="left",
        box=SIMPLE_HEAD,
    )
    table.add_column("benchmark", overflow="fold")
    for heading in ("prompts", "found", "share", *RULES):
        table.add_column(heading, justify="right", no_wrap=True)
    for row in report.benchmarks:
        counts = (f"{row.by_rule[rule]:,}" for rule in RULES)
        table.add_row(
            row.name, f"{row.num_prompts:,}", f"{len(row.found):,}", f"{row.share:.2%}", *counts
        )
    console.print(table)
    unreadable = report.num_training_unreadable + sum(
        row.num_unreadable for row in report.benchmarks
    )
    if unreadable:
        console.print(
            f"{unreadable:,} prompts have an image that cannot be read; their figures were not"
            " compared",
            style="yellow",
        )
    if bad.count:
        console.print(f"{bad.count:,} rows hold no prompt, the first: {bad.first}", style="yellow")
    console.print(f"report: {out / 'contamination.md'}, all of it: {out / 'contamination.json'}")
