"""Parses questions for comparison into their numbers, symbols and words."""

from __future__ import annotations

import itertools
import math
import re
import zlib
from collections import Counter
from collections.abc import Iterable
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from vasari.core.errors import MissingExtraError
from vasari.core.records import Prompt
from vasari.curate.match.exact_text import option_key, split_options
from vasari.curate.match.notation import read_notation

try:
    import rensa
except ImportError as error:
    raise MissingExtraError("near-duplicates need rensa: pip install 'vasari[curate]'") from error

NUM_BANDS, BAND_ROWS = 16, 4
"""Texts of Jaccard similarity s share a band of their MinHashes with probability 1 - (1 - s^4)^16:
0.988 at 0.7."""

_LONGEST_VALUE = 12  # tokens of an answer that is read as one number
_MEASURED = frozenset({"angle", "arc"})


@dataclass(frozen=True, slots=True)
class QuestionText:
    """A question parsed for comparison: its words, numbers and symbols."""

    words: tuple[str, ...]
    """Words and numbers in small letters, without punctuation and operators."""
    numbers: tuple[str, ...]
    """Numbers written in digits, in canonical form ("1,200.0" is "1200"), sorted, repeated ones
    repeated."""
    spelled: tuple[str, ...]
    """Numbers written in words."""
    symbols: tuple[str, ...]
    """Names of points (a name and its reverse are one: AB is BA) and single letters, sorted, each
    once."""

    @property
    def shingles(self) -> frozenset[tuple[str, ...]]:
        """Set of the question's words and its pairs of neighbouring words."""
        return frozenset((word,) for word in self.words) | frozenset(itertools.pairwise(self.words))


def read_question(text: str) -> QuestionText:
    r"""Parse a question into the words, numbers and symbols by which it is compared.

    Notation does not matter: △ABC, `\triangle ABC` and "triangle ABC" are read alike.
    """
    reading = read_notation(text)
    words = tuple([token.lower() for token in reading.tokens if token[0].isalnum()])
    numbers = [word for word in words if word[0].isdigit()]
    if reading.spelled:
        numbers = list((Counter(numbers) - Counter(reading.spelled)).elements())
    return QuestionText(words, tuple(sorted(numbers)), reading.spelled, _symbols(reading.tokens))


def _symbols(tokens: tuple[str, ...]) -> tuple[str, ...]:
    """Names of points and single letters.

    Single capitals in a row are one name, whatever stands between them.
    """
    found: set[str] = set()
    name = ""
    for place, letter in enumerate(tokens):
        if len(letter) > 1 and not letter.isupper():  # most are: a word or a number
            if name:
                found.add(min(name, name[::-1]))
                name = ""
            continue
        after = tokens[place + 1] if place + 1 < len(tokens) else ""
        article = letter == "A" and not name and len(after) > 1 and after.islower()
        if len(letter) == 1 and letter.isupper() and not article:
            name += letter
            continue
        found.add(min(name, name[::-1]))
        name = ""
        if letter.isupper() and not article:
            found.add(min(letter, letter[::-1]))
        # "m" before an angle, an arc or a name is "the measure of".
        elif (
            len(letter) == 1
            and letter.islower()
            and letter != "a"
            and not (letter == "m" and _is_measured(after))
        ):
            found.add(letter)
    found.add(min(name, name[::-1]))
    return tuple(sorted(found - {""}))


def _is_measured(after: str) -> bool:
    return after.lower() in _MEASURED or after.isupper()


def jaccard(left: QuestionText, right: QuestionText) -> float:
    """Jaccard similarity of two questions' words and word pairs, in [0, 1]; 1 if both are empty."""
    a, b = left.shingles, right.shingles
    return len(a & b) / len(a | b) if a or b else 1.0


def containment(part: frozenset[tuple[str, ...]], whole: frozenset[tuple[str, ...]]) -> float:
    """Share of a question's words and word pairs that another has, in [0, 1]; 0 without any."""
    return len(part & whole) / len(part) if part else 0.0


