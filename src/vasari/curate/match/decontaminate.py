"""Finds training prompts that repeat benchmark prompts, copied or reworded, by figure and text.

A prompt leaks a benchmark prompt when one of three rules holds; each needs the same
numbers, and no conflict of numeric answers. Notation and options do not count.

* `copy`: the figures agree (cut by up to 5%, resized, recompressed) and at least 0.8 of the
  benchmark question's words and pairs of words are in the prompt, with the same symbols.
* `paraphrase`: the figures agree, the answers are equal, and the symbols are the same or the text
  tells the same problem; else the wording does not matter.
* `text`: where one side has no image to compare, 0.8 of the words of a question of 8 words or more,
  or a text that tells the same problem (`same_problem`): other words, clauses in another order,
  points under other names.

The texts are compared first, so an image is compared only with those of benchmark prompts that have
the same numbers.
"""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Literal

import numpy as np
from pydantic import Field, field_validator

from vasari.core.errors import DataError
from vasari.core.records import Prompt
from vasari.core.settings import Settings
from vasari.curate.match.image_hash import CROP_RADIUS, NUM_CROPS, ImageIndex, hamming
from vasari.curate.match.problem_text import (
    ProblemText,
    name_overlap,
    read_problem,
    same_problem,
)
from vasari.curate.match.question_text import (
    QuestionText,
    answer_key,
    answers_conflict,
    containment,
    read_question,
)
from vasari.curate.stage import Dropped


class BenchmarkEntry(Settings):
    """Settings of one benchmark on disk, whose prompts are kept out of the training sets."""

    source: str
    folder: str
    """Relative to the recipe; `${NAME}` stands for an environment variable."""
    name: str | None = Field(default=None, pattern=r"^[A-Za-z0-9][A-Za-z0-9_.-]*$")
    """Name of the benchmark in reports; by default that of the data set, and with its folder's
    where two have it."""
    split: str = "test"
    limit: int | None = Field(default=None, ge=1)
    images: bool = True
    """False compares texts alone, where the benchmark's images are not here."""

    @field_validator("name")
    @classmethod
    def _is_no_count(cls, name: str | None) -> str | None:
        # Reports count the rows that could not be read, or not whole, under such names.
        if name is not None and name.endswith(("_unread", "_text_only")):
            raise ValueError("a name may not end in _unread or _text_only")
        return name


class LeakSettings(Settings):
    """Settings of the search for benchmark prompts in training data: benchmarks and thresholds."""

    benchmarks: list[BenchmarkEntry] = Field(default_factory=list)
    """Benchmarks that a recipe names; `BenchmarkIndex` does not read them, it is given prompts."""
    max_bits: int = Field(default=CROP_RADIUS, ge=0, le=256)
    """Bits of 256 by which a prompt's image may differ from the nearest of the 25 hashes of a
    benchmark image."""
    min_containment: float = Field(default=0.8, gt=0, le=1)
    """Share of the benchmark question's words and pairs of words that a copy has."""
    min_words: int = Field(default=8, ge=1)
    """Questions of fewer words are not compared by words alone."""
    paraphrases: bool = True
    """Look for other wordings over the same figure."""


_LEAST_NAMES = 0.75

Rule = Literal["copy", "paraphrase", "text"]
"""How a benchmark prompt was recognised."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Occurrence:
    """A training prompt that repeats a benchmark prompt, and the rule that found this match."""

    prompt: int
    """Position of the training prompt among those that were searched."""
    benchmark: int
    """Position of the benchmark prompt."""
    rule: Rule
    shared: float
    """Share of the benchmark question's words and pairs of words that the training prompt has."""
    bits: int | None
    """Bits of 256 by which the figures differ; None where none was compared."""

    @property
    def detail(self) -> str:
        """Measured similarity of the training and the benchmark prompt, as readable text."""
        figure = (
            "no figure compared" if self.bits is None else f"figures {self.bits} of 256 bits apart"
        )
        return f"{self.shared:.2f} of its words, same numbers, {figure}"


@dataclass(frozen=True, slots=True)
class _Reference:
    """One benchmark prompt with its parsed question and normalised answer."""

    prompt: Prompt
    text: QuestionText
    problem: ProblemText
    shingles: frozenset[tuple[str, ...]]
    answer: str
    index: int


