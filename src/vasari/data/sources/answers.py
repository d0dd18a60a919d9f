"""Read reference answers from a row's answer column, and options from a question's text."""

from __future__ import annotations

import ast
import re
from collections import Counter
from collections.abc import Sequence
from string import ascii_uppercase
from typing import Any

from vasari.core.errors import DataError
from vasari.data.references import last_boxed, single, unwrapped
from vasari.data.sources.spec import AnswerForm
from vasari.data.values import foreign_text, text_value

_MAX_LIST_CHARS = 100_000

_CHOICES = re.compile(r"\s*\bchoices?\s*:\s*", re.IGNORECASE)
_LETTER = re.compile(r"[(\[]?([A-Z])[)\].:]?")


def plain_text(value: Any, name: str) -> str:
    """Return a value of a row as text (3.0 becomes "3"), without the spaces around it.

    Raises:
        DataError: It is no text or finite number, not valid Unicode, or holds a null character.
    """
    return foreign_text(text_value(value, name), name).strip()


def reference_answer(value: Any, choices: Sequence[str] | None, form: AnswerForm) -> str:
    """Return the reference answer that a row's value stands for: an option's letter, or a text.

    It is a letter where there are choices, unless `form` asks for a text. A list of one is its
    entry, and what is around an answer is taken off (`vasari.data.references.unwrapped`).

    Raises:
        DataError: There is none, it is a list of several, or it names no option.
    """
    value = _of_list(value, form) if form in ("first", "most") else single(value)
    if form in ("index0", "index1"):
        return _of_index(value, choices, start=int(form[-1]))
    native = plain_text(value, "the answer")
    text = unwrapped(last_boxed(native) if form == "boxed" else native)
    if not text:
        raise DataError("there is no answer")
    if not choices or form in ("text", "boxed", "first", "most"):
        return text
    letters = ascii_uppercase[: len(choices)]
    options = [option.strip() for option in choices]
    if text not in options:
        text = native if native in options else _same_option(text, options)
    # A text that is a letter too, of another option: letters win unless the form says otherwise.
    if text in options and (form == "option" or (form == "auto" and text not in letters)):
        return letters[options.index(text)]
    found = _LETTER.fullmatch(text)
    if form != "option" and found and found.group(1) in letters:
        return found.group(1)
    several = [_LETTER.fullmatch(part.strip()) for part in re.split(r"[,\n]", text)]
    if (
        form != "option"
        and len(several) > 1
        and all(match and match.group(1) in letters for match in several)
    ):
        return ", ".join(sorted({match.group(1) for match in several if match}))
    raise DataError(f"the answer {text[:60]!r} is none of the {len(choices)} options")


def _same_option(text: str, options: Sequence[str]) -> str:
    """Return the one option that is the text but for what is around it; else the text."""
    same = {option for option in options if _bare(option) == text}
    return same.pop() if len(same) == 1 else text


def _bare(option: str) -> str:
    try:
        return unwrapped(option)
    except DataError:
        return option


def listed(value: Any) -> Any:
    """Parse a text such as "['a', 'b']" to a list; return a value that is not text unchanged.

    The text is parsed, never evaluated.

    Raises:
        DataError: The text is no list, or a very long one.
    """
    if not isinstance(value, str):
        return value
    try:
        found = ast.literal_eval(value) if len(value) <= _MAX_LIST_CHARS else None
    except (ValueError, SyntaxError, RecursionError, MemoryError, TypeError):
        found = None
    if not isinstance(found, list | tuple):
        raise DataError(f"the choices must be a list written as text, got {value[:40]!r}")
    return list(found)


def split_choices(question: str) -> tuple[str, tuple[str, ...] | None]:
    """Return a question without the options at its end, and the options (None if it has none).

    Options follow "Choices:" as "(A) ... (B) ..." or, one a line, "A:..." or "A. ...". The labels
    must be A, B, C, ... in this order; else the question stays as it is.
    """
    found = next(reversed(list(_CHOICES.finditer(question))), None)
    if found is None:
        return question, None
    tail = question[found.end() :]
    for label in (r"(?:^|(?<=\s))\({}\)\s*", r"(?:^|(?<=\n)){}\s*[:.]\s*"):
        texts = _labelled(tail, label)
        if texts is not None:
            return question[: found.start()].rstrip(), texts
    return question, None


def _labelled(tail: str, label: str) -> tuple[str, ...] | None:
    marks = []
    place = 0
    for letter in ascii_uppercase:
        match = re.compile(label.format(letter)).search(tail, place)
        if match is None:
            break
        marks.append(match)
        place = match.end()
    if len(marks) < 2 or tail[: marks[0].start()].strip():
        return None
    ends = [mark.start() for mark in marks[1:]] + [len(tail)]
    texts = tuple(tail[mark.end() : end].strip() for mark, end in zip(marks, ends, strict=True))
    return texts if all(texts) else None


def _of_list(value: Any, form: AnswerForm) -> Any:
    if not isinstance(value, list):
        return value
    texts = [
        text for text in (plain_text(entry, "an answer of the list") for entry in value) if text
    ]
    if not texts:
        return None
    return texts[0] if form == "first" else Counter(texts).most_common(1)[0][0]


def _of_index(value: Any, choices: Sequence[str] | None, *, start: int) -> str:
    text = plain_text(value, "the answer")
    count = len(choices or ())
    place = int(text) - start if text.isascii() and text.isdecimal() and len(text) < 4 else -1
    if not 0 <= place < count:
        raise DataError(
            f"the answer {text[:20]!r} is no index of {count} options, counted from {start}"
        )
    return ascii_uppercase[place]