def answer_key(prompt: Prompt) -> str:
    """Normalise a prompt's answer to a text by which two answers can be compared.

    A choice letter becomes the text of its option, a number its canonical form.
    """
    answer, options = prompt.answer.strip(), prompt.choices
    if len(answer.strip("().")) == 1 and answer.strip("().").isalpha():
        options = options or split_options(prompt.question)[1] or ()
        place = ord(answer.strip("().").upper()) - ord("A")
        if 0 <= place < len(options):
            return option_key(options[place])
    return option_key(answer)


def answers_conflict(left: str, right: str) -> bool:
    """Whether two answers, as given by `answer_key`, are numbers that differ by more than 1%.

    Products of numbers, pi and roots are numbers too.
    """
    a, b = _value(left), _value(right)
    return a is not None and b is not None and abs(a - b) > 0.01 * max(abs(a), abs(b))


def _value(key: str) -> float | None:
    """The number that a key such as "- 3/5", "2 * sqrt 13" or "6 π cm" stands for, or None."""
    tokens = key.split(" ")
    value = 1.0
    if tokens[0] == "-":
        value, tokens = -1.0, tokens[1:]
    while tokens and tokens[-1].isalpha() and tokens[-1] != "π":
        tokens = tokens[:-1]  # a unit
    if not 0 < len(tokens) <= _LONGEST_VALUE or "/ (" in key:
        return None
    divide = root = False
    for word in tokens:
        if word in ("*", "(", ")"):
            continue
        if word in ("/", "sqrt"):
            divide, root = divide or word == "/", word == "sqrt"
            continue
        number = math.pi if word == "π" else _number(word)
        if number is None or (divide and number == 0):
            return None
        number = math.sqrt(number) if root else number
        value = value / number if divide else value * number
        divide = root = False
    return value


def _number(token: str) -> float | None:
    top, _, bottom = token.partition("/")
    if not re.fullmatch(r"\d{1,30}(?:\.\d{1,30})?(?:/\d{1,9})?", token) or not float(bottom or 1):
        return None
    return float(top) / float(bottom or 1)


def band_keys(texts: Iterable[QuestionText], *, seed: int = 1) -> NDArray[np.uint64]:
    """16 hash keys of each text; similar texts are likely to share a key: uint64 [texts, 16].

    Each key is made of 4 of 64 MinHashes (Broder 1997) of the words and word pairs.
    """
    known: dict[str, int] = {}
    hashes: list[int] = []
    ends = [0]
    for text in texts:
        for word in text.words:
            if word not in known:
                known[word] = zlib.crc32(word.encode())
            hashes.append(known[word])
        ends.append(len(hashes))
    if len(ends) == 1:
        return np.zeros((0, NUM_BANDS), dtype=np.uint64)
    single, bounds = np.array(hashes, dtype=np.uint64), np.array(ends, dtype=np.uint64)
    # Beside each word the pair that it begins; the last word of a text begins none and stands
    # twice, which changes no set.
    pair = single * np.uint64(0x9E3779B97F4A7C15) + np.roll(single, -1) * np.uint64(
        0xC2B2AE3D27D4EB4F
    )
    last = bounds[1:][np.diff(bounds) > 0].astype(np.int64) - 1
    pair[last] = single[last]
    matrix = rensa.RMinHash.digest_matrix_from_flat_token_hashes(
        np.stack([single, pair], axis=1).ravel(), 2 * bounds, NUM_BANDS * BAND_ROWS, seed
    )
    rows = np.array(matrix.to_rows(), dtype=np.uint64).reshape(-1, NUM_BANDS, BAND_ROWS)
    return mix(rows)


def mix(values: NDArray[np.uint64]) -> NDArray[np.uint64]:
    """Hash each row of values (along the last axis) to one 64-bit key.

    FNV-1a over words, with a final shift to spread the high bits.
    """
    key = np.full(values.shape[:-1], 0xCBF29CE484222325, dtype=np.uint64)
    for place in range(values.shape[-1]):
        key = (key ^ values[..., place]) * np.uint64(0x9E3779B97F4A7C15)
        key ^= key >> np.uint64(29)
    return key
