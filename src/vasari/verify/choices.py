"""Multiple choice: which option an answer names, by its letter, its text, or both."""

from __future__ import annotations

import functools
import re
from collections.abc import Sequence
from dataclasses import dataclass
from fractions import Fraction

from vasari.verify.arithmetic import Value
from vasari.verify.limits import LimitExceededError
from vasari.verify.normalise import compact, loosen, normalise
from vasari.verify.numbers import parse_constant, parse_number
from vasari.verify.units import split_unit

LETTERS = "ABCDEFGHIJKLMNOPQRSTUVWXYZ"

_LETTER = r"[A-Za-z]"
_BARE = re.compile(
    rf"(?:(?:the\s)?(?:correct\s)?(?:option|choice|answer)\s?(?:is\s?)?:?\s?)?[(\[{{]?\s?({_LETTER})\s?[)\]}}]?[.:,)]*",
    re.IGNORECASE,
)
_LABELLED = re.compile(
    rf"(?:(?:option|choice)\s)?(?:[(\[]({_LETTER})[)\]]|({_LETTER})\s?[.:)])\s?[-:.]?\s?(?P<rest>\S.*)",
    re.DOTALL | re.IGNORECASE,
)
_LABEL = re.compile(rf"[(\[]({_LETTER})[)\]]|(?<![^\W_])({_LETTER})(?=[.:)](?:\s|\Z))")
_SEVERAL = re.compile(
    rf"(?:[(\[]?{_LETTER}[)\]]?\.?)(?:\s?(?:,|;|/|&|\s|(?:,\s?)?\band\b|\bor\b)\s?(?:[(\[]?{_LETTER}[)\]]?\.?))+",
    re.IGNORECASE,
)
_CLAUSE = re.compile(r"[,;\n]|[.:](?=\s|\Z)")
_MAX_LISTED = 64
_SINGLE = re.compile(rf"(?<![^\W_]){_LETTER}(?![^\W_])")


def named_letters(text: str, choices: Sequence[str] | None = None) -> frozenset[str]:
    """Return the capital letters of the options that an answer names; empty if no option is named.

    "B", "(B)", "B.", "B) its text", "option B", the text of an option, and a number equal to
    exactly one option's. Several letters are several answers: a set of them is returned, so that
    listing all is wrong for a single one. Options with the same text are one option: all their
    letters are returned for the text (`option_texts`).
    """
    text = normalise(text)
    if choices and len(text) > 1 and text in choices and not _SINGLE.fullmatch(text):
        return letters_of_text(text, choices)
    if bare := _BARE.fullmatch(text):
        letter = bare.group(1).upper()
        outside = bool(choices) and letter not in LETTERS[: len(choices or ())]
        return (letters_of_text(text, choices) if outside else frozenset()) or frozenset(letter)
    if by_words := _letters_by_words(text, choices):
        return by_words
    if choices and (labelled := _LABELLED.fullmatch(text)) and _agrees(labelled, choices):
        return frozenset((labelled.group(1) or labelled.group(2)).upper())
    # After the label: "H. 22.6/48" has the value of another option when H is read as a unit or a
    # name.
    if by_value := _letters_by_value(text, choices):
        return by_value
    several = (
        frozenset(letter.upper() for letter in _SINGLE.findall(text))
        if _SEVERAL.fullmatch(text)
        else frozenset()
    )
    if several and (not choices or several <= set(LETTERS[: len(choices)])):
        return several
    if labelled := _LABELLED.fullmatch(text):
        return _labelled(labelled, choices)
    letter, _, rest = text.partition(" ")
    rest = rest.strip("()[] ")
    if (
        len(letter) == 1
        and letter.upper() in LETTERS
        and letter.upper() in letters_of_text(rest, choices)
    ):
        return frozenset(letter.upper())
    return several


def option_groups(choices: Sequence[str]) -> dict[str, frozenset[str]]:
    """Return a dict from each distinct option text to the letters of the options with that text.

    Case is ignored, unless two options differ in nothing else.
    """
    texts = [compact(normalise(choice)) for choice in choices]
    folded = [text.casefold() for text in texts]
    keys = folded if len(set(folded)) == len(set(texts)) else texts
    groups: dict[str, frozenset[str]] = {}
    for letter, key in zip(LETTERS, keys, strict=False):
        groups[key] = groups.get(key, frozenset()) | {letter}
    return groups


def option_texts(letters: frozenset[str], choices: Sequence[str] | None) -> frozenset[str]:
    """Return the distinct texts of the options that `letters` name; equal options count once.

    Without options the letters are returned as they are.
    """
    if not choices:
        return letters
    groups = option_groups(choices)
    # A letter outside the options is kept as itself.
    return frozenset(
        next((text for text, group in groups.items() if letter in group), f"outside {letter}")
        for letter in letters
    )


def _agrees(match: re.Match[str], choices: Sequence[str]) -> bool:
    """Whether the text after a label is the text of that option."""
    return (match.group(1) or match.group(2)).upper() in letters_of_text(
        match.group("rest"), choices
    )


