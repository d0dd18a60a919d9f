"""Reads a question as a problem that may be told in other words: numbers, words, names of points.

Two texts tell the same problem when they have the same numbers, much the same words in any order,
and the same points, be it under other names: "In △ABC, ∠A = 50° and AB = AC" and "PQ = PR in
triangle PQR, where angle P measures 50 degrees".
"""

from __future__ import annotations

import itertools
import re
from collections import Counter
from collections.abc import Iterable, Iterator
from dataclasses import dataclass

from vasari.curate.match.exact_text import before_options, without_instructions
from vasari.curate.match.notation import is_number, read_notation

_PLAIN_WORDS = frozenset(
    (
        "a an the of is are be was in on at to as and or if then that this it its which with for"
        " from by find determine calculate compute evaluate work out what how shown show figure"
        " picture diagram drawing image given know known following respectively suppose let assume"
        " we you have has get can value degree measure measures measured size answer equal equals"
        " there where when so such m s t please see below above using use consider look question"
        " problem about approximately does do will should give your write only final result round"
        " necessary express explain justify reasoning each step carefully"
    ).split(" ")
)
_KINDS = frozenset(("angle", "triangle", "circle", "arc"))
_UNTOLD = _PLAIN_WORDS | _KINDS
_POLYGONS = frozenset(("triangle", "polygon"))
_BETWEEN = frozenset(("=", "is", "measures", "be", "length", "of", "degree", "has", "a"))
_VERBS = frozenset(("is", "and", "or", "are", "be", "to", "in", "on", "with", "lies", "intersects"))
_LONGEST_NAME = 8
_MOST_SPELLED = 3  # numbers in words that may stand in digits in the other text
_MOST_MENTIONS = 24
_MOST_STEPS = 600
_SENTENCE_END = re.compile(r"(?<=[A-Z])\s?[.;](?=\s)")
_LEAST_TOLD = 4
"""Names, words and numbers of a text that tells a problem by itself; "Find x." does not."""
_LEAST_WORDS = 0.5
_FEW_WORDS = 4
_MANY_NAMES = 5


@dataclass(frozen=True, slots=True)
class Mention:
    """A name of points as a text has it."""

    kind: str
    """angle, triangle, circle, arc or nothing."""
    name: str
    """Letters, or the digit of an angle; their order is that of no writing: BA is AB."""
    number: str
    """What the text says that it measures."""


@dataclass(frozen=True, slots=True)
class ProblemText:
    """A question as it is compared with other tellings of the same problem."""

    numbers: frozenset[str]
    """Numbers written in digits."""
    spelled: frozenset[str]
    """Numbers written in words, of which there may be more or fewer in another telling."""
    words: frozenset[str]
    """Words that tell something: no names, numbers or words of any question."""
    mentions: frozenset[Mention]

    @property
    def keys(self) -> Iterator[frozenset[str]]:
        """Sets of numbers that another telling may be written with; tellings share one."""
        loose = sorted(self.spelled - self.numbers)[:_MOST_SPELLED]
        for count in range(len(loose) + 1):
            for chosen in itertools.combinations(loose, count):
                yield self.numbers | frozenset(chosen)


def read_problem(question: str) -> ProblemText:
    """Read a question, without its options, into what tells its problem."""
    # "... to Z Y. X Y and ..." names ZY and XY.
    text = _SENTENCE_END.sub(",", before_options(question))
    reading = read_notation(text, commas=True)
    tokens = without_instructions(" ".join(reading.tokens)).split(" ")
    spelled = frozenset(reading.spelled)
    numbers = [word for word in tokens if word and is_number(word)]
    names = _mentions(tokens)
    words = frozenset(
        [
            small
            for word in tokens
            if word[:1].isalpha()
            and (small := word.lower()) not in _UNTOLD
            and not (len(word) <= _LONGEST_NAME and word.isupper())
        ]
    )
    written = frozenset(Counter(numbers) - Counter(reading.spelled))
    return ProblemText(written, spelled & frozenset(numbers), words, frozenset(names))


