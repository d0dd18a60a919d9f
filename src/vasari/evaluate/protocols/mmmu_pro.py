"""MMMU-Pro's official rule for reading an option letter from a response.

From MMMU-Benchmark/MMMU, `mmmu-pro/evaluate.py`, Apache-2.0.

Known bugs that are kept: every letter that ends a word is a candidate ("US " names S), a sentence
that begins with "A" or "I" names the option A or I if there is one, and without any candidate a
letter is drawn at random.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

_MIN_WORDS = 5
"""Options are looked for by their text in responses of more words than these."""


@dataclass(frozen=True, slots=True)
class Reading:
    """Option letter that MMMU-Pro's official rule reads in a response, and the deciding step."""

    letter: str | None
    """None where the official rule draws a letter at random."""
    rule: str
    """"stated", "bracket", "letter", "option_text" or "random"."""


def read_letter(response: str, choices: Sequence[str]) -> Reading:
    """Return the option letter that MMMU-Pro's rule reads in a response, and the deciding step.

    Of several letters found by one rule, the last in the text counts.
    """
    letters = [chr(ord("A") + place) for place in range(len(choices))]
    position = response.rfind("Answer:")
    if position != -1:
        rest = response[position + len("Answer:") :].strip()
        named = [letter for letter in letters if letter in rest]
        if len(named) == 1:
            return Reading(named[0], "stated")
    for sign in ",.!?;:'":
        response = response.strip(sign)
    text = f" {response} "
    for form, place, rule in (
        ("({})", "({})", "bracket"),
        ("{} ", " {} ", "letter"),
        ("{}.", " {} ", "letter"),
    ):
        found = [letter for letter in letters if form.format(letter) in text]
        if found:
            return Reading(
                _last(found, [text.rfind(place.format(letter)) for letter in found]), rule
            )
    if len(text.split()) > _MIN_WORDS:
        lowered = text.lower()
        texts = {letter: choice.lower() for letter, choice in zip(letters, choices, strict=True)}
        found = [letter for letter in letters if texts[letter] in lowered]
        if found:
            return Reading(
                _last(found, [lowered.rfind(texts[letter]) for letter in found]), "option_text"
            )
    return Reading(None, "random")


def _last(candidates: Sequence[str], places: Sequence[int]) -> str:
    return candidates[places.index(max(places))]
