"""Rules that check the text of a rationale: form, words, language, repetition."""

from __future__ import annotations

import functools
import itertools
import re
import unicodedata
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Final, Literal

LanguageName = Literal["en", "latin", "zh", "ja", "ko", "ru", "ar", "any"]
"""A language that a rationale may be asked for; "latin" is any that is written in Latin letters,
"any" checks nothing."""

REPEATED_NGRAM = 8
"""Length in words of the passages (n-grams) in which repetition is counted."""

MIN_WORDS_FOR_LANGUAGE = 20
"""Least number of words for the check by function words; for shorter texts the script decides."""

# The forms of the most frequent function words of English; a rationale of formulas alone has few,
# one in German none.
_ENGLISH: Final = frozenset(
    {
        *(
            "the",
            "of",
            "and",
            "to",
            "in",
            "is",
            "are",
            "that",
            "for",
            "it",
            "as",
            "was",
            "with",
            "be",
            "by",
            "on",
            "this",
            "we",
        ),
        *(
            "so",
            "which",
            "from",
            "an",
            "or",
            "at",
            "not",
            "have",
            "has",
            "if",
            "then",
            "there",
            "their",
            "each",
            "all",
            "its",
        ),
    }
)
_TAG = re.compile(r"<(/?)(think|answer)>", re.IGNORECASE)
_TAGS_OF_FORM: Final = ["<think>", "</think>", "<answer>", "</answer>"]
# What chat templates and export formats read as a mark of their own.
_FOREIGN_MARK = re.compile(r"<image>|<\|[^|<>]{1,40}\|>|<video>", re.IGNORECASE)
_BOX = re.compile(r"\\boxed\s*\{")
_LATEX = re.compile(r"\\[a-zA-Z]+")
_UNSPACED = r"\u3040-\u30ff\u3400-\u9fff\uac00-\ud7af\uf900-\ufaff\U00020000-\U0003ffff"
_WORD = re.compile(rf"[{_UNSPACED}]|[^\W_{_UNSPACED}]+(?:['\u2019][^\W_{_UNSPACED}]+)*")


@dataclass(frozen=True, slots=True)
class Rationale:
    """A parsed response: the text of its `<think>` block and of its `<answer>` block."""

    thought: str
    """What stands between <think> and </think>, without surrounding space."""
    answer: str
    """What stands between <answer> and </answer>."""


@dataclass(frozen=True, slots=True)
class Language:
    """What identifies a language: the scripts of its letters and its function words."""

    scripts: frozenset[str]
    """First words of the Unicode names of its letters."""
    needed: frozenset[str] = frozenset()
    """Scripts of which at least one letter must be there: kana, without which Han is not
    Japanese."""
    function_words: frozenset[str] = frozenset()


LANGUAGES: Final[Mapping[LanguageName, Language]] = {
    "en": Language(frozenset({"LATIN"}), function_words=_ENGLISH),
    "latin": Language(frozenset({"LATIN"})),
    "zh": Language(frozenset({"CJK"}), needed=frozenset({"CJK"})),
    "ja": Language(
        frozenset({"CJK", "HIRAGANA", "KATAKANA"}), needed=frozenset({"HIRAGANA", "KATAKANA"})
    ),
    "ko": Language(frozenset({"HANGUL", "CJK"}), needed=frozenset({"HANGUL"})),
    "ru": Language(frozenset({"CYRILLIC"}), needed=frozenset({"CYRILLIC"})),
    "ar": Language(frozenset({"ARABIC"}), needed=frozenset({"ARABIC"})),
}


def read_rationale(text: str) -> Rationale | None:
    r"""Parse `<think>...</think><answer>...\boxed{}...</answer>`; None if a text has another form.

    Exactly one block of each, in this order, nothing outside but white space, neither empty, a box
    in the answer, and no mark that a chat template or an export format would take for its own
    (`<image>`, `<|im_end|>`).
    """
    tags = [
        tag.group().lower() for tag in itertools.islice(_TAG.finditer(text), len(_TAGS_OF_FORM) + 1)
    ]
    if tags != _TAGS_OF_FORM or _FOREIGN_MARK.search(text):
        return None
    before, thought, between, answer, after = (piece.strip() for piece in _TAG.split(text)[::3])
    if before or between or after or not thought or not _BOX.search(answer):
        return None
    return Rationale(thought, answer)


def is_cut_off(text: str) -> bool:
    """Whether a response ends inside an open `<think>` or `<answer>` block."""
    tags = _TAG.findall(text)
    return bool(tags) and not tags[-1][0]


def words_of(text: str) -> list[str]:
    """Split a text into its words, numbers included.

    In a script without spaces between words, each character is a word.
    """
    return _WORD.findall(unicodedata.normalize("NFKC", text))


def repeated_share(words: list[str], n: int = REPEATED_NGRAM) -> float:
    """Share of a text's word n-grams that repeat an earlier n-gram, in [0, 1]; 0 without n-grams.

    `1 - distinct / all` n-grams, case ignored. A text that goes on saying one sentence comes near
    1.
    """
    lower = [word.casefold() for word in words]
    count = len(lower) - n + 1
    if count < 1:
        return 0.0
    return 1 - len({tuple(lower[i : i + n]) for i in range(count)}) / count


def is_language(
    text: str, language: LanguageName, *, min_script_share: float, min_function_words: float
) -> bool:
    """Whether a text is in the given language, judged by its script and its function words.

    Args:
        text: A rationale.
        language: The language asked for.
        min_script_share: Least share of letters in its script.
        min_function_words: Least share of its function words among its words, where the language
            has a list (English) and the text has `MIN_WORDS_FOR_LANGUAGE` words of letters.
    """
    if language == "any":
        return True
    wanted = LANGUAGES[language]
    own, latin, other = _count_letters(text, wanted)
    # Formulas have Latin letters in every language; where they outweigh its own, the words around
    # them are not its words.
    if own < min_script_share * (own + other) or own < latin:
        return False
    if wanted.needed and not any(_script(letter) in wanted.needed for letter in text):
        return False
    words = [
        word.casefold()
        for word in words_of(_LATEX.sub(" ", text))
        if word.isalpha() and len(word) > 1
    ]
    if not wanted.function_words or len(words) < MIN_WORDS_FOR_LANGUAGE:
        return True
    return sum(word in wanted.function_words for word in words) >= min_function_words * len(words)


def _count_letters(text: str, language: Language) -> tuple[int, int, int]:
    """Count letters: of the language's script, of Latin if that is another script, of others."""
    own = latin = other = 0
    for letter in unicodedata.normalize("NFKC", _LATEX.sub(" ", text)):
        script = _script(letter)
        if script in language.scripts:
            own += 1
        elif script == "LATIN":
            latin += 1
        elif script and script != "GREEK":
            other += 1
    return own, latin, other


@functools.lru_cache(maxsize=8192)
def _script(letter: str) -> str:
    """First word of a letter's Unicode name, such as "LATIN"; empty for any other character."""
    return (
        unicodedata.name(letter, "UNNAMED").split(" ")[0].split("-")[0] if letter.isalpha() else ""
    )