def _mentions(tokens: list[str]) -> list[Mention]:
    found: list[Mention] = []
    place = 0
    while place < len(tokens) and len(found) < 4 * _MOST_MENTIONS:
        if len(tokens[place]) > 2 and not tokens[place].isupper():  # most are: a word or a number
            place += 1
            continue
        name, end = _name(tokens, place)
        if not name and place and tokens[place - 1].lower() == "angle" and _is_label(tokens[place]):
            name, end = tokens[place], place + 1
        if not name:
            place += 1
            continue
        kind = tokens[place - 1].lower() if place else ""
        found.append(Mention(kind if kind in _KINDS else "", name, _measure(tokens, end)))
        place = end
    merged: dict[tuple[str, str], str] = {}
    for m in found:
        key = (m.kind, _ordered(m.kind, m.name))
        merged[key] = merged.get(key) or m.number
    # "points A, B and C" tells nothing that "triangle ABC" does not.
    longer = {letter for _, name in merged for letter in name if len(name) > 1}
    return [
        Mention(kind, name, number)
        for (kind, name), number in merged.items()
        if kind or len(name) > 1 or name not in longer
    ]


def _is_label(word: str) -> bool:
    """Whether a word behind "angle" is its name: a digit or two, or a Greek letter."""
    return (word.isdecimal() and len(word) < 3) or (len(word) == 1 and "α" <= word <= "ω")


def _name(tokens: list[str], place: int) -> tuple[str, int]:
    """The name that begins at a place, and where it ends; single capitals in a row are one."""
    name, start = "", place
    while place < len(tokens) and len(name) < _LONGEST_NAME:
        word = tokens[place]
        after = tokens[place + 1] if place + 1 < len(tokens) else ""
        if not (word.isascii() and word.isalpha() and word.isupper()):
            break
        if len(word) > 1:
            if not name and len(word) <= _LONGEST_NAME and len(set(word)) == len(word):
                return word, place + 1
            break
        # An article.
        if word in "AI" and not name and len(after) > 1 and after.islower() and after not in _VERBS:
            break
        name += word
        place += 1
    return name, place if name else start


def _measure(tokens: list[str], place: int) -> str:
    for word in tokens[place : place + 4]:
        if word and is_number(word):
            return word
        if word not in _BETWEEN:
            break
    return ""


def _ordered(kind: str, name: str) -> str:
    if kind in _POLYGONS or len(name) == 2 or (len(name) > 3 and kind != "arc"):
        return "".join(sorted(name))
    return min(name, name[::-1])


def same_problem(one: ProblemText, other: ProblemText) -> float | None:
    """Share of words that two tellings of one problem have in common, in (0, 1]; else None.

    The less two texts tell, the more alike they must be. The thresholds were chosen on retold
    benchmark problems beside other problems of the same sets.
    """
    if not same_numbers(one, other):
        return None
    fewer, more = word_overlap(one, other)
    told = min(
        len(text.mentions) + len(text.words) + len(text.numbers | text.spelled)
        for text in (one, other)
    )
    if told < _LEAST_TOLD or fewer < _LEAST_WORDS:
        return None
    names = name_overlap(one, other)
    count = min(len(one.mentions), len(other.mentions))
    few = min(len(one.words), len(other.words)) < _FEW_WORDS
    if names[0] >= 0.9 and names[1] >= 0.7 and fewer >= 0.9 and more >= 0.7:
        return more
    if names[0] < 0.75 or names[1] < 0.6:
        names = renamed_overlap(one, other)
        if names[0] < 0.9 or names[1] < 0.75:
            return None
        if few:
            enough = fewer >= 0.99 and count >= _MANY_NAMES - 1
            enough = enough and (more >= 0.5 or (bool(one.numbers) and count >= _MANY_NAMES))
        elif count >= 3:
            enough = fewer >= 0.75 and more >= 0.35
        else:
            enough = fewer >= 0.9 and more >= 0.5
        return more if enough else None
    numbers = bool(one.numbers or other.numbers)
    if few:
        # All points under the same names beside a template's sentences.
        enough = fewer >= 0.99 and count >= 3 and (more >= 0.3 or count >= _MANY_NAMES)
        enough = enough and names[0] >= 0.9
    elif count >= 3:
        enough = fewer >= 0.6 and more >= (0.35 if numbers else 0.5)
        enough = enough or (names[0] >= 0.9 and fewer >= 0.8 and more >= 0.2)
    else:
        enough = fewer >= 0.75 and more >= 0.5
        enough = enough or (numbers and fewer >= 0.95 and more >= 0.35)
    return more if enough else None


