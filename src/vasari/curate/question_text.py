"""A question as what must agree in a duplicate: its numbers, its symbols, its answer, and its words."""

from __future__ import annotations

import itertools
import re
import unicodedata
import zlib
from collections.abc import Iterable
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from vasari.errors import MissingExtraError
from vasari.records import Prompt

try:
    import rensa
except ImportError as error:
    raise MissingExtraError("near-duplicates need rensa: pip install 'vasari[curate]'") from error

NUM_BANDS, BAND_ROWS = 16, 4
"""Texts of Jaccard similarity s share a band of their MinHashes with probability 1 - (1 - s^4)^16: 0.988 at 0.7."""

_TOKEN = re.compile(r"\d+(?:,\d{3})+(?![\d,])(?:\.\d+)?|\d+(?:\.\d+)?|[^\W\d_]+")
# Capitals that name points, with or without spaces between them: "AB", "A B"; not the first letter of a word.
_POINTS = re.compile(r"(?<![^\W\d_])[A-Z](?:\s?[A-Z])*(?![^\W\d_])")
_LETTER = re.compile(r"(?<![^\W\d_])[a-z](?![^\W\d_])")
# "A" before a word in small letters is an article, and "m" before an angle or an arc is "the measure of".
_NOT_SYMBOLS = re.compile(r"\bA(?=\s+[a-z]{2})|\ba\b|\bm(?=\s*(?:\\|∠|angle\b|arc\b))|\\[a-zA-Z]+")


@dataclass(frozen=True, slots=True)
class QuestionText:
    """The parts of a question that are compared."""

    words: tuple[str, ...]
    """Words and numbers in small letters, without punctuation."""
    numbers: tuple[str, ...]
    """Numbers in canonical form ("1,200.0" is "1200"), sorted, repeated ones repeated."""
    symbols: tuple[str, ...]
    """Names of points (a name and its reverse are one: AB is BA) and single letters, sorted, each once."""

    @property
    def shingles(self) -> frozenset[tuple[str, ...]]:
        """Words and pairs of neighbouring words."""
        return frozenset((word,) for word in self.words) | frozenset(itertools.pairwise(self.words))


def read_question(text: str) -> QuestionText:
    """The compared parts of a question; LaTeX commands are read as words, thin spaces and braces are not."""
    plain = unicodedata.normalize("NFKC", text)
    words = tuple(_canonical(token) if token[0].isdigit() else token.lower() for token in _TOKEN.findall(plain))
    bare = _NOT_SYMBOLS.sub(" ", plain)
    points = {min(name, name[::-1]) for name in ("".join(run.split()) for run in _POINTS.findall(bare))}
    symbols = points | set(_LETTER.findall(bare))
    numbers = tuple(sorted(word for word in words if word[0].isdigit()))
    return QuestionText(words, numbers, tuple(sorted(symbols)))


def jaccard(left: QuestionText, right: QuestionText) -> float:
    """Shared share of the shingles of both, in [0, 1]; two empty questions are the same."""
    a, b = left.shingles, right.shingles
    return len(a & b) / len(a | b) if a or b else 1.0


def containment(part: QuestionText, whole: QuestionText) -> float:
    """Share of the first question's shingles that the second has, in [0, 1]; 0 for an empty question."""
    a = part.shingles
    return len(a & whole.shingles) / len(a) if a else 0.0


def answer_key(prompt: Prompt) -> str:
    """The answer in a comparable form: a choice letter as the text of its option, a number in canonical form."""
    answer = prompt.answer.strip()
    if prompt.choices and len(answer) == 1 and 0 <= ord(answer.upper()) - ord("A") < len(prompt.choices):
        answer = prompt.choices[ord(answer.upper()) - ord("A")].strip()
    if re.fullmatch(r"[+-]?\d[\d,]*(?:\.\d+)?", answer):
        sign = "-" if answer[0] == "-" else ""
        return sign + _canonical(answer.lstrip("+-"))
    return re.sub(r"\s+", "", unicodedata.normalize("NFKC", answer)).lower()


def answers_conflict(left: str, right: str) -> bool:
    """Whether two answer keys are numbers that differ by more than 1%: another problem, not another way to write it."""
    try:
        a, b = float(left), float(right)
    except ValueError:
        return False
    return abs(a - b) > 0.01 * max(abs(a), abs(b))


def band_keys(texts: Iterable[QuestionText], *, seed: int = 1) -> NDArray[np.uint64]:
    """Keys that similar texts share: uint64 [texts, 16], each from 4 of 64 MinHashes (Broder 1997) of the shingles."""
    hashes: list[int] = []
    ends = [0]
    for text in texts:
        tokens = [zlib.crc32(word.encode()) for word in text.words]
        hashes += tokens
        hashes += [(a * 0x9E3779B97F4A7C15 + b * 0xC2B2AE3D27D4EB4F) % 2**64 for a, b in itertools.pairwise(tokens)]
        ends.append(len(hashes))
    if len(ends) == 1:
        return np.zeros((0, NUM_BANDS), dtype=np.uint64)
    matrix = rensa.RMinHash.digest_matrix_from_flat_token_hashes(
        np.array(hashes, dtype=np.uint64), np.array(ends, dtype=np.uint64), NUM_BANDS * BAND_ROWS, seed
    )
    rows = np.array(matrix.to_rows(), dtype=np.uint64).reshape(-1, NUM_BANDS, BAND_ROWS)
    return mix(rows)


def mix(values: NDArray[np.uint64]) -> NDArray[np.uint64]:
    """One 64-bit key for the values along the last axis; FNV-1a over words, with a final shift to spread the high bits."""
    key = np.full(values.shape[:-1], 0xCBF29CE484222325, dtype=np.uint64)
    for place in range(values.shape[-1]):
        key = (key ^ values[..., place]) * np.uint64(0x9E3779B97F4A7C15)
        key ^= key >> np.uint64(29)
    return key


def _canonical(number: str) -> str:
    whole, _, fraction = number.replace(",", "").partition(".")
    fraction = fraction.rstrip("0")
    return (whole.lstrip("0") or "0") + (f".{fraction}" if fraction else "")
