"""Finds near-duplicate prompts: those whose figures, words, numbers and answers agree.

Without pictures, one word, number or sign makes another problem of a question, so two prompts are
near-duplicates only if they have the same words, numbers, signs and options and equal answers;
notation, case, punctuation and instructions around the question do not count (`exact_text`).

With pictures, images alone merge different problems (many questions share one figure) and texts
alone as well ("Find x."). So the questions must have the same numbers and symbols, equal answers
and words with a Jaccard similarity of at least 0.7, and the images agree one by one within 32 of
256 bits. A figure that shows another number, or a question with another number in it, is another
problem and is kept.

Candidates with pictures come from 16 bands of MinHashes (rensa), so time grows with the number of
prompts, not of pairs, except among prompts with the same words, numbers and answer over different
images: those are compared image by image.
"""

from __future__ import annotations

import hashlib
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from functools import partial

import numpy as np
from numpy.typing import NDArray
from pydantic import Field

from vasari.core.errors import DataError
from vasari.core.progress import Tell, silent
from vasari.core.records import Prompt
from vasari.core.settings import Settings
from vasari.curate.match.exact_text import exact_text
from vasari.curate.match.image_hash import COPY_RADIUS, ImageIndex, hamming
from vasari.curate.match.pair_work import Keys, PairWork, groups
from vasari.curate.match.question_text import (
    NUM_BANDS,
    QuestionText,
    answer_key,
    band_keys,
    jaccard,
    mix,
    read_question,
)
from vasari.curate.stage import Dropped

_CHUNK = 4096  # questions read at once: about 20 MB


class DuplicateSettings(Settings):
    """Settings of the search for near-duplicates: when two prompts count as the same problem."""

    max_bits: int = Field(default=COPY_RADIUS, ge=0, le=256)
    """Bits of 256 by which the hashes of two copies of an image may differ."""
    min_similarity: float = Field(default=0.7, gt=0, le=1)
    """Least Jaccard similarity of the words; below 0.6 the MinHash bands miss more than one pair in
    nine."""


def near_duplicates(
    prompts: Sequence[Prompt],
    images: ImageIndex,
    settings: DuplicateSettings | None = None,
    *,
    tell: Tell = silent,
) -> tuple[Dropped, ...]:
    """Find the prompts to drop, in order: each nearly equals an earlier prompt that is kept.

    Memory beside the prompts: about 20 bytes a prompt, 100 more with images, and 32 for each pair
    that agrees (at most 16 a prompt).

    Args:
        prompts: In order of preference: of several copies the first is kept.
        images: Of the same prompts, from `index_images` without crops.
        settings: The thresholds.
        tell: Called with the work done and the total, in the time that reading one prompt takes;
            the total grows with the square of the prompts that share words over different images,
            and is estimated anew while they are read.

    Raises:
        DataError: `images` is of other prompts, or has crops.
    """
    if len(images.starts) != len(prompts) + 1 or images.codes.ndim != 2:
        raise DataError(f"need index_images(prompts, crops=False) of these {len(prompts)} prompts")
    settings = settings or DuplicateSettings()
    work = PairWork(len(prompts), tell)
    readable = np.ones(len(prompts), dtype=np.bool_)
    readable[[row.index for row in images.dropped]] = False
    pictured = readable & (np.diff(images.starts) > 0)
    texts = _read(prompts, pictured, readable & ~pictured, work)
    found = _same_texts(prompts, np.flatnonzero(readable & ~pictured), texts)
    search = _Search(prompts, images, settings, work)
    rows = np.flatnonzero(pictured)
    same = mix(np.stack([texts.facts[rows], texts.words[rows], _image_keys(images)[rows]], axis=1))
    _, places, group = np.unique(same, return_index=True, return_inverse=True)
    first = rows[places][group]
    found |= search.near(np.sort(rows[places]), texts)
    copies = np.flatnonzero(first != rows)
    for index, stand_in in zip(rows[copies].tolist(), first[copies].tolist(), strict=True):
        # An exact copy of a prompt that is dropped points at the one that is kept.
        found[index] = (
            replace(found[stand_in], index=index, id=prompts[index].id)
            if stand_in in found
            else search.dropped(stand_in, index, 0, 1.0)
        )
    work.finish()
    return tuple(found[index] for index in sorted(found))


