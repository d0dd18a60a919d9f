"""What a question without pictures must share with another to be the same problem: everything.

Questions that differ in one word, number, sign or option are other problems, so two of them are one
only when they have the same tokens in the same order, the same options in any order, and the same
answer. What does not count: notation, case, punctuation between words, and sentences around the
question that say how to answer ("Please solve this step by step.").
"""

from __future__ import annotations

import re
from dataclasses import dataclass

from vasari.core.records import Prompt
from vasari.curate.match.notation import BLANK, read_notation

_LABEL = re.compile(r"(?:^|(?<=\s))(?:\(([A-Ja-j])\)|([A-J])\s?[.):])(?=\s|[^\s.:)])|\n")
_HEADER = re.compile(r"\n\s{0,9}(?:choices|options)\s?:", re.IGNORECASE)
_AROUND = 400  # characters at either end of a question in which instructions are looked for
_MOST = 8  # instructions that are taken off at either end
_OBJECT = r"(?:(?:the|this|these|following|given|math|geometry|multiple|choice)\s)*"
_HOW = (
    r"(?:\s(?:carefully|below|above|step by step|and show your work|and explain your reasoning))*"
)
_BEFORE = re.compile(
    r"^(?:(?:can|could|would|will) you (?:please )?(?=\w)|please |kindly "
    rf"|(?:answer|solve|consider|read|look at|work on|work out) {_OBJECT}"
    rf"(?:question|problem|exercise|task)s?{_HOW}(?: and answer| and solve)?\s"
    r"|here is (?:a|the) (?:question|problem|exercise|task)\s"
    r"|(?:question|problem|exercise|task|q|user|human|hint)\s)",
    re.IGNORECASE,
)
_AFTER = re.compile(
    rf"\s(?:(?:answer|solve) {_OBJECT}(?:question|problem|exercise|task){_HOW}"
    r"|(?:let us |lets |let s )?(?:think|reason|solve it|solve this|work it out|explain)"
    r" step by step"
    r"|(?:put|give|write|place|enclose|provide|output|box|return|state|report|present) "
    r"(?:your |the )?(?:final )?(?:answer|result)"
    r"(?: (?:within|in|inside|using|as|with|at|the|a|end|box|boxed|option|letter))*"
    r"|show (?:all )?(?:your |the )?(?:work|steps|working|reasoning)"
    r"|explain your (?:answer|reasoning)"
    r"|answer (?:the question )?(?:using|with|in|by)(?: (?:only|just))? (?:a single word or phrase"
    r"|(?:the |an? )?(?:correct )?(?:options? |choices? )?(?:letters?|option)"
    r"(?: (?:from|of) the (?:given )?(?:choices|options)(?: directly)?)?)"
    r"|(?:select|choose|pick) the (?:correct|right|best) (?:answer|option|choice)"
    rf"|,|=|{BLANK}|please|kindly|thank you|thanks|answer|choices|options|the answer is)$",
    re.IGNORECASE,
)


@dataclass(frozen=True, slots=True)
class ExactText:
    """A question as it is compared with others that have no picture either."""

    key: str
    """Equal for the same problem, whatever its notation and case."""
    cases: str
    """Single letters as they were written; empty where the text is all capitals or all small, so
    that nothing can be told from them."""


def exact_text(prompt: Prompt, answer: str) -> ExactText:
    """Read what of a prompt must be the same in another; `answer` is from `answer_key`."""
    question, options = prompt.question, prompt.choices
    if not options:
        question, options = split_options(question)
    tokens = read_notation(question).tokens
    body = without_instructions(" ".join(tokens))
    listed = [" ".join(read_notation(option).tokens).lower() for option in options or ()]
    if answer in {option_key(option) for option in options or ()} and not any(
        map(_names_others, listed)
    ):
        listed.sort()
    return ExactText("\0".join([body.lower(), answer, *listed]), _cases(prompt.question, body))


def _names_others(option: str) -> bool:
    """Whether an option speaks of others by their place, so that the order counts."""
    if option in ("none of the above", "all of the above", "none of these"):
        return False
    return not {"above", "both", "neither"}.isdisjoint(option.split(" "))


def _cases(text: str, body: str) -> str:
    if text.isupper() or text.islower():
        return ""
    words = body.split(" ")
    return "".join(
        word
        for word, after in zip(words, [*words[1:], ""], strict=True)
        if len(word) == 1 and word.isalpha() and not _is_article(word, after)
    )


def _is_article(word: str, after: str) -> bool:
    """Whether a letter before this word is an article, or a pronoun: no variable."""
    if word == "I":
        return True
    plain = len(after) > 1 and after.isalpha() and after.islower()
    return word in "aA" and plain and after not in ("is", "and", "or", "are", "be")


def without_instructions(text: str) -> str:
    """The tokens of a question, parted by spaces, without what only says how to answer."""
    start, end = 0, len(text)
    for _ in range(_MOST):
        found = _BEFORE.match(text[start : start + _AROUND])
        if found is None or start + found.end() == end:
            break
        start += found.end()
    for _ in range(_MOST):
        found = _AFTER.search(text[max(start, end - _AROUND) : end])
        if found is None:
            break
        end = max(start, end - _AROUND) + found.start()
    return text[start:end]


def split_options(question: str) -> tuple[str, tuple[str, ...] | None]:
    """Part a question from the options at its end; None where there are none.

    Options are labelled A, B, C, ... in this order, as "(A)", "A.", "A)" or "A:". The last one
    ends with its line; what follows it stays.
    """
    places = _options(question)
    if places is None:
        return question, None
    options = tuple(question[start:end].strip(" \t\r\n,;") for _, start, end in places)
    if not all(options):
        return question, None
    return question[: places[0][0]].rstrip() + "\n" + question[places[-1][2] :], options


def before_options(question: str) -> str:
    """The part of a question before its options, be they well labelled or only announced."""
    header = _HEADER.search(question)
    if header and header.start():
        return question[: header.start()]
    places = _options(question)
    return question[: places[0][0]] if places else question


def _options(question: str) -> list[tuple[int, int, int]] | None:
    """(start of the label, start, end) of each option."""
    if not ("B" in question or "(b" in question):
        return None
    starts: list[tuple[int, int]] = []
    end = len(question)
    for mark in _LABEL.finditer(question):
        label = (mark.group(1) or mark.group(2) or "").upper()
        if not label:
            end = min(end, mark.start()) if len(starts) > 1 else end
        elif label == "A":
            starts, end = [mark.span()], len(question)
        elif starts and ord(label) - ord("A") == len(starts):
            starts.append(mark.span())
            end = len(question)
    if len(starts) < 2:
        return None
    ends = [start for start, _ in starts[1:]] + [end]
    return [(label, start, stop) for (label, start), stop in zip(starts, ends, strict=True)]


def option_key(text: str) -> str:
    """Normalise an option or an answer to a text by which two can be compared."""
    if text.isdecimal() and text.isascii() and text[0] != "0":
        return text
    tokens = [word for word in read_notation(text).tokens if word != "degree"]
    return " ".join(tokens).lower() or text.strip().lower()
