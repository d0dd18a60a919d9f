"""Multiple choice: the option that an answer names, by its letter, its text, or both."""

from __future__ import annotations

import re
from collections.abc import Sequence

from vasari.verify.normalise import compact, normalise
from vasari.verify.numbers import parse_number

LETTERS = "ABCDEFGHIJKLMNOPQRSTUVWXYZ"

_LETTER = r"[A-Za-z]"
_BARE = re.compile(
    rf"(?:(?:the\s)?(?:correct\s)?(?:option|choice|answer)\s?(?:is\s?)?:?\s?)?[(\[{{]?({_LETTER})[)\]}}]?[.:,)]*", re.IGNORECASE
)
_LABELLED = re.compile(
    rf"(?:(?:option|choice)\s)?(?:[(\[]({_LETTER})[)\]]|({_LETTER})\s?[.:)])\s?[-:.]?\s?(?P<rest>\S.*)",
    re.DOTALL | re.IGNORECASE,
)
_LABEL = re.compile(rf"[(\[]({_LETTER})[)\]]|(?<![^\W_])({_LETTER})(?=[.:)](?:\s|\Z))")
_SEVERAL = re.compile(
    rf"(?:[(\[]?{_LETTER}[)\]]?\.?)(?:\s?(?:,|;|/|&|\s|(?:,\s?)?\band\b|\bor\b)\s?(?:[(\[]?{_LETTER}[)\]]?\.?))+", re.IGNORECASE
)
_SINGLE = re.compile(rf"(?<![^\W_]){_LETTER}(?![^\W_])")


def named_letters(text: str, choices: Sequence[str] | None = None) -> frozenset[str]:
    """The capital letters that an answer names, empty when it names no option.

    "B", "(B)", "B.", "B) its text", "option B", the text of an option, and a number equal to exactly one option's.
    Several letters are several answers: a set of them is returned, so that listing all is wrong for a single one.
    Options with the same text are one option: all their letters are returned for the text (`option_texts`).
    """
    text = normalise(text)
    if bare := _BARE.fullmatch(text):
        return frozenset(bare.group(1).upper())
    by_text = _letters_of_text(text, choices)
    if by_text:
        return by_text
    if _SEVERAL.fullmatch(text):
        return frozenset(letter.upper() for letter in _SINGLE.findall(text))
    if labelled := _LABELLED.fullmatch(text):
        return _labelled(labelled, choices)
    letter, _, rest = text.partition(" ")
    if len(letter) == 1 and letter.upper() in LETTERS and letter.upper() in _letters_of_text(rest, choices):
        return frozenset(letter.upper())
    return frozenset()


def option_groups(choices: Sequence[str]) -> dict[str, frozenset[str]]:
    """The letters of each distinct option text, by text; case counts only where options differ in nothing else."""
    texts = [compact(normalise(choice)) for choice in choices]
    folded = [text.casefold() for text in texts]
    keys = folded if len(set(folded)) == len(set(texts)) else texts
    groups: dict[str, frozenset[str]] = {}
    for letter, key in zip(LETTERS, keys, strict=False):
        groups[key] = groups.get(key, frozenset()) | {letter}
    return groups


def option_texts(letters: frozenset[str], choices: Sequence[str] | None) -> frozenset[str]:
    """The distinct option texts that letters stand for, so that two options with one text are one; letters without options."""
    if not choices:
        return letters
    groups = option_groups(choices)
    # A letter outside the options stands for itself.
    return frozenset(
        next((text for text, group in groups.items() if letter in group), f"outside {letter}") for letter in letters
    )


def _labelled(match: re.Match[str], choices: Sequence[str] | None) -> frozenset[str]:
    letter = (match.group(1) or match.group(2)).upper()
    rest = match.group("rest")
    named = _letters_of_text(rest, choices)
    if named:
        return frozenset(letter) if letter in named else named | {letter}
    others = {(found.group(1) or found.group(2)).upper() for found in _LABEL.finditer(rest)}
    if choices is not None:
        others &= set(LETTERS[: len(choices)])
    return frozenset(letter) | others


def _letters_of_text(text: str, choices: Sequence[str] | None) -> frozenset[str]:
    if not choices or not text:
        return frozenset()
    groups = option_groups(choices)
    key = compact(normalise(text))
    found = groups.get(key) or groups.get(key.casefold())
    if found:
        return found
    number = parse_number(text)
    if number is None:
        return frozenset()
    equal = [
        letters
        for option, letters in ((normalise(choices[LETTERS.index(min(group))]), group) for group in groups.values())
        if (parsed := parse_number(option)) is not None
        and (parsed.value, parsed.percent) == (number.value, number.percent)
        and (not parsed.unit or not number.unit or parsed.unit == number.unit)
    ]
    return equal[0] if len(equal) == 1 else frozenset()
