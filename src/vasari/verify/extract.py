r"""Finding the answer in a response: in its answer block, its last `\boxed{}`, or in a phrase."""

from __future__ import annotations

import json
import re
from dataclasses import dataclass
from typing import Literal

from vasari.verify.boxes import joint_boxes, with_whole_boxes
from vasari.verify.limits import LimitExceededError
from vasari.verify.normalise import compact, normalise
from vasari.verify.numbers import parse_number
from vasari.verify.phrases import stated_after_phrase
from vasari.verify.thoughts import outside_thought

SHORT_RESPONSE_CHARS = 64
"""Longest response, in characters, that is an answer as a whole."""
LABELLED_RESPONSE_CHARS = 512
"""Longest single line, in characters, that is an answer because it begins with an option's label,
such as "B. Rulers ..."."""
Source = Literal["block", "box", "phrase", "whole", "none"]
"""Where an answer was found: a whole answer block, a box, after "the answer is", or a short
response as a whole."""
_LABELLED_LINE = re.compile(rf"[(\[]?[A-Z][.:)\]]\s[^\n]{{1,{LABELLED_RESPONSE_CHARS}}}")
_ANSWER_TAG = re.compile(
    r"<(/?)(?:final[_ ]?)?answer>|\[(/?)(?:FINAL[_ ]?)?ANSWER\]", re.IGNORECASE
)
_STRUCK_OUT = re.compile(r"~~(?=\S)[^~\n]{1,200}~~")
_END_TOKENS = re.compile(r"(?:<\|[a-z_]{1,24}\|>|</?s>|<eos>|<end_of_turn>)\s*\Z")
_ENDS_IN_PHRASE = re.compile(r"\banswer\s?(?:is|:|=)?\W{0,4}\Z", re.IGNORECASE)
_NEXT_QUESTION = re.compile(
    r"\n\s{0,4}(?:\*\*)?(?:Next )?(?:Question|Hint|Problem|Human|User)\s?\d*\s?:"
)
_ONLY_FORMULA = re.compile(
    r"\$[^$]{1,1000}\$[.\s]*|\$\$[^$]{1,1000}\$\$[.\s]*|\\\[(?:(?!\\\]).){1,1000}\\\][.\s]*"
    r"|\\\((?:(?!\\\)).){1,1000}\\\)[.\s]*",
    re.DOTALL,
)
_ANSWER_IS = re.compile(
    r"\s*(?P<text>\\text\s?\{\s*)?(?:so,? |thus,? |therefore,? |hence,? )?(?:the |my )?(?:final "
    r"|correct )?answer(?: is|:| =)\s?:?\s*(?P<closed>\})?\s*(?=\S)",
    re.IGNORECASE,
)
_JSON_KEYS = ("answer", "final_answer", "final answer", "result", "prediction")
_MAX_JSON_CHARS = 4_000
_BOX_OPENER = re.compile(r"\\(?:boxed|fbox|framebox)(?![a-zA-Z])")


@dataclass(frozen=True, slots=True)
class Extraction:
    """Final answer found in a response, and where it was found (tag, box or phrase)."""

    text: str | None
    """The answer as written; None when the response states none."""
    ambiguous: bool = False
    """The response gives several different answers."""
    source: Source = "none"
    visible: str = ""
    """The response without its `<think>` part, or its answer block; prose is read from it when
    `text` is not an answer of the reference's kind."""