@dataclass(frozen=True, slots=True)
class _Texts:
    """Digests of the prompts' texts."""

    facts: NDArray[np.uint64]
    """[prompts] of numbers, symbols, answer and number of images; of all without images."""
    words: NDArray[np.uint64]
    """[prompts] of the words; of the letters as they were written, without images."""
    bands: NDArray[np.uint32]
    """[prompts with images, 16] band keys."""
    band_rows: NDArray[np.int64]
    """[prompts] place in `bands`."""

    def keys(self, rows: NDArray[np.int64]) -> Iterator[NDArray[np.uint64]]:
        """Keys that near-duplicates among these prompts with images may share, one at a time.

        The first stands for all words, each of the others for a band of them.
        """
        facts, bands = self.facts[rows], self.bands[self.band_rows[rows]]
        yield mix(np.stack([facts, self.words[rows]], axis=1))
        for band in range(NUM_BANDS):
            yield mix(np.stack([facts, bands[:, band]], axis=1))


def _same_texts(
    prompts: Sequence[Prompt], rows: NDArray[np.int64], texts: _Texts
) -> dict[int, Dropped]:
    """Find the prompts without images whose text is that of an earlier one which is kept."""
    found: dict[int, Dropped] = {}
    for group in groups(texts.facts[rows], rows):
        # Case counts only between texts that are not all capitals or all small (0).
        kept: dict[int, int] = {}
        for index, case in zip(group.tolist(), texts.words[group].tolist(), strict=True):
            earlier = kept.get(case, kept.get(0, -1)) if case else next(iter(kept.values()), -1)
            if earlier < 0:
                kept[case] = index
            else:
                found[index] = Dropped(
                    index=index,
                    id=prompts[index].id,
                    reason="near_duplicate",
                    collided_with=prompts[earlier].id,
                    detail="same words, numbers, signs, options and answer, no images",
                )
    return found


class _Search:
    """Searches for near-duplicates among prompts whose numbers, symbols and answers agree."""

    def __init__(
        self,
        prompts: Sequence[Prompt],
        images: ImageIndex,
        settings: DuplicateSettings,
        work: PairWork,
    ) -> None:
        self.prompts, self.images, self.settings, self.work = prompts, images, settings, work

    def near(self, rows: NDArray[np.int64], texts: _Texts) -> dict[int, Dropped]:
        """Find the prompts of `rows` that nearly equal an earlier prompt which is itself kept."""
        edges: dict[int, dict[int, Dropped]] = {}
        self.work.plan(texts.keys(rows), texts.words[rows])
        for place, key in enumerate(texts.keys(rows)):
            for group in groups(key, rows):
                own = texts.words[group]
                # The first key is of the words themselves; what it brought together is compared.
                if place and (own == own[0]).all():
                    continue
                for earlier, drop in self.pairs(group, own if place else None, edges):
                    edges.setdefault(drop.index, {})[earlier] = drop
                self.work.finish_group(len(group))
        found: dict[int, Dropped] = {}
        for index in sorted(edges):
            kept = [earlier for earlier in edges[index] if earlier not in found]
            if kept:
                found[index] = edges[index][min(kept)]
        return found

    def pairs(
        self,
        group: NDArray[np.int64],
        words: NDArray[np.uint64] | None,
        known: Mapping[int, Mapping[int, Dropped]],
    ) -> Iterator[tuple[int, Dropped]]:
        """Yield (earlier, later as dropped) for each near-duplicate pair that is not in `known`.

        With `words`, the digests of their words, only of pairs whose words differ.
        """
        texts: dict[int, QuestionText] = {}
        while len(group) > 1:
            pivot, rest = int(group[0]), group[1:]
            bits = self.bits(pivot, rest)
            close = bits <= self.settings.max_bits
            if words is not None:
                close &= words[1:] != words[0]
            matched = np.zeros(len(rest), dtype=bool)
            for place in np.flatnonzero(close):
                other = int(rest[place])
                if pivot in known.get(other, ()):
                    matched[place] = True
                    continue
                similarity = 1.0 if words is None else self.similarity(pivot, other, texts)
                if similarity >= self.settings.min_similarity:
                    matched[place] = True
                    yield pivot, self.dropped(pivot, other, int(bits[place]), similarity)
            self.work.compared(len(rest))
            group = rest[~matched]
            if words is not None:
                words = words[1:][~matched]

    def similarity(self, pivot: int, other: int, texts: dict[int, QuestionText]) -> float:
        """Jaccard similarity of two questions' words; `texts` caches the parsed questions."""
        for index in (pivot, other):
            if index not in texts:
                texts[index] = read_question(self.prompts[index].question)
        return jaccard(texts[pivot], texts[other])

    def bits(self, pivot: int, rest: NDArray[np.int64]) -> NDArray[np.int64]:
        """Largest distance in bits between corresponding images of `pivot` and of each of `rest`.

        Shape [rest]; all prompts have as many images as the pivot.
        """
        worst = np.zeros(len(rest), dtype=np.int64)
        for place, own in enumerate(self.images.of(pivot)):
            theirs = self.images.members[self.images.starts[rest] + place]
            worst = np.maximum(worst, hamming(self.images.codes[own], self.images.codes[theirs]))
        return worst

    def dropped(self, earlier: int, later: int, bits: int, similarity: float) -> Dropped:
        """Build the record of the later prompt as dropped, with the earlier prompt it repeats."""
        figure = f"images {bits} of 256 bits apart" if len(self.images.of(later)) else "no images"
        return Dropped(
            index=later,
            id=self.prompts[later].id,
            reason="near_duplicate",
            collided_with=self.prompts[earlier].id,
            detail=f"words {similarity:.2f} alike, {figure}, same numbers, symbols and answer",
        )


