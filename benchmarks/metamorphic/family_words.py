"""Yes and no, names, and short phrases."""

from __future__ import annotations

from collections.abc import Mapping
from random import Random

from metamorphic.drafts import Draft, Rule, equal, one_of, said, sentence, wrong
from metamorphic.values import Denied, NoAnswer, Several, Word

_REASONS = (
    "the bar on the left is taller", "the line goes up", "both angles are equal",
    "the colours match", "the first picture shows the same object", "there is a dog in the picture",
    "the two triangles have equal sides", "the label says so", "the value stays below the mark",
    "the arrow points to the right", "it is marked on the map", "the lines never meet",
)  # fmt: skip


def _yes_no(rng: Random) -> tuple[str, str]:
    return rng.choice((("Yes", "No"), ("No", "Yes")))


def _yes_as(style: str) -> Rule:
    def draft(rng: Random) -> Draft:
        right, _ = _yes_no(rng)
        value = Word(right)
        reason = rng.choice(_REASONS)
        answer = {
            "the word": said(right, value),
            "small": said(right.lower(), value),
            "capitals": said(right.upper(), value),
            "word and reason": sentence(f"{right}, because {reason}.", value),
            "word, full stop, reason": sentence(f"{right}. {_capitalised(reason)}.", value),
            "answer and reason": sentence(
                f"The answer is {right.lower()} because {reason}.", value
            ),
        }[style]
        return Draft(said(right, value), answer)

    return equal("yes or no", f"as {style}", draft)


def _yes_wrong(change: str) -> Rule:
    def draft(rng: Random) -> Draft:
        right, other = _yes_no(rng)
        reason = rng.choice(_REASONS)
        answer = {
            "the other word": said(rng.choice((other, other.lower())), Word(other)),
            "the other with a reason": sentence(f"{other}, because {reason}.", Word(other)),
            "the other in a sentence": sentence(
                f"The answer is {other.lower()} because {reason}.", Word(other)
            ),
            "both": said(rng.choice(("yes or no", "yes and no", "no or yes")),
                         Several((Word("Yes"), Word("No")))),
            "undecided": sentence(
                rng.choice(
                    (
                        "It is impossible to say whether the answer is yes or no.",
                        "I cannot determine whether it is yes or no from the picture.",
                        f"It depends: {right.lower()} for some, {other.lower()} for others.",
                    )
                ),
                NoAnswer(),
            ),
        }[change]  # fmt: skip
        return Draft(said(right, Word(right)), answer)

    return wrong("yes or no", change, draft)


_NAMES = {
    "What is the capital?": ("Paris", "Rome", "Madrid", "Vienna", "Oslo", "Lisbon", "Buenos Aires",
                             "New Delhi", "Cape Town"),
    "Who painted it?": ("Vincent van Gogh", "Frida Kahlo", "Claude Monet", "Georgia O'Keeffe",
                        "Rembrandt", "Paul Klee"),
    "Which day is it?": ("Monday", "Tuesday", "Wednesday", "Thursday", "Friday", "Saturday"),
    "Which country is marked?": ("Brazil", "Canada", "Kenya", "Japan", "South Africa",
                                 "New Zealand", "Costa Rica"),
}  # fmt: skip
_PHRASES = {
    "What is next to the house?": ("red car", "blue bicycle", "old oak tree", "wooden bench",
                                   "stone well", "yellow school bus"),
    "What is he holding?": ("tennis racket", "glass of water", "black umbrella", "paper bag",
                            "loaf of bread", "set of keys"),
    "What does the sign say?": ("no parking", "keep right", "road closed", "mind the gap",
                                "wet floor", "push to open"),
}  # fmt: skip
_AROUND = (
    "It is {}.", "The picture shows {}.", "This is {}.", "Based on the picture, it is {}.",
)  # fmt: skip


def _pair(rng: Random, table: Mapping[str, tuple[str, ...]]) -> tuple[str, str]:
    right, other = rng.sample(table[rng.choice(list(table))], 2)
    return right, other


def _capitalised(words: str) -> str:
    return words[0].upper() + words[1:]


def _word_as(kind: str, style: str) -> Rule:
    def draft(rng: Random) -> Draft:
        right, _ = _pair(rng, _NAMES if kind == "name" else _PHRASES)
        while "article" in style and right in _PHRASES["What does the sign say?"]:
            right, _ = _pair(rng, _PHRASES)
        value, shown = Word(right), f"the {right}"
        answer = {
            "the words": said(right, value),
            "small letters": said(right.lower(), value),
            "capitals": said(right.upper(), value),
            "first capital": said(_capitalised(right), value),
            "with the article": said(shown, value),
            "in quotes": said(f'"{right}"', value),
            "in a sentence": sentence(rng.choice(_AROUND).format(right), value),
            "in a sentence with the article": sentence(rng.choice(_AROUND).format(shown), value),
        }[style]
        return Draft(said(right, value), answer)

    return equal(kind, f"as {style}", draft)


def _word_wrong(kind: str, change: str) -> Rule:
    def draft(rng: Random) -> Draft:
        right, other = _pair(rng, _NAMES if kind == "name" else _PHRASES)
        both = Several((Word(right), Word(other)))
        first, second = rng.sample((right, other), 2)
        answer = {
            "another": said(other, Word(other)),
            "another in a sentence": sentence(rng.choice(_AROUND).format(other), Word(other)),
            "one or the other": said(f"{first} or {second}", both),
            "both": said(f"{first} and {second}", both),
            "denied": said(f"not {right}", Denied(Word(right))),
            "denied in a sentence": sentence(f"It is not {right}.", Denied(Word(right))),
            "not this but that": said(f"not {right} but {other}", Word(other)),
            "undecided": sentence(f"I cannot tell whether it is {first} or {second}.", NoAnswer()),
        }[change]
        return Draft(said(right, Word(right)), answer)

    return wrong(kind, change, draft)


_CHANGES = (
    "another", "another in a sentence", "one or the other", "both", "denied",
    "denied in a sentence", "not this but that", "undecided",
)  # fmt: skip

RULES = (
    one_of("the word", (_yes_as(style) for style in ("the word", "small", "capitals"))),
    one_of("with a reason", (_yes_as(s) for s in ("word and reason", "word, full stop, reason"))),
    _yes_as("answer and reason"),
    _yes_wrong("the other word"),
    one_of(
        "the other with a reason",
        (_yes_wrong(c) for c in ("the other with a reason", "the other in a sentence")),
    ),
    one_of("both or undecided", (_yes_wrong(c) for c in ("both", "undecided"))),
    one_of(
        "spellings",
        (_word_as("name", s) for s in ("the words", "small letters", "capitals", "in quotes")),
    ),
    _word_as("name", "in a sentence"),
    one_of(
        "spellings",
        (
            _word_as("phrase", style)
            for style in ("the words", "first capital", "with the article", "in quotes")
        ),
    ),
    _word_as("phrase", "in a sentence with the article"),
    *(
        rule
        for kind in ("name", "phrase")
        for rule in (
            one_of("another", (_word_wrong(kind, change) for change in _CHANGES[:2])),
            one_of("two", (_word_wrong(kind, change) for change in _CHANGES[2:4])),
            one_of("denied", (_word_wrong(kind, change) for change in _CHANGES[4:7])),
            _word_wrong(kind, "undecided"),
        )
    ),
)
