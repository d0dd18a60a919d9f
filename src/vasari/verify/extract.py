r"""Finding the answer in a response: in its answer block, its last `\boxed{}`, or in a phrase."""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import Literal

from vasari.verify.limits import MAX_NESTING, LimitExceededError
from vasari.verify.normalise import compact, normalise
from vasari.verify.numbers import parse_number

SHORT_RESPONSE_CHARS = 64
"""Longest response, in characters, that is an answer as a whole."""

LABELLED_RESPONSE_CHARS = 512
"""Longest single line, in characters, that is an answer because it begins with an option's label,
such as "B. Rulers ..."."""

Source = Literal["block", "box", "phrase", "whole", "none"]
"""Where an answer was found: a whole answer block, a box, after "the answer is", or a short
response as a whole."""

_LABELLED_LINE = re.compile(rf"[(\[]?[A-Z][.:)\]]\s[^\n]{{1,{LABELLED_RESPONSE_CHARS}}}")
_THINK_TAG = re.compile(r"<(/?)think>", re.IGNORECASE)
_ANSWER_TAG = re.compile(r"<(/?)answer>", re.IGNORECASE)
_END_TOKENS = re.compile(r"(?:<\|[a-z_]{1,24}\|>|</?s>|<eos>)\s*\Z")
_BRACE = re.compile(r"\\(?:boxed|fbox)\s{0,8}\{|\\[\\{}]|[{}]")
_PHRASE = re.compile(
    r"\b(?:answer|(?:correct|right|best)\s(?:option|choice)|(?:option|choice)\sletter)"
    r"(?:\s(?:to|for|of)\s(?:the|this|your|my)\s(?:[a-z]+\s){0,2}?(?:question|problem|exercise|equation))?(?:\s(?:option|letter))*"
    r"\*{0,2}(?:\s?(?:is|are|should\sbe|would\sbe|will\sbe|must\sbe|could\sbe)\b\s?:?|\s?[:=])"
    r"|\b(?:solution|result)\sis\b|答案(?:的)?(?:选项|应该|应当)?[是为选]?\s?[:\uff1a]?|####",
    re.IGNORECASE,
)
_ENDS_IN_PHRASE = re.compile(r"\banswer\s?(?:is|:|=)?\W{0,4}\Z", re.IGNORECASE)
_SENTENCE_END = re.compile(r"\.(?=[\"']?(?:\s|\Z))|[\n。]")
_NEXT_QUESTION = re.compile(
    r"\n\s{0,4}(?:\*\*)?(?:Next )?(?:Question|Hint|Problem|Human|User)\s?\d*\s?:"
)
_BOX_OPENER = re.compile(r"\\(?:boxed|fbox)(?![a-zA-Z])")
_MAX_UNWRAP = 8


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

    1. Text inside `<think>` never counts; an unclosed `<think>` hides all that follows up to an
       `<answer>` tag, and a `</think>` without opener hides all before it (templates that open the
       tag in the prompt).
    2. Where there is an `<answer>` block only that block is read, an unclosed one to the end.
       Several blocks, or several boxes in it, that differ are ambiguous.
    3. The last non-empty `\boxed{}` (or `\fbox{}`), with nested braces. A box that is never closed
        is none.
    4. The text after the last "the answer is", to the end of its sentence.
    5. A whole answer block, or a whole response of at most `SHORT_RESPONSE_CHARS` characters, or
        one line "B. its text".

    What else prose says, for a reference of a known kind, is read by `vasari.verify.prose`.

    Raises:
        LimitExceededError: The braces of a box nest too deep.
    """
    visible = _END_TOKENS.sub("", _outside_thought(response)).strip()
    blocks = _answer_blocks(visible)
    if blocks is None:
        visible = _before_next_question(visible)
        short = len(visible) <= SHORT_RESPONSE_CHARS or bool(_LABELLED_LINE.fullmatch(visible))
        stated, source = _stated(visible, whole="whole" if short else None)
        return Extraction(stated[-1].strip() if stated else None, source=source, visible=visible)
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


def boxed_answers(text: str) -> list[str]:
    r"""Return the contents of all outermost closed `\boxed{}` in a text, inner boxes unwrapped.

    Raises:
        LimitExceededError: Braces inside a box nest too deep.
    """
    if "boxed" not in text and "fbox" not in text:
        return []
    contents = _outermost_boxes(text)
    for _ in range(_MAX_UNWRAP):
        inner = [
            _outermost_boxes(content) if "boxed" in content or "fbox" in content else []
            for content in contents
        ]
        if not any(inner):
            break
        contents = [
            boxes[-1] if boxes else content for content, boxes in zip(contents, inner, strict=True)
        ]
    return contents


def _outermost_boxes(text: str) -> list[str]:
    """The contents of outermost boxes, in one pass, so that many opened boxes take linear time."""
    stack: list[int] = []  # Where the content of an open box begins, or -1 for a plain brace.
    num_open_boxes = 0
    closed: list[tuple[int, int]] = []
    for match in _BRACE.finditer(text):
        brace = match.group()
        if brace in ("{", "}"):
            if brace == "{":
                stack.append(-1)
            elif stack:
                start = stack.pop()
                if start >= 0:
                    num_open_boxes -= 1
                    closed.append((start, match.start()))
        elif len(brace) > 2:
            stack.append(match.end())
            num_open_boxes += 1
        if num_open_boxes and len(stack) > MAX_NESTING:
            raise LimitExceededError(f"braces of a box nest deeper than {MAX_NESTING}")
    contents: list[str] = []
    end_of_last = -1
    for start, end in sorted(closed):
        if start > end_of_last:
            contents.append(text[start:end])
            end_of_last = end
    return contents


def _outside_thought(text: str) -> str:
    pieces: list[str] = []
    position, opened = 0, False
    for match in _THINK_TAG.finditer(text):
        if match.group(1):
            if not opened:
                pieces.clear()
            opened = False
        elif not opened:
            pieces.append(text[position : match.start()])
            opened = True
        position = match.end()
    tail = text[position:]
    if opened:
        answer = _ANSWER_TAG.search(tail)
        tail = tail[answer.start() :] if answer else ""
    pieces.append(tail)
    return " ".join(pieces)


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
        start = None if match.group(1) else match.end()
    if start is not None:
        blocks.append(text[start:])
    return blocks or None


def _stated(text: str, *, whole: Source | None) -> tuple[list[str], Source]:
    """The non-empty boxes, else the text after the last "the answer is", else the whole text.

    The whole text counts only where `whole` names its source.
    """
    boxes = [box for box in boxed_answers(text) if normalise(box)]
    if boxes:
        return boxes, "box"
    phrase = _phrase(text)
    found = phrase or (text if whole and not _ENDS_IN_PHRASE.search(text) else "")
    # What is left of an empty or a never closed box is no answer.
    if not normalise(found) or _BOX_OPENER.search(found):
        return [], "none"
    return [found], "phrase" if phrase else whole or "none"


def _phrase(text: str) -> str | None:
    """The rest of the sentence after the last "the answer is" that has one, or None."""
    for match in reversed(list(_PHRASE.finditer(text))):
        rest = text[match.end() :].lstrip(" \t\r\n:*")
        end = _SENTENCE_END.search(rest)
        stated = rest[: end.start()] if end else rest
        if stated.strip():
            return stated
    return None