def _labelled(match: re.Match[str], choices: Sequence[str] | None) -> frozenset[str]:
    letter = (match.group(1) or match.group(2)).upper()
    rest = match.group("rest")
    # A long text may hold "B." at the end of a sentence; only "(B)" is a label there.
    marks = _LABEL.finditer(rest)
    others = {
        (mark.group(1) or mark.group(2)).upper()
        for mark in marks
        if mark.group(1) or len(rest) <= _MAX_LISTED
    }
    if choices is not None:
        others &= set(LETTERS[: len(choices)])
    named = letters_of_text(rest, choices)
    if not named and not others:
        named = letters_of_text(_CLAUSE.split(rest, maxsplit=1)[0], choices)
    if named:
        if letter in named:
            return frozenset(letter)
        # "(D) No" of two options: the label is none of theirs, the text is.
        return named if choices and letter not in LETTERS[: len(choices)] else named | {letter}
    return frozenset(letter) | others


def letters_of_text(text: str, choices: Sequence[str] | None) -> frozenset[str]:
    """Return the letters of the options that a text equals, in words or value; empty if none."""
    return _letters_by_words(text, choices) or _letters_by_value(text, choices)


def _letters_by_words(text: str, choices: Sequence[str] | None) -> frozenset[str]:
    if not choices or not text:
        return frozenset()
    options = _read_options(tuple(choices))
    key = compact(normalise(text))
    return (
        options.groups.get(key)
        or options.groups.get(key.casefold())
        or options.loose.get(_words(text) or "-")
        or frozenset()
    )


def _letters_by_value(text: str, choices: Sequence[str] | None) -> frozenset[str]:
    if not choices or not text:
        return frozenset()
    options = _read_options(tuple(choices))
    value, unit = _value(text)
    if value is None:
        return frozenset()
    equal = [
        letters
        for letters, option, option_unit in options.values
        if option is not None
        and _same(value, option)
        and (not unit or not option_unit or unit == option_unit)
    ]
    return equal[0] if len(equal) == 1 else frozenset()


@dataclass(frozen=True, slots=True)
class _Options:
    """Parsed options."""

    groups: dict[str, frozenset[str]]
    loose: dict[str, frozenset[str]]
    """Letters by words without punctuation, where that distinguishes the options."""
    values: tuple[tuple[frozenset[str], Value | None, str], ...]
    """Letters, value and unit of each distinct option; the value is None for an option that is no
    constant."""


@functools.lru_cache(maxsize=4096)
def _read_options(choices: tuple[str, ...]) -> _Options:
    groups = option_groups(choices)
    words = [_words(choices[LETTERS.index(min(group))]) for group in groups.values()]
    loose = {
        word: group
        for word, group in zip(words, groups.values(), strict=True)
        if word and words.count(word) == 1
    }
    values = tuple(
        (group, *_value(choices[LETTERS.index(min(group))])) for group in groups.values()
    )
    return _Options(groups, loose, values)


def _words(text: str) -> str:
    """A text as plain words, "" for a formula, where a sign may be all the difference."""
    text = normalise(text)
    return loosen(text) if _PLAIN.fullmatch(text) else ""


def _value(text: str) -> tuple[Value | None, str]:
    """The value of a constant and its unit; 5% has the value 5, since options give the scale."""
    text = normalise(text)
    try:
        number = parse_number(text)
        if number is not None:
            return number.value * (100 if number.percent else 1), number.unit
        measured = split_unit(text)
        return parse_constant(measured.body), measured.unit
    except LimitExceededError:
        return None, ""


def _same(left: Value, right: Value) -> bool:
    if isinstance(left, Fraction) and isinstance(right, Fraction):
        return left == right
    return abs(float(left) - float(right)) <= 1e-9 * max(abs(float(left)), abs(float(right)))


@functools.lru_cache(maxsize=4096)
def option_words(choices: tuple[str, ...]) -> tuple[str, ...]:
    """Return each answer option as plain words, for finding the option in a sentence."""
    return tuple(loosen(normalise(choice)) for choice in choices)


_PLAIN = re.compile(r"(?=.*[^\W\d_]{2})[\w\s.,;:'\"!?&()-]+", re.DOTALL)
_OPTION_MARK = re.compile(r"\(([A-J])\)")


def options_in_question(question: str) -> tuple[str, ...] | None:
    """Return the option texts that a question lists as "(A) ... (B) ..."; None if it lists none."""
    marks: list[re.Match[str]] = []
    for mark in _OPTION_MARK.finditer(question):
        letter = mark.group(1)
        if letter == "A":
            marks = [mark]
        elif marks and letter == LETTERS[len(marks)]:
            marks.append(mark)
    if len(marks) < 2:
        return None
    ends = [mark.start() for mark in marks[1:]] + [len(question)]
    texts = tuple(
        question[mark.end() : end].strip(" ,;.\n") for mark, end in zip(marks, ends, strict=True)
    )
    if any(not text for text in texts):
        return None
    return texts
