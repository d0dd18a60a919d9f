"""The sentences of a response that may hold its answer, and what they say of having one."""

from __future__ import annotations

import re
from collections.abc import Iterator

from vasari.verify.prose_patterns import (
    ANSWERS,
    BREAK,
    CONCLUDES,
    DECLINES,
    SO,
    UNFINISHED,
    YES_NO,
)

MAX_TAIL_CHARS = 2_000
"""Characters at each end of a response that are read as sentences."""


def breaks_off(text: str) -> bool:
    """Whether a text ends in the middle of a sentence."""
    return bool(UNFINISHED.search(text[-60:]))


def declines(sentence: str) -> bool:
    """Whether a sentence says that no answer can be given."""
    return bool(DECLINES.search(sentence))


def conclusion(text: str) -> str | None:
    """Return the sentence that may hold an answer in words; None for an empty or unfinished text.

    The last paragraph if it opens with yes or no, else the last sentence.
    """
    paragraphs = [part.strip() for part in text[-MAX_TAIL_CHARS:].split("\n") if part.strip()]
    if not paragraphs or UNFINISHED.search(paragraphs[-1][-60:]):
        return None
    last = paragraphs[-1]
    if YES_NO.match(last) or len(BREAK.split(last)) == 1:
        return last
    return [part for part in BREAK.split(last) if part.strip()][-1]


def likely_sentences(head: str, tail: str) -> Iterator[str]:
    """The sentences that may hold the answer, likeliest first, each once.

    The last that concludes ("therefore"), the last, the last that says "answer", the last that
    begins with "so", the first.
    """
    sentences = [
        sentence for sentence in BREAK.split(tail) if sentence and re.search(r"\w", sentence)
    ]
    if not sentences:
        return
    concluding = [sentence for sentence in sentences if CONCLUDES.match(sentence)]
    opening = next(
        (sentence for sentence in BREAK.split(head) if sentence and re.search(r"\w", sentence)), ""
    )
    weak = [sentence for sentence in sentences if SO.match(sentence)]
    seen: set[str] = set()
    answering = [sentence for sentence in sentences if ANSWERS.search(sentence)]
    for sentence in (*concluding[-1:], sentences[-1], *answering[-1:], *weak[-1:], opening):
        if sentence and sentence not in seen:
            seen.add(sentence)
            yield sentence
