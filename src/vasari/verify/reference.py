"""Reading a reference answer: its kind, and the options, items or value that it is."""

from __future__ import annotations

import functools
import re
from collections.abc import Sequence
from dataclasses import dataclass

from vasari.core.records import AnswerKind
from vasari.verify.answer import Answer, read_reference
from vasari.verify.boxes import boxed_answers
from vasari.verify.choices import joined_letters, may_be_letters, named_letters
from vasari.verify.limits import MAX_RESPONSE_CHARS, LimitExceededError, check_nesting
from vasari.verify.lists import split_items
from vasari.verify.normalise import compact, normalise
from vasari.verify.options import LETTERS, option_groups

_LONE_LETTER = re.compile(r"\(?([A-J])\)?")
_FORMULA = re.compile(
    r"[0-9][a-z]\b|[\\^=√π∞≤≥<>_|±∪∈ℝ]|[0-9]\s*[-+*/(]|[-+*/(,\[]\s*[0-9]"
    r"|\b[a-zA-Z]\s*[-+*/]\s*[a-zA-Z0-9]\b"
)
_JUXTAPOSED = re.compile(r"[0-9)\]}]\s+[0-9]")
WORD = re.compile(
    r"(?<![\\a-zA-Z])(?!(?:sqrt|sin|cos|tan|log|exp|pi|abs|acos|asin|atan|frac|or"
    r"|and)\b)[a-zA-Z]{3,}|[\u3040-\u30ff\u4e00-\u9fff]{2,}|[\u0400-\u04ff]{3,}"
)
_MONOMIAL = re.compile(r"-?[0-9]+(?:\.[0-9]+)?(?:[a-z](?:\^\{?[0-9]+\}?)?){2,5}")
_SIGNED_WORDS = re.compile(r"[A-Za-z\s'∠△⊙∥⊥≅∼→←↔⇒⇔¬∧∨∀∃()]+")
_SIGN = re.compile("[∠△⊙∥⊥≅∼→←↔⇒⇔¬∧∨∀∃]")
_ION = re.compile(r"(?:[A-Z][a-z]?_?[0-9]*)+\^?\{?[0-9]?[-+]\}?")
_MAX_PROBED = 200


class UnreadableReferenceError(ValueError):
    """The reference answer cannot be read."""


@dataclass(frozen=True, slots=True)
class Reference:
    """A parsed reference answer."""

    kind: AnswerKind
    text: str
    """Normalised."""
    choices: tuple[str, ...] | None = None
    letters: frozenset[str] = frozenset()
    """Of the right options."""
    answer: Answer | None = None
    """Its reading; None for options and plain words."""


def infer_kind(answer: str, choices: Sequence[str] | None = None) -> AnswerKind:
    """Return the kind of comparison that a reference answer needs, e.g. "number" or "choice".

    With choices "choice"; else a lone capital A to J, or several such as "BD" (`may_be_letters`),
    "choice", a number (with a unit, too) "number", what has mathematical signs "expression", a list
    with commas, or of numbers with "and", "set" (in any order), everything else "text".
    """
    text = normalise(answer)
    if choices or _LONE_LETTER.fullmatch(text) or may_be_letters(text):
        return "choice"
    read = read_reference(text)
    if len(read.sides) == 1 and read.number is not None:
        return "number"
    if read.moment is not None or _ION.fullmatch(text):
        return "text"
    if _SIGNED_WORDS.fullmatch(read.signs) and _SIGN.search(read.signs):
        return "text"
    if "\\begin" in text or _MONOMIAL.fullmatch(text) or read.ratio is not None or read.based:
        return "expression"
    braced = text.startswith(("{", "\\{")) and text.endswith("}") and "," in text
    if not braced and (_is_formula(text) or _is_value(read)):
        return "expression"
    if "," in text or _several_values(read):
        return "set"
    return "text"


def _is_formula(text: str) -> bool:
    bare = text.replace("\\{", "").replace("\\}", "")
    if len(text) == 1:
        return text.islower()
    return bool(_FORMULA.search(bare)) and not (WORD.search(text) or _JUXTAPOSED.search(text))


def _is_value(read: Answer) -> bool:
    if len(read.text) > _MAX_PROBED:
        return False
    if read.constant is not None or read.range is not None:
        return True
    return read.region is not None and bool(re.search(r"\d", read.text))


def _several_values(read: Answer) -> bool:
    """Whether it is several numbers joined by "and" or "or"."""
    if len(read.text) > _MAX_PROBED:
        return False
    items = split_items(read.signs)
    return len(items) > 1 and all(Answer(item).constant is not None for item in items)


@functools.lru_cache(maxsize=4096)
def parse_reference(
    answer: str, choices: tuple[str, ...] | None, kind: AnswerKind | None
) -> Reference:
    """Return the reading of a reference answer.

    Raises:
        UnreadableReferenceError: It is empty, no option, or no number where one is asked for.
        LimitExceededError: It is too long, or nests too deep.
    """
    boxes = boxed_answers(answer)
    text = normalise(boxes[-1] if boxes else answer)
    if not text:
        raise UnreadableReferenceError("it is empty")
    if len(text) > MAX_RESPONSE_CHARS:
        raise UnreadableReferenceError("it is too long")
    check_nesting(text)
    kind = kind or infer_kind(text, choices)
    if kind == "choice":
        return Reference(kind, text, choices, letters=_letters(text, choices))
    if kind == "text":
        return Reference(kind, text)
    # Where a number is asked for, "1,23" is one.
    read = Answer(text) if kind == "number" else read_reference(text)
    if kind == "set":
        _check_set(read)
    elif kind == "number" and read.constant is None:
        raise UnreadableReferenceError(f"{text[:80]!r} is not a number")
    return Reference(kind, text, answer=read)


def _check_set(read: Answer) -> None:
    items = split_items(read.listed.items[0]) if read.listed and len(read.listed.items) == 1 else []
    found = list(read.listed.items) if read.listed else items or [read.text]
    if not [item for item in found if item.strip(" {}")]:
        raise UnreadableReferenceError("a set without items")
    different = {compact(item).casefold() for item in found}
    if len(different) < len(found):
        raise UnreadableReferenceError(
            f"a set of {len(found)} items has {len(different)} different ones"
        )


def _letters(text: str, choices: tuple[str, ...] | None) -> frozenset[str]:
    if several := joined_letters(text, choices):
        return several
    letters = named_letters(text, choices)
    if not letters:
        raise UnreadableReferenceError(f"{text[:80]!r} is neither a letter nor an option")
    if choices is None:
        return letters
    if len(choices) > len(LETTERS):
        raise UnreadableReferenceError(f"{len(choices)} options, more than letters")
    outside = letters - set(LETTERS[: len(choices)])
    if outside:
        by_text = option_groups(choices).get(compact(text).casefold())
        if by_text is None:
            raise UnreadableReferenceError(
                f"{', '.join(sorted(outside))} is outside the {len(choices)} options"
            )
        return by_text
    return letters


__all__ = [
    "LimitExceededError",
    "Reference",
    "UnreadableReferenceError",
    "infer_kind",
    "parse_reference",
]
