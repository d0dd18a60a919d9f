"""Give equivalent answers the same spelling, so that they count as one in maj@k's vote."""

from __future__ import annotations

from vasari.core.records import Prompt
from vasari.verify import infer_kind
from vasari.verify.answer import Answer
from vasari.verify.choices import named_letters
from vasari.verify.compare import item_key
from vasari.verify.limits import LimitExceededError
from vasari.verify.normalise import compact, loosen, normalise
from vasari.verify.numbers import parse_number


def vote_of(extraction: str | None, prompt: Prompt) -> str | None:
    """Return the normalised answer that a rollout votes for in maj@k; None if it has no answer.

    This is an option's letters, a number's value, or the normalised text.
    """
    if extraction is None:
        return None
    text = normalise(extraction)
    kind = prompt.kind or infer_kind(prompt.answer, prompt.choices)
    if kind == "choice":
        letters = named_letters(text, prompt.choices)
        return "".join(sorted(letters)) or loosen(text)
    if kind == "text":
        return loosen(text)
    if kind == "set":
        return _set_vote(text)
    try:
        number = parse_number(text)
    except LimitExceededError:
        number = None
    return compact(text) if number is None else str(number.value)


def _set_vote(text: str) -> str:
    try:
        read = Answer(text)
        return ", ".join(sorted(item_key(item) for item in read.items or (read,)))
    except LimitExceededError:
        return loosen(text)
