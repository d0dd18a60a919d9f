"""Multiple choice: which option an answer names, by its letter, its text, or both."""

from __future__ import annotations

import functools
import re
from collections.abc import Sequence

from vasari.verify.lists import split_items
from vasari.verify.normalise import loosen, normalise
from vasari.verify.options import (
    LETTERS,
    letters_by_formula,
    letters_by_value,
    letters_by_words,
    letters_of_text,
    option_words,
)

_LETTER = r"[A-Za-z]"
_BARE = re.compile(
    rf"(?:(?:the\s)?(?:correct\s)?(?:option|choice|answer)\s?(?:is\s?)?:?\s?|(?:应该?)?(?:选项?"
    rf"|答案)(?:是|为)?\s?[:：]?\s?)?[(\[{{]?\s?({_LETTER})\s?[)\]}}]?[.:,)]*(?:选项)?",
    re.IGNORECASE,
)
_LABELLED = re.compile(
    rf"(?:(?:option|choice)\s)?(?:[(\[]({_LETTER})[)\]]"
    rf"|({_LETTER})\s?[.:)、])\s?[-:.]?\s?(?P<rest>\S.*)",
    re.DOTALL | re.IGNORECASE,
)
_LABEL = re.compile(rf"[(\[]({_LETTER})[)\]]|(?<![^\W_])({_LETTER})(?=[.:)](?:\s|\Z))")
_SEVERAL = re.compile(
    rf"(?:[(\[]?{_LETTER}[)\]]?\.?)(?:\s?(?:(?:,\s?)?\b(?:and|or)\b|[,、;/&\s和与及或])"
    rf"\s?(?:[(\[]?{_LETTER}[)\]]?\.?))+",
    re.IGNORECASE,
)
_CLAUSE = re.compile(r"[,;\n]|[.:](?=\s|\Z)")
_SAID = re.compile(r"\b(?:is|are|was|were)\s([^,;.\n]{1,80})\.?\s*\Z")
_MAX_LISTED = 64
_MAX_KEPT = 256
_LABEL_BEHIND = re.compile(r"(\S.*?)\s?[(\[]([A-Za-z])[)\]]", re.DOTALL)
_LABEL_BEFORE = re.compile(r"([A-Za-z])\s?\((\S.*)\)", re.DOTALL)
_HEDGES = re.compile(r"\b(?:either|both|maybe|perhaps|possibly)\s|\\(?=[{}])", re.IGNORECASE)
_NUMBERED = re.compile(r"(?<!\S)\d{1,2}[.)]\s+(?=[A-Z](?![A-Za-z]))")
_CAPITAL = re.compile(r"(?<![A-Za-z0-9])([A-Z])(?![A-Za-z0-9'])")
_JOINED = re.compile(r"[A-Z]{2,10}")
_BULLET = re.compile(r"\s*(?:[-*•]\s+|\d{1,2}[.)]\s+)?")
_ORDINAL = re.compile(r"(?:the )?(?:option|choice|answer)\s?(?:number\s?)?#?([1-9])", re.IGNORECASE)
_UNDECIDED = re.compile(r"\b(?:not|or|neither|either|maybe|perhaps)\b|n't\b|不|或", re.IGNORECASE)
_SINGLE = re.compile(rf"(?<![^\W_]){_LETTER}(?![^\W_])")


def named_letters(text: str, choices: Sequence[str] | None = None) -> frozenset[str]:
    """Return the capital letters of the options that an answer names; empty if no option is named.

    "B", "(B)", "B.", "B) its text", "option B", the text of an option, and a number equal to
    exactly one option's. Several letters are several answers: a set of them is returned, so that
    listing all is wrong for a single one. Options with the same text are one option: all their
    letters are returned for the text (`option_texts`).
    """
    options = tuple(choices) if choices else None
    return _named(text, options) if len(text) <= _MAX_KEPT else _find_named(text, options)


@functools.lru_cache(maxsize=16384)
def _named(text: str, choices: tuple[str, ...] | None) -> frozenset[str]:
    """The same for a short text, kept: an answer is asked when it is read and when compared."""
    return _find_named(text, choices)


def _find_named(text: str, choices: tuple[str, ...] | None) -> frozenset[str]:
    if "\n" in text and (listed := _letters_of_lines(text, choices)):
        return listed
    text = normalise(text)
    if choices and len(text) > 1 and text in choices and not _SINGLE.fullmatch(text):
        return letters_of_text(text, choices)
    if bare := _BARE.fullmatch(text):
        letter = bare.group(1).upper()
        outside = bool(choices) and letter not in LETTERS[: len(choices or ())]
        return (letters_of_text(text, choices) if outside else frozenset()) or frozenset(letter)
    return (
        letters_by_words(text, choices)
        or _label_and_text(text, choices)
        # After the label: "H. 22.6/48" has the value of another option when H is read as a unit or
        # a name.
        or letters_by_value(text, choices)
        or letters_by_formula(text, choices)
        or _several_or_labelled(text, choices)
    )


def _label_and_text(text: str, choices: Sequence[str] | None) -> frozenset[str]:
    """The letter of "B. a birch" or "a birch (B)", if that is the option's text."""
    if not choices:
        return frozenset()
    if behind := _LABEL_BEHIND.fullmatch(text):
        letter = behind.group(2).upper()
        if letter in letters_of_text(behind.group(1), choices):
            return frozenset(letter)
    if before := _LABEL_BEFORE.fullmatch(text):
        letter = before.group(1).upper()
        if letter in letters_of_text(before.group(2), choices):
            return frozenset(letter)
    if (labelled := _LABELLED.fullmatch(text)) and _agrees(labelled, choices):
        return frozenset((labelled.group(1) or labelled.group(2)).upper())
    return frozenset()