def word_overlap(one: ProblemText, other: ProblemText) -> tuple[float, float]:
    """Shares of the fewer and of the more words that are in both; no words are in any others."""
    fewer, more = _shares(len(one.words & other.words), len(one.words), len(other.words))
    return (fewer if one.words and other.words else 1.0), more


def same_numbers(one: ProblemText, other: ProblemText) -> bool:
    """Whether the digits of either text are numbers of the other."""
    return (
        one.numbers <= other.numbers | other.spelled and other.numbers <= one.numbers | one.spelled
    )


def name_overlap(one: ProblemText, other: ProblemText) -> tuple[float, float]:
    """Shares of the fewer and of the more mentions that are in both, points having their names."""
    left, right = _measured(one, other)
    return _shares(len(left & right), len(left), len(right))


def _measured(
    one: ProblemText, other: ProblemText
) -> tuple[frozenset[Mention], frozenset[Mention]]:
    """Mentions of both, with the measures that both texts give to something.

    So "angle A = 50. Find angle B" is not "angle B = 50. Find angle A", but a measure that one
    text tells elsewhere ("a 50 degree angle A") does not count.
    """
    both = {m.number for m in one.mentions} & {m.number for m in other.mentions}
    left, right = (
        frozenset(m if m.number in both else Mention(m.kind, m.name, "") for m in text.mentions)
        for text in (one, other)
    )
    return left, right


def _shares(common: int, one: int, other: int) -> tuple[float, float]:
    if not one or not other:
        return (1.0, 1.0) if one == other else (0.0, 0.0)
    return common / min(one, other), common / max(one, other)


def renamed_overlap(one: ProblemText, other: ProblemText) -> tuple[float, float]:
    """The same with points under other names, one for one, as a search of bounded length finds."""
    mine, theirs = _measured(one, other)
    if not mine or max(len(mine), len(theirs)) > _MOST_MENTIONS:
        return 0.0, 0.0
    rare = Counter((m.kind, len(m.name), m.number) for m in theirs)
    left = sorted(
        mine,
        key=lambda m: (
            m.kind in _POLYGONS or len(m.name) > 3,
            rare[m.kind, len(m.name), m.number],
            -len(m.name),
            m.kind,
            m.name,
        ),
    )
    right = sorted(theirs, key=lambda m: (m.kind, m.name, m.number))
    search = _Renaming(left, right)
    search.go(0, {}, frozenset(), 0)
    return _shares(search.best, len(left), len(right))


class _Renaming:
    """Depth-first search for the renaming under which most mentions agree."""

    def __init__(self, left: list[Mention], right: list[Mention]) -> None:
        self.left, self.right = left, right
        self.best = self.steps = 0

    def go(self, place: int, names: dict[str, str], used: frozenset[int], count: int) -> None:
        self.steps += 1
        self.best = max(self.best, count)
        rest = len(self.left) - place
        if not rest or count + rest <= self.best or self.steps > _MOST_STEPS:
            return
        mine = self.left[place]
        for number, theirs in enumerate(self.right):
            if number in used or (mine.kind, len(mine.name)) != (theirs.kind, len(theirs.name)):
                continue
            if mine.number != theirs.number or (_is_label(mine.name) and mine != theirs):
                continue
            for longer in _extended(mine, theirs, names):
                self.go(place + 1, longer, used | {number}, count + 1)
        self.go(place + 1, names, used, count)


def _extended(mine: Mention, theirs: Mention, names: dict[str, str]) -> Iterator[dict[str, str]]:
    """Renamings that go on from `names` and turn one mention into the other."""
    if mine.kind in _POLYGONS or len(mine.name) > 3:
        forms: Iterable[str] = ("".join(_fitted(mine.name, theirs.name, names)),)
    else:
        forms = {theirs.name, theirs.name[::-1]}
    taken = set(names.values())
    for form in sorted(forms):
        longer = dict(names)
        for old, new in zip(mine.name, form, strict=False):
            if longer.setdefault(old, new) != new or (old not in names and new in taken):
                break
        else:
            if len(form) == len(mine.name) and len(set(longer.values())) == len(longer):
                yield longer


def _fitted(name: str, other: str, names: dict[str, str]) -> list[str]:
    """The letters of `other` in an order that agrees with `names`, as far as there is one."""
    free = [letter for letter in other if letter not in names.values()]
    fitted = []
    for letter in name:
        new = names.get(letter) or (free.pop(0) if free else "")
        if new not in other:
            return []
        fitted.append(new)
    return fitted
