"""The options that a question lists in its text."""

from __future__ import annotations

import re

from vasari.verify.options import LETTERS

_OPTION_MARK = re.compile(r"\(([A-J])\)")


def options_in_question(question: str) -> tuple[str, ...] | None:
    """Return the option texts that a question lists as "(A) ... (B) ..."; None if it lists none."""
    marks: list[re.Match[str]] = []
    for mark in _OPTION_MARK.finditer(question):
        letter = mark.group(1)
        if letter == "A":
            marks = [mark]
        elif marks and letter == LETTERS[len(marks)]:
            marks.append(mark)
    if len(marks) < 2:
        return None
    ends = [mark.start() for mark in marks[1:]] + [len(question)]
    texts = tuple(
        question[mark.end() : end].strip(" ,;.\n") for mark, end in zip(marks, ends, strict=True)
    )
    if any(not text for text in texts):
        return None
    return texts