def _several_or_labelled(text: str, choices: Sequence[str] | None) -> frozenset[str]:
    """The letters of a row of letters or of labelled options, of "option 2", or of a label."""
    if choices and (all_labelled := _letters_of_labels(text, choices)):
        return all_labelled
    text = _HEDGES.sub("", _NUMBERED.sub("", text)).strip("{} ")
    several = (
        frozenset(letter.upper() for letter in _SINGLE.findall(text))
        if _SEVERAL.fullmatch(text)
        else frozenset()
    )
    if several and (not choices or several <= set(LETTERS[: len(choices)])):
        return several
    if labelled := _LABELLED.fullmatch(text):
        return _labelled(labelled, choices)
    if choices and (ordinal := _ORDINAL.fullmatch(text)):
        place = int(ordinal.group(1))
        return frozenset(LETTERS[place - 1]) if place <= len(choices) else frozenset()
    letter, _, rest = text.partition(" ")
    named = letters_of_text(rest.strip("()[] "), choices)
    if len(letter) == 1 and letter.upper() in LETTERS and letter.upper() in named:
        return frozenset(letter.upper())
    return several


def joined_letters(text: str, choices: Sequence[str] | None) -> frozenset[str]:
    """Return the options of "BD" (several right options), unless that is the text of one.

    Without choices these are capital letters from A to J.
    """
    text = normalise(text)
    if not _JOINED.fullmatch(text) or len(set(text)) < len(text):
        return frozenset()
    if choices is None:
        return frozenset(text) if max(text) <= "J" else frozenset()
    if any(normalise(choice).casefold() == text.casefold() for choice in choices):
        return frozenset()
    return frozenset(text) if set(text) <= set(LETTERS[: len(choices)]) else frozenset()


def letters_in_a_row(text: str) -> str:
    """Return "BD" for "BD", "B, D", "(B) and (D)": several letters and nothing else; else ""."""
    text = normalise(text).strip("{}\\ ")
    if _JOINED.fullmatch(text):
        return text
    listed = _SEVERAL.fullmatch(text) and not is_undecided(text)
    return "".join(_CAPITAL.findall(text)) if listed else ""


def may_be_letters(text: str) -> bool:
    """Whether a text without choices can be nothing but several options, from A to J.

    "BD" and "A, B"; neither "DB" nor "ABC", which may be a name and a ranking.
    """
    row = letters_in_a_row(text)
    if "{" in text or len(row) < 2 or len(set(row)) < len(row) or max(row) > "J":
        return False
    return row != text or (list(row) == sorted(row) and not LETTERS.startswith(row))


def all_letters(text: str, choices: Sequence[str] | None) -> frozenset[str]:
    """Return the letters of all options that a sentence names, where several are asked for.

    Empty where it denies something.
    """
    if is_undecided(text, choices):
        return frozenset()
    inside = LETTERS[: len(choices)] if choices else LETTERS[:10]
    letters = frozenset(letter for letter in _CAPITAL.findall(normalise(text)) if letter in inside)
    return letters or (_letters_of_labels(normalise(text), choices) if choices else letters)


def is_undecided(text: str, choices: Sequence[str] | None = None) -> bool:
    """Whether a text denies something or leaves a choice, "B or D", and no option does."""
    return bool(_UNDECIDED.search(text)) and not any(map(_UNDECIDED.search, choices or ()))


def _letters_of_lines(text: str, choices: Sequence[str] | None) -> frozenset[str]:
    """The letters of all lines of a list of options; empty if a line names none."""
    bare = text.strip().strip("$").strip()
    if bare.startswith("\\text{") and bare.endswith("}"):
        bare = bare[len("\\text{") : -1]
    lines = [line for line in bare.splitlines() if line.strip()]
    if not 2 <= len(lines) <= len(LETTERS):
        return frozenset()
    named = [named_letters(_BULLET.sub("", line, count=1), choices) for line in lines]
    return frozenset().union(*named) if all(named) else frozenset()


def _letters_of_labels(text: str, choices: Sequence[str]) -> frozenset[str]:
    """The letters of "B. a pine, D. an elm", where every item is a label and its option's text."""
    items = split_items(text)
    if not 2 <= len(items) <= len(LETTERS):
        return frozenset()
    found: set[str] = set()
    for item in items:
        match = _LABELLED.fullmatch(item)
        bare = re.fullmatch(r"\(?([A-Z])[.)]?", item)
        if match is not None and _agrees(match, choices):
            found.add((match.group(1) or match.group(2)).upper())
        elif bare is not None:
            found.add(bare.group(1))
        elif len(named := letters_of_text(item, choices)) == 1:
            found |= named
        else:
            return frozenset()
    return frozenset(found)


def _agrees(match: re.Match[str], choices: Sequence[str]) -> bool:
    """Whether the text after a label is the text of that option."""
    return (match.group(1) or match.group(2)).upper() in letters_of_text(
        match.group("rest"), choices
    )


def _ends_in_own(rest: str, letter: str, choices: Sequence[str] | None) -> bool:
    """Whether the text after a label ends in the words of the label's own option."""
    if not choices or letter not in LETTERS[: len(choices)]:
        return False
    own = option_words(tuple(choices))[LETTERS.index(letter)]
    return f" {loosen(normalise(rest))}".endswith(f" {own}")


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
    if not named and not others and not _ends_in_own(rest, letter, choices):
        # "B. The time shown is ten" names the option with that text too.
        said = _SAID.search(normalise(rest))
        named = letters_of_text(said.group(1), choices) if said else named
    if named:
        if letter in named:
            return frozenset(letter)
        # "(D) No" of two options: the label is none of theirs, the text is.
        return named if choices and letter not in LETTERS[: len(choices)] else named | {letter}
    return frozenset(letter) | others
