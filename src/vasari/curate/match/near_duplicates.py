"""Finds near-duplicate prompts: those whose figures, words, numbers and answers agree.

Images alone merge different problems (many questions share one figure) and texts alone as well
("Find x."). So two prompts are near-duplicates only if their questions have the same numbers and
symbols, their answers are equal, their words have a Jaccard similarity of at least 0.7, and their
images agree one by one within 32 of 256 bits. A figure that shows another number, or a question
with another number in it, is another problem and is kept.

Candidates come from 16 bands of MinHashes (rensa), so time grows with the number of prompts, not of
pairs, except among prompts with the same words, numbers and answer over different images: those are
compared image by image.
"""

from __future__ import annotations

import hashlib
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import replace

import numpy as np
from numpy.typing import NDArray
from pydantic import Field

from vasari.core.errors import DataError
from vasari.core.records import Prompt
from vasari.core.settings import Settings
from vasari.curate.match.image_hash import COPY_RADIUS, ImageIndex, hamming
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
    prompts: Sequence[Prompt], images: ImageIndex, settings: DuplicateSettings | None = None
) -> tuple[Dropped, ...]:
    """Find the prompts to drop, in order: each nearly equals an earlier prompt that is kept.

    Memory beside the prompts: about 150 bytes a prompt, and 32 for each pair that agrees (at most
    16 a prompt).

    Args:
        prompts: In order of preference: of several copies the first is kept.
        images: Of the same prompts, from `index_images` without crops.
        settings: The thresholds.

    Raises:
        DataError: `images` is of other prompts, or has crops.
    """
    if len(images.starts) != len(prompts) + 1 or images.codes.ndim != 2:
        raise DataError(f"need index_images(prompts, crops=False) of these {len(prompts)} prompts")
    search = _Search(prompts, images, settings or DuplicateSettings())
    facts, words, bands = _read(prompts)
    readable = np.ones(len(prompts), dtype=np.bool_)
    readable[[row.index for row in images.dropped]] = False
    rows = np.flatnonzero(readable)
    same = mix(np.stack([facts, words, _image_keys(images)], axis=1))[rows]
    _, places, group = np.unique(same, return_index=True, return_inverse=True)
    first = rows[places][group]
    found = search.near(np.sort(rows[places]), facts, words, bands)
    copies = np.flatnonzero(first != rows)
    for index, stand_in in zip(rows[copies].tolist(), first[copies].tolist(), strict=True):
        # An exact copy of a prompt that is dropped points at the one that is kept.
        found[index] = (
            replace(found[stand_in], index=index, id=prompts[index].id)
            if stand_in in found
            else search.dropped(stand_in, index, 0, 1.0)
        )
    return tuple(found[index] for index in sorted(found))


class _Search:
    """Searches for near-duplicates among prompts whose numbers, symbols and answers agree."""

    def __init__(
        self, prompts: Sequence[Prompt], images: ImageIndex, settings: DuplicateSettings
    ) -> None:
        self.prompts, self.images, self.settings = prompts, images, settings

    def near(
        self,
        rows: NDArray[np.int64],
        facts: NDArray[np.uint64],
        words: NDArray[np.uint64],
        bands: NDArray[np.uint32],
    ) -> dict[int, Dropped]:
        """Find the prompts of `rows` that nearly equal an earlier prompt which is itself kept."""
        edges: dict[int, dict[int, Dropped]] = {}
        for band in range(NUM_BANDS):
            for group in _groups(mix(np.stack([facts[rows], bands[rows, band]], axis=1)), rows):
                for earlier, drop in self.pairs(group, words, edges):
                    edges.setdefault(drop.index, {})[earlier] = drop
        found: dict[int, Dropped] = {}
        for index in sorted(edges):
            kept = [earlier for earlier in edges[index] if earlier not in found]
            if kept:
                found[index] = edges[index][min(kept)]
        return found

    def pairs(
        self,
        group: NDArray[np.int64],
        words: NDArray[np.uint64],
        known: Mapping[int, Mapping[int, Dropped]],
    ) -> Iterator[tuple[int, Dropped]]:
        """Yield (earlier, later as dropped) for each near-duplicate pair that is not in `known`."""
        texts: dict[int, QuestionText] = {}
        while len(group) > 1:
            pivot, rest = int(group[0]), group[1:]
            bits = self.bits(pivot, rest)
            matched = np.zeros(len(rest), dtype=bool)
            for place in np.flatnonzero(bits <= self.settings.max_bits):
                other = int(rest[place])
                if pivot in known.get(other, ()):
                    matched[place] = True
                    continue
                similarity = (
                    1.0 if words[pivot] == words[other] else self.similarity(pivot, other, texts)
                )
                if similarity >= self.settings.min_similarity:
                    matched[place] = True
                    yield pivot, self.dropped(pivot, other, int(bits[place]), similarity)
            group = rest[~matched]

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
) -> tuple[NDArray[np.uint64], NDArray[np.uint64], NDArray[np.uint32]]:
    """Digests of facts [n] and of words [n], and band keys [n, 16], of each prompt.

    Facts are numbers, symbols, answer and number of images.
    """
    facts, words = np.zeros(len(prompts), dtype=np.uint64), np.zeros(len(prompts), dtype=np.uint64)
    bands = np.zeros((len(prompts), NUM_BANDS), dtype=np.uint32)
    for start in range(0, len(prompts), _CHUNK):
        chunk = prompts[start : start + _CHUNK]
        texts = [read_question(prompt.question) for prompt in chunk]
        for index, (prompt, text) in enumerate(zip(chunk, texts, strict=True), start):
            parts = (
                " ".join(text.numbers),
                " ".join(text.symbols),
                answer_key(prompt),
                str(len(prompt.images)),
            )
            facts[index] = _digest("\0".join(parts))
            words[index] = _digest(" ".join(text.words))
        # Half of a key's bits: what they confuse is only compared for nothing, and these are the
        # largest part of the memory.
        bands[start : start + len(chunk)] = band_keys(texts) >> np.uint64(32)
    return facts, words, bands


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


def _groups(keys: NDArray[np.uint64], rows: NDArray[np.int64]) -> Iterator[NDArray[np.int64]]:
    """Rows that share a key, ascending, two or more at a time."""
    order = np.argsort(keys, kind="stable")
    cuts = np.flatnonzero(np.diff(keys[order])) + 1
    starts, ends = np.concatenate([[0], cuts]), np.concatenate([cuts, [len(keys)]])
    for place in np.flatnonzero(ends - starts > 1):
        yield rows[order[starts[place] : ends[place]]]
