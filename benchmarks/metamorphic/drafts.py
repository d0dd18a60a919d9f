"""What a rule makes: a reference and an answer, each a text with its value, before wrapping."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from dataclasses import dataclass, replace
from random import Random
from typing import Literal

from metamorphic.values import Value

Language = Literal["", "en", "zh"]
"""Of an answer's words; "" is for answers that read the same in any language."""


@dataclass(frozen=True, slots=True)
class Stated:
    """A text and what it means."""

    text: str
    value: Value
    tex: bool = False
    """Whether the text needs math mode outside a box."""
    language: Language = ""
    sentence: bool = False
    """A whole sentence: "The answer is" cannot stand before it."""


@dataclass(frozen=True, slots=True)
class Draft:
    """A reference and an answer to it."""

    reference: Stated
    answer: Stated
    choices: tuple[str, ...] | None = None
    thought: str = ""
    """What the thought before the answer says; only wrappers with a thought may be used then."""
    raw: bool = False
    """The answer's text is the whole response."""
    variant: str = ""
    """Which of a rule's ways made it, where it has several."""


@dataclass(frozen=True, slots=True)
class Rule:
    """A way to make an answer that is equal to its reference, or one that is wrong."""

    kind: str
    """Of the reference, e.g. "fraction"."""
    name: str
    right: bool
    make: Callable[[Random], Draft]


def equal(kind: str, name: str, make: Callable[[Random], Draft]) -> Rule:
    """Return a rule whose answers equal their references."""
    return Rule(kind, name, True, make)


def wrong(kind: str, name: str, make: Callable[[Random], Draft]) -> Rule:
    """Return a rule whose answers differ from their references."""
    return Rule(kind, name, False, make)


def one_of(name: str, rules: Iterable[Rule]) -> Rule:
    """Return a rule that takes one of several ways for each pair, all of one kind and label."""
    ways = tuple(rules)

    def draft(rng: Random) -> Draft:
        way = rng.choice(ways)
        return replace(way.make(rng), variant=way.name)

    return Rule(ways[0].kind, name, ways[0].right, draft)


def tex(text: str, value: Value) -> Stated:
    """Return a text in math mode."""
    return Stated(text, value, tex=True)


def said(text: str, value: Value, language: Language = "en") -> Stated:
    """Return words that can follow "The answer is"."""
    return Stated(text, value, language=language)


def sentence(text: str, value: Value, language: Language = "en") -> Stated:
    """Return a whole sentence."""
    return Stated(text, value, language=language, sentence=True)
