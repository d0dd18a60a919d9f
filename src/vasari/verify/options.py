"""The options of a question: which of them a text equals, in words, in value or as a formula."""

from __future__ import annotations

import functools
import re
from collections.abc import Sequence
from fractions import Fraction

from vasari.verify.answer import Answer
from vasari.verify.arithmetic import variables
from vasari.verify.formulas import formulas_equal
from vasari.verify.lazily import lazily
from vasari.verify.limits import LimitExceededError
from vasari.verify.normalise import DOLLAR, compact, loosen, normalise
from vasari.verify.numbers import may_hold_value
from vasari.verify.powers import Value
from vasari.verify.regions import regions_equal
from vasari.verify.signs import with_signs

LETTERS = "ABCDEFGHIJKLMNOPQRSTUVWXYZ"
_MAX_FORMULA = 120
_FORMULA = re.compile(r"[-=^+<>≤≥\\/_]|[0-9][a-z]")
_SUBSCRIPT = re.compile(r"_\{?([0-9]+)\}?")
_PLAIN = re.compile(r"(?=.*[^\W\d_]{2})[\w\s.,;:'\"!?&()-]+", re.DOTALL)
_NONE_OF_ALL = re.compile(r"none(?: of (?:the above|these|them|the options|the given options))?")


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
    groups = _read_options(tuple(choices)).groups
    # A letter outside the options is kept as itself.
    return frozenset(
        next((text for text, group in groups.items() if letter in group), f"outside {letter}")
        for letter in letters
    )


def letters_of_text(text: str, choices: Sequence[str] | None) -> frozenset[str]:
    """Return the letters of the options that a text equals, in words or value; empty if none."""
    return letters_by_words(text, choices) or letters_by_value(text, choices)


def letters_by_words(text: str, choices: Sequence[str] | None) -> frozenset[str]:
    """Return the letters of the options whose words a text has; empty if none."""
    if not choices or not text:
        return frozenset()
    options = _read_options(tuple(choices))
    key = compact(normalise(text))
    by_text = (
        options.groups.get(key)
        or options.groups.get(key.casefold())
        # "45k" names "$45k" where no other option does, and the other way round.
        or options.groups.get(DOLLAR + key if key[:1].isdigit() else key.removeprefix(DOLLAR))
    )
    if by_text:
        return by_text
    words = _words(text)
    plain = _words(_SUBSCRIPT.sub(r"\1", text)) if "_" in text else words
    return (
        options.loose.get(words or "-")
        or options.loose.get(plain or "-")
        or (options.none_of_all if _NONE_OF_ALL.fullmatch(words) else frozenset())
    )


def letters_by_value(text: str, choices: Sequence[str] | None) -> frozenset[str]:
    """Return the letters of the one option that has a text's value; empty if none or several."""
    if not choices or not text:
        return frozenset()
    options = _read_options(tuple(choices))
    if not options.may_have_values:
        return frozenset()
    value, unit = _value(text)
    if value is None:
        return frozenset()
    equal = [
        letters
        for letters, option, option_unit in options.values
        if _same(value, option) and (not unit or not option_unit or unit == option_unit)
    ]
    return equal[0] if len(equal) == 1 else frozenset()


def letters_by_formula(text: str, choices: Sequence[str] | None) -> frozenset[str]:
    """Return the letters of the one option whose formula equals the text's, in any spelling."""
    if not choices or not text or len(text) > _MAX_FORMULA or not _FORMULA.search(text):
        return frozenset()
    options = _read_options(tuple(choices))
    spelled = compact(with_signs(normalise(text)))
    same = [group for group, formula in options.formulas if compact(with_signs(formula)) == spelled]
    if len(same) == 1:
        return same[0]
    region = Answer(text).interval
    if region is not None:
        alike = [
            group
            for group, formula in options.formulas
            if (other := Answer(formula).interval) is not None and regions_equal(region, other)
        ]
        return alike[0] if len(alike) == 1 else frozenset()
    found = normalise(text)
    names = variables(found)
    if not names:
        return frozenset()  # Constants are compared by value.
    try:
        equal = [
            group
            for group, formula in options.formulas
            if _FORMULA.search(formula)
            and variables(formula) == names
            and formulas_equal(found, formula)
        ]
    except LimitExceededError:
        return frozenset()
    return equal[0] if len(equal) == 1 else frozenset()


class _Options:
    """Options, each read when it is first asked for: a letter needs the value of none."""

    def __init__(self, choices: tuple[str, ...]) -> None:
        self.groups = option_groups(choices)
        self._firsts = [
            (group, choices[LETTERS.index(min(group))]) for group in self.groups.values()
        ]

    @lazily
    def words(self) -> list[str]:
        """The words of each distinct option."""
        return [_words(text) for _, text in self._firsts]

    @lazily
    def loose(self) -> dict[str, frozenset[str]]:
        """Letters by words without punctuation, where that distinguishes the options."""
        return {
            word: group
            for word, (group, _) in zip(self.words, self._firsts, strict=True)
            if word and self.words.count(word) == 1
        }

    @lazily
    def formulas(self) -> tuple[tuple[frozenset[str], str], ...]:
        """Letters and normalised text of each distinct option."""
        return tuple((group, normalise(text)) for group, text in self._firsts)

    @lazily
    def none_of_all(self) -> frozenset[str]:
        """The letter of "none of the above", if that is an option."""
        none = [
            group
            for word, (group, _) in zip(self.words, self._firsts, strict=True)
            if _NONE_OF_ALL.fullmatch(word)
        ]
        return none[0] if len(none) == 1 else frozenset()

    @lazily
    def may_have_values(self) -> bool:
        """False where no option holds a number, seen without reading one."""
        return any(may_hold_value(normalise(text)) for _, text in self._firsts)

    @lazily
    def values(self) -> tuple[tuple[frozenset[str], Value, str], ...]:
        """Letters, value and unit of each distinct option that is a constant."""
        read = [(group, *_value(text)) for group, text in self._firsts]
        return tuple((group, value, unit) for group, value, unit in read if value is not None)


@functools.lru_cache(maxsize=4096)
def _read_options(choices: tuple[str, ...]) -> _Options:
    return _Options(choices)


def _words(text: str) -> str:
    """A text as plain words, "" for a formula, where a sign may be all the difference."""
    text = normalise(text)
    return loosen(text) if _PLAIN.fullmatch(text) else ""


def _value(text: str) -> tuple[Value | None, str]:
    """The value of a constant and its unit; 5% has the value 5, since options give the scale."""
    read = Answer(text)
    try:
        if read.number is not None:
            return read.number.value * (100 if read.number.percent else 1), read.unit
        return read.constant, read.unit
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