def extract_answer(response: str) -> Extraction:
    r"""Return the final answer of a response, from `<answer>`, `\boxed{}` or "the answer is".

    1. Text inside `<think>`, `[THINK]`, `<reasoning>` and other tags of thoughts never counts; an
       unclosed one hides all that follows up to an `<answer>` tag, and a closing tag without opener
       hides all before it (templates that open the tag in the prompt).
    2. Where there is an `<answer>` block only that block is read, an unclosed one to the end.
       Several blocks, or several boxes in it, that differ are ambiguous.
    3. The last non-empty `\boxed{}` (or `\fbox{}`, `\framebox{}`), with nested braces; boxes with
       nothing between but commas, "and" or "or" are one answer, a list. One that is never closed
       is none.
    4. The text after the last "the answer is", to the end of its sentence, or of the list of
        options that begins there.
    5. A whole answer block, or a whole response of at most `SHORT_RESPONSE_CHARS` characters, or
        one line "B. its text".

    What else prose says, for a reference of a known kind, is read by `vasari.verify.prose`.

    Raises:
        LimitExceededError: The braces of a box nest too deep.
    """
    visible = outside_thought(response, until=_ANSWER_TAG)
    if "~~" in visible:
        visible = _STRUCK_OUT.sub(" ", visible)
    visible = _END_TOKENS.sub("", with_whole_boxes(visible)).strip()
    blocks = _answer_blocks(visible)
    if blocks is None:
        visible = _before_next_question(visible)
        short = (
            len(visible) <= SHORT_RESPONSE_CHARS
            or bool(_LABELLED_LINE.fullmatch(visible))
            or bool(_ONLY_FORMULA.fullmatch(visible))
        )
        stated, source = _stated(visible, whole="whole" if short else None)
        text = stated[-1].strip() if stated else None
        return Extraction(text, source=source, visible=visible)
    found = [_stated(block, whole="block") for block in blocks]
    answers = [answer.strip() for stated, _ in found for answer in stated]
    different = {_identity(answer) for answer in answers}
    sources = [source for stated, source in found if stated]
    return Extraction(
        answers[-1] if answers else None,
        len(different) > 1,
        sources[-1] if sources else "none",
        "\n".join(blocks).strip(),
    )


def _identity(answer: str) -> str:
    """A key under which two spellings of one answer are equal: 1/2 and 0.5, (B) and b."""
    try:
        number = parse_number(answer)
    except LimitExceededError:
        number = None
    if number is not None:
        return f"{number.value} {number.unit}"
    return compact(normalise(answer)).strip("()").casefold()


def _without_heading(box: str) -> str:
    """A box's content without "the answer is" in front."""
    if "nswer" not in box:
        return box
    heading = _ANSWER_IS.match(box)
    if heading is None:
        return box
    rest = box[heading.end() :].strip()
    is_open = heading.group("text") and not heading.group("closed")
    return rest.removesuffix("}") if is_open else rest


def _held_in_json(text: str) -> str | None:
    """The answer of {"answer": 5}, or None."""
    text = text.strip().removeprefix("```json").removesuffix("```").strip()
    if not (text.startswith("{") and text.endswith("}") and '"' in text):
        return None
    if len(text) > _MAX_JSON_CHARS:
        return None
    try:
        held = json.loads(text)
    except (ValueError, RecursionError):
        return None
    named = [held[key] for key in _JSON_KEYS if isinstance(held, dict) and key in held]
    return str(named[0]) if named and isinstance(named[0], str | int | float) else None


def _before_next_question(text: str) -> str:
    """The response up to where the model asks itself a new question, if that holds an answer."""
    other = _NEXT_QUESTION.search(text)
    if other is None:
        return text
    before = text[: other.start()]
    return before if _stated(before, whole=None)[0] else text


def _answer_blocks(text: str) -> list[str] | None:
    """The contents of the answer blocks; None when no block is opened."""
    blocks: list[str] = []
    start: int | None = None
    for match in _ANSWER_TAG.finditer(text):
        if start is not None:
            blocks.append(text[start : match.start()])
        start = None if match.group(1) or match.group(2) else match.end()
    if start is not None:
        blocks.append(text[start:])
    return blocks or None


def _stated(text: str, *, whole: Source | None) -> tuple[list[str], Source]:
    """The non-empty boxes, else the text after the last "the answer is", else the whole text.

    The whole text counts only where `whole` names its source.
    """
    boxes = joint_boxes(text)
    if boxes:
        return [_without_heading(box) for box in boxes], "box"
    if (held := _held_in_json(text)) is not None:
        return [held], whole or "phrase"
    phrase = stated_after_phrase(text)
    found = phrase or (text if whole and not _ENDS_IN_PHRASE.search(text) else "")
    # What is left of an empty or a never closed box is no answer.
    if not normalise(found) or _BOX_OPENER.search(found):
        return [], "none"
    return [found], "phrase" if phrase else whole or "none"