def _read(
    prompts: Sequence[Prompt],
    pictured: NDArray[np.bool_],
    plain: NDArray[np.bool_],
    work: PairWork,
) -> _Texts:
    """Read the texts of the prompts with images, and of those without, into digests."""
    facts, words = np.zeros(len(prompts), dtype=np.uint64), np.zeros(len(prompts), dtype=np.uint64)
    texts = _Texts(
        facts=facts,
        words=words,
        bands=np.zeros((int(pictured.sum()), NUM_BANDS), dtype=np.uint32),
        band_rows=np.cumsum(pictured) - 1,
    )
    for start in range(0, len(prompts), _CHUNK):
        questions: list[QuestionText] = []
        stop = min(start + _CHUNK, len(prompts))
        for index in range(start, stop):
            if plain[index]:
                exact = exact_text(prompts[index], answer_key(prompts[index]))
                facts[index] = _digest(exact.key)
                words[index] = _digest(exact.cases) if exact.cases else 0
            elif pictured[index]:
                questions.append(read_question(prompts[index].question))
                facts[index] = _digest(_facts(prompts[index], questions[-1]))
                words[index] = _digest(" ".join(questions[-1].words))
        if questions:
            first = int(texts.band_rows[start:stop][pictured[start:stop]][0])
            # Half of a key's bits: what they confuse is only compared for nothing, and these are
            # the largest part of the memory.
            texts.bands[first : first + len(questions)] = band_keys(questions) >> np.uint64(32)
        work.read(stop, partial(_so_far, texts, pictured[:stop]))
    return texts


def _so_far(texts: _Texts, pictured: NDArray[np.bool_]) -> Keys:
    rows = np.flatnonzero(pictured)
    return texts.keys(rows), texts.words[rows]


def _facts(prompt: Prompt, text: QuestionText) -> str:
    """What must be equal in two prompts with images: numbers, symbols, answer, number of images."""
    # "one" is a pronoun as well.
    numbers = sorted([*text.numbers, *(number for number in text.spelled if number != "1")])
    parts = (
        " ".join(numbers),
        " ".join(text.symbols),
        answer_key(prompt),
        str(len(prompt.images)),
    )
    return "\0".join(parts)


def _digest(text: str) -> int:
    return int.from_bytes(
        hashlib.blake2b(text.encode(errors="surrogatepass"), digest_size=8).digest(), "little"
    )


def _image_keys(images: ImageIndex) -> NDArray[np.uint64]:
    """One key for the hashes of each prompt's images, in order: [prompts]."""
    keys = np.zeros(len(images.starts) - 1, dtype=np.uint64)
    codes = (
        mix(images.codes)[images.members] if len(images.members) else np.zeros(0, dtype=np.uint64)
    )
    counts = np.diff(images.starts)
    for place in range(int(counts.max(initial=0))):
        has = np.flatnonzero(counts > place)
        keys[has] = mix(np.stack([keys[has], codes[images.starts[has] + place]], axis=1))
    return keys