class BenchmarkIndex:
    """Index of benchmark prompts that finds the training prompts which repeat one of them.

    Memory: about 10 KB a benchmark prompt, and 800 bytes a distinct image: 75 MB for 7,000 prompts.
    """

    def __init__(
        self, prompts: Sequence[Prompt], images: ImageIndex, settings: LeakSettings | None = None
    ) -> None:
        """Index a benchmark's prompts with their images, from `index_images(prompts, crops=True)`.

        Raises:
            DataError: `images` is of other prompts, or has no crops.
        """
        if len(images.starts) != len(prompts) + 1 or images.codes.shape[1:] != (NUM_CROPS, 4):
            raise DataError(
                f"need index_images(prompts, crops=True) of these {len(prompts)} benchmark prompts"
            )
        self.settings = settings or LeakSettings()
        self.prompts = tuple(prompts)
        self._least_words = min(0.5, self.settings.min_containment)
        self._images = images
        self._references: list[_Reference] = []
        # By numbers and a word: a thousand benchmark prompts have no numbers at all.
        self._by_word: dict[tuple[frozenset[str], str], list[_Reference]] = defaultdict(list)
        self._by_numbers: dict[frozenset[str], list[_Reference]] = defaultdict(list)
        self._by_answer: dict[tuple[frozenset[str], str], list[_Reference]] = defaultdict(list)
        for index, prompt in enumerate(prompts):
            text, problem = read_question(prompt.question), read_problem(prompt.question)
            reference = _Reference(prompt, text, problem, text.shingles, answer_key(prompt), index)
            self._references.append(reference)
            for key in problem.keys:
                if key:
                    self._by_numbers[key].append(reference)
                for word in problem.words or ("",):
                    self._by_word[key, word].append(reference)
                if prompt.images:
                    self._by_answer[key, reference.answer].append(reference)

    def leaks(self, prompts: Sequence[Prompt], images: ImageIndex) -> tuple[Dropped, ...]:
        """Training prompts to drop, in input order, with the first benchmark prompt each repeats.

        Memory: 8 bytes for each pair of a prompt's image and a hash of a benchmark image with the
        same numbers, one prompt at a time. Give the pool in parts to bound the rest.

        Args:
            prompts: Training prompts.
            images: Of these prompts, from `index_images(prompts)`.

        Raises:
            DataError: `images` is of other prompts, or has crops.
        """
        self._check(prompts, images)
        first = (
            next(self._occurrences(prompt, index, images), None)
            for index, prompt in enumerate(prompts)
        )
        return tuple(
            Dropped(
                index=found.prompt,
                id=prompts[found.prompt].id,
                reason=f"benchmark_leak_{found.rule}",
                collided_with=self.prompts[found.benchmark].id,
                detail=found.detail,
            )
            for found in first
            if found is not None
        )

    def occurrences(self, prompts: Sequence[Prompt], images: ImageIndex) -> Iterator[Occurrence]:
        """Yield every match between a training prompt and a benchmark prompt that it repeats.

        Args:
            prompts: Training prompts.
            images: Of these prompts, from `index_images(prompts)`.

        Raises:
            DataError: `images` is of other prompts, or has crops.
        """
        self._check(prompts, images)
        for index, prompt in enumerate(prompts):
            yield from self._occurrences(prompt, index, images)

    def _check(self, prompts: Sequence[Prompt], images: ImageIndex) -> None:
        if len(images.starts) != len(prompts) + 1 or images.codes.ndim != 2:
            raise DataError(
                f"need index_images(prompts, crops=False) of these {len(prompts)} prompts"
            )

    def _occurrences(self, prompt: Prompt, index: int, images: ImageIndex) -> Iterator[Occurrence]:
        problem, answer = read_problem(prompt.question), answer_key(prompt)
        found = self._candidates(problem, answer if prompt.images else None)
        if not found:
            return
        text = read_question(prompt.question)
        shingles = text.shingles
        for reference in (found[place] for place in sorted(found)):
            pictured = bool(prompt.images and reference.prompt.images)
            if answers_conflict(answer, reference.answer):
                continue
            same_names = text.symbols == reference.text.symbols
            shared = containment(reference.shingles, shingles)
            copied = same_names and shared >= self.settings.min_containment
            rule: Rule | None = None
            bits: int | None = None
            if pictured:
                reworded = self.settings.paraphrases and answer == reference.answer != ""
                if copied or (reworded and (same_names or self._retold(problem, reference))):
                    bits = self._bits(index, images, reference.index)
                    if bits <= self.settings.max_bits:
                        rule = "copy" if copied else "paraphrase"
            elif (
                copied
                and len(reference.text.words) >= self.settings.min_words
                # The same words and numbers, but not of the same things, are another problem.
                and name_overlap(problem, reference.problem)[0] >= _LEAST_NAMES
            ) or (self.settings.paraphrases and self._retold(problem, reference)):
                rule = "text"
            if rule is not None:
                yield Occurrence(
                    prompt=index, benchmark=reference.index, rule=rule, shared=shared, bits=bits
                )

    def _candidates(self, problem: ProblemText, answer: str | None) -> dict[int, _Reference]:
        """Benchmark prompts with the same numbers that share enough words.

        Of those with images all that have `answer`, too: a figure may be asked about otherwise.
        """
        found: dict[int, _Reference] = {}
        for key in problem.keys:
            shared = Counter(
                reference.index
                for word in problem.words or ("",)
                for reference in self._by_word.get((key, word), ())
            )
            # A text of names and numbers alone may be told with any words.
            shared.update(
                {
                    reference.index: 0
                    for reference in self._by_numbers.get(key, ())
                    if not (problem.words and reference.problem.words)
                }
            )
            for index, count in shared.items():
                reference = self._references[index]
                fewer = min(len(problem.words), len(reference.problem.words))
                if count >= self._least_words * fewer:
                    found[index] = reference
            if answer is not None:
                found |= {one.index: one for one in self._by_answer.get((key, answer), ())}
        return found

    def _retold(self, problem: ProblemText, reference: _Reference) -> bool:
        return same_problem(reference.problem, problem) is not None

    def _bits(self, index: int, images: ImageIndex, reference: int) -> int:
        """How far the benchmark prompt's images are from the training prompt's, in bits.

        Each is compared with the nearest one, and the worst counts; 256 without images.
        """
        own, theirs = images.codes[images.of(index)], self._images.codes[self._images.of(reference)]
        if not len(own) or not len(theirs):
            return 256
        distances = hamming(own[:, None, None], theirs[None])  # [own, theirs, crops]
        return int(np.max(distances.min(axis=(0, 2))))
