"""Reads training sets and benchmarks from files, and writes the report of their overlap."""

from __future__ import annotations

import dataclasses
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from itertools import islice
from pathlib import Path
from typing import Any

import vasari
from vasari.core.errors import ConfigError, DataError
from vasari.core.files import write_bytes, write_json
from vasari.core.progress import Tell, silent
from vasari.core.records import Prompt
from vasari.curate.match.contamination import ContaminationReport, contamination
from vasari.curate.match.decontaminate import LeakSettings
from vasari.data.prompt_file import SUFFIXES, read_prompts
from vasari.data.sources import SOURCES, BadRow, read_source

SCHEMA_VERSION = 1

_PART = 256
_MAX_SHOWN = 20
"""Prompts of a benchmark that the Markdown page names; the JSON file has all."""


@dataclass(frozen=True, slots=True)
class PromptInput:
    """Input of the contamination search: a prompt file, or a data set `SOURCE[:SPLIT]=FOLDER`."""

    word: str
    """The argument as it was given."""
    path: Path
    source: str = ""
    """Name of the data set; empty for a prompt file."""
    split: str = "train"

    @classmethod
    def parse(cls, word: str) -> PromptInput:
        """Parse a command-line argument that names a prompt file or a public data set.

        Raises:
            ConfigError: The argument is neither a prompt file nor a known source with its folder.
        """
        source, equals, folder = word.partition("=")
        name, _, split = source.partition(":")
        if equals and name in SOURCES:
            return cls(word, Path(folder), name, split or "train")
        if word.endswith(SUFFIXES):
            return cls(word, Path(word))
        raise ConfigError(
            f"{word!r}: expected a prompt file ({', '.join(SUFFIXES)}), or SOURCE=FOLDER or"
            f" SOURCE:SPLIT=FOLDER with one of {', '.join(SOURCES)}"
        )

    @property
    def name(self) -> str:
        """Name by which the contamination report lists this prompt file or data set."""
        if self.source:
            return self.word.partition("=")[0]
        return next(
            self.path.name.removesuffix(end)
            for end in (*SUFFIXES, "")
            if self.path.name.endswith(end)
        )


class _Reader:
    """Reads the prompts of inputs, and counts the rows that cannot be read."""

    def __init__(self, *, images: bool) -> None:
        self._images = images
        self.num_bad = 0
        self.first_bad = ""

    def all(self, one: PromptInput) -> list[Prompt]:
        """Read all prompts of a prompt file or public data set.

        Raises:
            DataError: The input holds no prompt.
        """
        if not one.source:
            prompts = read_prompts(one.path)
            if self._images:
                return prompts
            return [dataclasses.replace(prompt, images=()) for prompt in prompts]
        before = self.num_bad
        prompts = list(self.stream(one))
        if not prompts:
            hint = "" if self.num_bad == before else f", the first row is bad: {self.first_bad}"
            raise DataError(
                f"{one.word}: no prompt could be read{hint}; --text-only reads no images"
            )
        return prompts

    def stream(self, one: PromptInput) -> Iterator[Prompt]:
        """Read the prompts of a public data set, one at a time."""
        for row in read_source(
            one.source, one.path, split=one.split, allow_test=True, images=self._images
        ):
            if isinstance(row, BadRow):
                self.num_bad += 1
                self.first_bad = self.first_bad or f"{row.source}: {row.where}: {row.reason}"
            else:
                yield row


def report_contamination(
    training: Sequence[str],
    benchmarks: Sequence[str],
    *,
    out: Path,
    text_only: bool = False,
    overwrite: bool = False,
    tell: Tell = silent,
) -> ContaminationReport:
    """Search training prompts for benchmark prompts, and write a JSON and a Markdown report.

    Args:
        training: Prompt files or `SOURCE=FOLDER`; together the training set.
        benchmarks: Prompt files or `SOURCE=FOLDER`; each is a row of the table.
        out: Folder of `contamination.json` and `contamination.md`.
        text_only: Read no images; only the rule `text` can find something then.
        overwrite: Replace a report in the same folder.
        tell: Called with the number of training prompts searched, and their total.

    Raises:
        ConfigError: An input is named wrongly, or the folder holds a report.
        DataError: A file cannot be read, or an input holds no prompt.
    """
    page, data = out / "contamination.md", out / "contamination.json"
    if not overwrite and (page.exists() or data.exists()):
        raise ConfigError(
            f"{out}: holds a report already; choose another --out, or replace it with --overwrite"
        )
    train = [PromptInput.parse(word) for word in training]
    tests = [PromptInput.parse(word) for word in benchmarks]
    names = [test.name for test in tests]
    reader = _Reader(images=not text_only)
    # As given where another benchmark has the same name.
    asked = {
        test.word if names.count(test.name) > 1 else test.name: reader.all(test) for test in tests
    }
    files = {one: reader.all(one) for one in train if not one.source}
    expected = sum(map(len, files.values())) if len(files) == len(train) else 0
    streams = (iter(files[one]) if one in files else reader.stream(one) for one in train)
    report = contamination(_parts(streams), asked, num_training=expected, tell=tell)
    if report.num_training == 0:
        raise DataError(
            f"{', '.join(training)}: no training prompt could be read;"
            f" {reader.first_bad or 'there are no rows'}"
        )
    report = dataclasses.replace(
        report, num_bad_rows=reader.num_bad, first_bad_row=reader.first_bad
    )
    facts = {
        "schema": SCHEMA_VERSION,
        "vasari": vasari.__version__,
        "training": list(training),
        "text_only": text_only,
        "rules": LeakSettings().model_dump(exclude={"benchmarks"}),
        "num_bad_rows": report.num_bad_rows,
        "first_bad_row": report.first_bad_row,
    }
    write_json(data, facts | report.as_json())
    write_bytes(page, _page(report, facts).encode())
    return report


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
