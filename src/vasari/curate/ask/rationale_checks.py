"""Rules that check the text of a rationale: form, words, language, repetition."""

from __future__ import annotations

import functools
import itertools
import re
import unicodedata
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Final, Literal, Self

from pydantic import Field, model_validator

from vasari.core.records import Outcome, Prompt, Verdict
from vasari.core.settings import Settings
from vasari.model.template_tokens import IMAGE_MARK, template_tokens
from vasari.verify import verify
from vasari.verify.boxes import boxed_answers, with_whole_boxes
from vasari.verify.limits import LimitExceededError

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
# However they are written, and those of other forms: a thought in a thought is none.
_ANY_TAG = re.compile(
    r"<\s{0,4}/?\s{0,4}(?:think|thinking|thoughts?|reasoning|reflection|scratchpad|answer"
    r"|final[_ ]?answer|solution|(?:begin|end)_of_(?:thought|solution))\b[^<>]{0,40}>|\[/?THINK\]",
    re.IGNORECASE,
)
_IMAGE_MARK = re.compile(IMAGE_MARK, re.IGNORECASE)
_BOX = re.compile(r"\\boxed\s*\{")
_LATEX = re.compile(r"\\[a-zA-Z]+")
_UNSPACED = r"\u3040-\u30ff\u3400-\u9fff\uac00-\ud7af\uf900-\ufaff\U00020000-\U0003ffff"
_WORD = re.compile(rf"[{_UNSPACED}]|[^\W_{_UNSPACED}]+(?:['\u2019][^\W_{_UNSPACED}]+)*")


class TextChecks(Settings):
    """Settings of the checks of a rationale's text: its length, language and repetition."""

    min_words: int = Field(default=20, ge=1)
    max_words: int = Field(default=8192, ge=1)
    """Bounds on the number of words of the thought."""
    language: LanguageName = "en"
    min_script_share: float = Field(default=0.95, ge=0.0, le=1.0)
    """Least share of letters in the script of the language."""
    min_function_words: float = Field(default=0.08, ge=0.0, le=1.0)
    """Least share of English function words; for English only."""
    max_repeated_share: float = Field(default=0.4, ge=0.0, le=1.0)
    """Largest share of passages of 8 words that the thought has said before."""

    @model_validator(mode="after")
    def _bounds_leave_room(self) -> Self:
        if self.min_words > self.max_words:
            raise ValueError(f"min_words ({self.min_words}) is above max_words ({self.max_words})")
        return self


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
    in the answer, and nothing in it that is no plain text (`is_plain`).
    """
    tags = tags_in(text)
    if tags != _TAGS_OF_FORM:
        return None
    before, thought, between, answer, after = pieces_of(text)
    if before or between or after or not _BOX.search(answer):
        return None
    if not (is_plain(thought) and is_plain(answer)):
        return None
    return Rationale(thought, answer)


def tags_in(text: str) -> list[str]:
    """The tags of thoughts and answers in a text, in small letters; the first five of them."""
    most = len(_TAGS_OF_FORM) + 1
    return [tag.group().lower() for tag in itertools.islice(_ANY_TAG.finditer(text), most)]


def pieces_of(text: str) -> list[str]:
    """What stands before, between and after the tags of thoughts and answers, in order."""
    return [piece.strip() for piece in _TAG.split(text)[::3]]


def is_plain(text: str) -> bool:
    """Whether a text is plain, and not empty.

    It holds no tag of a thought or answer, no mark of an image, and no token that a chat template,
    model or trainer takes for its own (`template_tokens`).
    """
    return bool(
        text.strip()
        and not _ANY_TAG.search(text)
        and not _IMAGE_MARK.search(text)
        and not template_tokens(text)
    )


def verdict_reason(verdict: Verdict) -> str:
    """Reason to refuse a rationale for the verdict on its final answer; empty if it is correct."""
    if verdict.outcome is Outcome.CORRECT:
        return ""
    if verdict.outcome is Outcome.UNVERIFIABLE:
        return "unverifiable"
    # An empty box, or an answer block with two different ones, is a fault of form.
    return "off_format" if verdict.decided_by in ("no_answer", "ambiguous") else "wrong_answer"


def boxes_reason(thought: str, prompt: Prompt) -> str:
    """Reason to refuse a thought for the boxes in it; empty if they hold the reference or nothing.

    A box that is never closed is "truncated", boxes that differ are "off_format", and another
    answer is "wrong_answer".
    """
    thought = with_whole_boxes(thought)
    openers = [match.start() for match in _BOX.finditer(thought)]
    if not openers:
        return ""
    try:
        if not boxed_answers(thought[openers[-1] :]):
            return "truncated"
        if not any(map(str.strip, boxed_answers(thought))):
            return ""
    except LimitExceededError:
        return "off_format"
    return verdict_reason(verify(f"<answer>{thought}</answer>", prompt))


def is_target(text: str, reference: str) -> bool:
    """Whether a text is one well-formed rationale, and its one box holds just the reference."""
    rationale = read_rationale(text)
    try:
        return rationale is not None and boxed_answers(rationale.answer) == [reference]
    except LimitExceededError:
        return False


def text_reason(thought: str, words: list[str], settings: TextChecks) -> str:
    """Reason to refuse a rationale's reasoning for its length, language or repetition, else "".

    `words` are those of the thought. The reason is one of the last four of `annotate.REASONS`.
    """
    if len(words) < settings.min_words:
        return "too_short"
    if len(words) > settings.max_words:
        return "too_long"
    if not is_language(
        thought,
        settings.language,
        min_script_share=settings.min_script_share,
        min_function_words=settings.min_function_words,
    ):
        return "wrong_language"
    return "repetitive" if repeated_share(words) > settings.max_repeated_share else ""


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
