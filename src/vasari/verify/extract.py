r"""Finding the answer in a response: in its answer block, its last `\boxed{}`, or in a phrase."""

from __future__ import annotations

import itertools
import json
import re
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Literal

from vasari.verify.limits import MAX_NESTING, LimitExceededError
from vasari.verify.normalise import compact, normalise
from vasari.verify.numbers import parse_number
from vasari.verify.prose_patterns import CORRECTED, DENIED_BEHIND, DOUBTS, NOT_BUT
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
_BARE_BOX = re.compile(r"(?<![a-zA-Z\\\\])boxed\{([^{}]{1,200})\}|\\boxed\s+([^\s{}$\\\\]{1,40})")
_BOX_TOKENS = re.compile(r"<\|begin_of_box\|>(.{0,2000}?)(?:<\|end_of_box\|>|\Z)", re.DOTALL)
_END_TOKENS = re.compile(r"(?:<\|[a-z_]{1,24}\|>|</?s>|<eos>|<end_of_turn>)\s*\Z")
_BRACE = re.compile(r"\\(?:boxed|fbox)\s{0,8}\{|\\[\\{}]|[{}]")
_PHRASE = re.compile(
    r"(?<!incorrect )(?<!wrong )(?<!not the )\b"
    r"(?:answer|answers(?=\s(?:are|should)|:)|(?:correct|right|best)\s(?:options?|choices?)|(?:option|choice)\sletter)"
    r"(?:\s(?:to|for|of)\s(?:the|this|your|my)\s(?:[a-z]+\s){0,2}?(?:question|problem|exercise"
    r"|equation))?(?:\s(?:option|letter))*"
    r"\*{0,2}(?:\s?(?:is|are|should\sbe|would\sbe|will\sbe|must\sbe|could\sbe)\b\s?:?|\s?[:=]"
    r"|\s[-\u2013\u2014]\s)"
    r"|\b(?:antwort|lösung)\s(?:ist|lautet)\b\s?:?|\bréponse\s(?:finale\s)?est\b\s?:?"
    r"|\brespuesta\s(?:final\s)?es\b\s?:?|\bresposta\s(?:final\s)?é\b\s?:?"
    r"|\brisposta\s(?:finale\s)?è\b\s?:?"
    r"|\b(?:antwort|réponse|respuesta|resposta|risposta|ответ)\s?:|答え(?:は|：|:)|^答[:：]|^ans\.?\s?[:=]\s"
    r"|\b(?:solution|result)\sis\b|^[#*\s]{0,8}(?:the\s)?(?:final\s|correct\s"
    r"|my\s)?answer[*\s]{0,8}$|答案(?:的)?(?:选项|应该|应当)?[是为选]?\s?[:\uff1a]?|####",
    re.IGNORECASE | re.MULTILINE,
)
_ENDS_IN_PHRASE = re.compile(r"\banswer\s?(?:is|:|=)?\W{0,4}\Z", re.IGNORECASE)
_SENTENCE_END = re.compile(r"\.(?=[\"']?(?:\s|\Z))|[\n。]")
_NEXT_QUESTION = re.compile(
    r"\n\s{0,4}(?:\*\*)?(?:Next )?(?:Question|Hint|Problem|Human|User)\s?\d*\s?:"
)
_MAX_BETWEEN = 60
_NOT_BOXED = re.compile(r",?\s(?:and\s)?(?:not|rather than|instead of)\s*[$(]*\Z", re.IGNORECASE)
_BETWEEN_BOXES = re.compile(
    r"(?:[a-zA-Z]\s?=|[\s,;.$&:()*/、，；。和或与]|\\[,; ()\[\]]|\b(?:and|or|und|oder|et|ou)\b)*",
    re.IGNORECASE,
)
_LABELLED_ITEMS = re.compile(r"[A-Z]\. [^.\n]{1,200}?(?:,|;| and) [A-Z]\. [^.\n]{1,200}")
_ONLY_FORMULA = re.compile(
    r"\$[^$]{1,1000}\$[.\s]*|\$\$[^$]{1,1000}\$\$[.\s]*|\\\[(?:(?!\\\]).){1,1000}\\\][.\s]*"
    r"|\\\((?:(?!\\\)).){1,1000}\\\)[.\s]*",
    re.DOTALL,
)
_ENDS_THERE = re.compile(r"[\s*]*(?:[.。!]|\n|\Z)")
_ANSWER_IS = re.compile(
    r"\s*(?P<text>\\text\s?\{\s*)?(?:so,? |thus,? |therefore,? |hence,? )?(?:the |my )?(?:final "
    r"|correct )?answer(?: is|:| =)\s?:?\s*(?P<closed>\})?\s*(?=\S)",
    re.IGNORECASE,
)
_INLINE_LABEL = re.compile(r"(?:(?<=\s)|(?<=\()|\A)([A-Z])(?:[.)]\s|(?=\s+\d[.)])|\Z)")
_LISTED_LINE = re.compile(
    r"\s*(?:[-*•]\s+|\d{1,2}[.)]\s+)?(?:(?:[(\[][A-Z][)\]]|[A-Z][.:)])(?:\s+\S.*)?|[A-Z])\s*"
)
_HINTS = (
    "answer", "option", "choice", "solution", "result", "antwort", "lösung", "réponse",
    "respuesta", "resposta", "risposta", "ответ", "答", "####", "ans",
)  # fmt: skip
_AROUND = 32
_MAX_TO_CORRECTION = 200
_JSON_KEYS = ("answer", "final_answer", "final answer", "result", "prediction")
_MAX_JSON_CHARS = 4_000
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

    1. Text inside `<think>`, `[THINK]`, `<reasoning>` and other tags of thoughts never counts; an
       unclosed one hides all that follows up to an `<answer>` tag, and a closing tag without opener
       hides all before it (templates that open the tag in the prompt).
    2. Where there is an `<answer>` block only that block is read, an unclosed one to the end.
       Several blocks, or several boxes in it, that differ are ambiguous.
    3. The last non-empty `\boxed{}` (or `\fbox{}`), with nested braces; boxes with nothing between
        but commas, "and" or "or" are one answer, a list. A box that is never closed is none.
    4. The text after the last "the answer is", to the end of its sentence, or of the list of
        options that begins there.
    5. A whole answer block, or a whole response of at most `SHORT_RESPONSE_CHARS` characters, or
        one line "B. its text".

    What else prose says, for a reference of a known kind, is read by `vasari.verify.prose`.

    Raises:
        LimitExceededError: The braces of a box nest too deep.
    """
    visible = outside_thought(response, until=_ANSWER_TAG)
    if visible.count("boxed") > visible.count("\\boxed{"):
        visible = _BARE_BOX.sub(_boxed, visible)
    if "<|begin_of_box|>" in visible:
        visible = _BOX_TOKENS.sub(r"\\boxed{\1}", visible)
    visible = _END_TOKENS.sub("", visible).strip()
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


def _boxed(match: re.Match[str]) -> str:
    """A box that lacks its backslash or its braces, as a whole one."""
    return f"\\boxed{{{match.group(1) or match.group(2)}}}"


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
    return [_unboxed(text[start:end]) for start, end in _box_places(text)]


def _unboxed(content: str) -> str:
    """What the innermost of boxes in a box holds, the last where there are several."""
    for _ in range(_MAX_UNWRAP):
        inner = _box_places(content) if "boxed" in content or "fbox" in content else []
        if not inner:
            break
        content = content[slice(*inner[-1])]
    return content


def _joint_boxes(text: str) -> list[str]:
    """The non-empty boxes' contents; those with nothing but "and" and commas between are one."""
    if "boxed" not in text and "fbox" not in text:
        return []
    found: list[str] = []
    parts: list[str] = []
    last_end = -1
    for start, end in _box_places(text):
        content = _unboxed(text[start:end])
        if not normalise(content):
            continue
        opener = max(text.rfind("\\boxed", 0, start), text.rfind("\\fbox", 0, start))
        between = text[last_end + 1 : opener] if last_end >= 0 else "."
        if found and len(between) < _MAX_BETWEEN and _NOT_BOXED.search(between):
            last_end = end
            continue  # "\boxed{C}, not \boxed{B}"
        if found and len(between) < _MAX_BETWEEN and _BETWEEN_BOXES.fullmatch(normalise(between)):
            if normalise(content) not in {normalise(part) for part in parts}:
                found[-1] = f"{found[-1]}, {content}"
                parts.append(content)
        else:
            found.append(content)
            parts = [content]
        last_end = end
    return found


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


def _listed_options(rest: str) -> str | None:
    """The lines of a list of options that begins here, if there are several; else None."""
    # A list may be in a formula.
    rest = rest[:_MAX_JSON_CHARS].removeprefix("\\[").removeprefix("$$")
    lines = [line for line in rest.splitlines() if line.strip()]
    if lines and len(set(_INLINE_LABEL.findall(lines[0]))) > 2:
        return lines[0]
    listed = list(itertools.takewhile(_LISTED_LINE.fullmatch, lines))
    return "\n".join(listed) if len(listed) > 1 else None


def _box_places(text: str) -> list[tuple[int, int]]:
    """Where the contents of outermost boxes begin and end, in linear time."""
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
    places: list[tuple[int, int]] = []
    end_of_last = -1
    for start, end in sorted(closed):
        if start > end_of_last:
            places.append((start, end))
            end_of_last = end
    return places


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
    boxes = _joint_boxes(text)
    if boxes:
        return [_without_heading(box) for box in boxes], "box"
    if (held := _held_in_json(text)) is not None:
        return [held], whole or "phrase"
    phrase = _phrase(text)
    found = phrase or (text if whole and not _ENDS_IN_PHRASE.search(text) else "")
    # What is left of an empty or a never closed box is no answer.
    if not normalise(found) or _BOX_OPENER.search(found):
        return [], "none"
    return [found], "phrase" if phrase else whole or "none"


def _phrase(text: str) -> str | None:
    """The rest of the sentence after the last "the answer is" that has one, or None."""
    for match in _phrases_from_the_end(text):
        if DOUBTS.search(text[max(0, match.start() - 60) : match.start()].rpartition(". ")[2]):
            continue
        rest = text[match.end() :].lstrip(" \t\r\n:*}")
        if (options := _listed_options(rest)) is not None:
            return options
        if (
            corrected := CORRECTED.search(rest)
        ) is not None and corrected.start() < _MAX_TO_CORRECTION:
            return rest[corrected.end() :]
        labelled = _LABELLED_ITEMS.match(rest)
        stated = labelled.group() if labelled else _formula_at_start(rest)
        if stated is None:
            end = _SENTENCE_END.search(rest)
            stated = rest[: end.start()] if end else rest
        if re.search(r"\w", stated):
            return NOT_BUT.sub("", DENIED_BEHIND.sub("", stated))
    return None


def _phrases_from_the_end(text: str) -> Iterator[re.Match[str]]:
    """The phrases that state an answer, the last first, sought around the words that they hold."""
    lower = text.lower()
    if len(lower) != len(text):
        yield from reversed(list(_PHRASE.finditer(text)))
        return
    places = sorted({place for hint in _HINTS for place in _places(lower, hint)}, reverse=True)
    before = len(text) + 1
    for place in places:
        if place >= before:
            continue
        near = _PHRASE.finditer(text, max(0, place - _AROUND), place + 3 * _AROUND)
        match = next((one for one in near if one.start() <= place < one.end()), None)
        if match is not None:
            before = match.start()
            yield match


def _places(text: str, hint: str) -> Iterator[int]:
    place = text.find(hint)
    while place >= 0:
        yield place
        place = text.find(hint, place + 1)


def _formula_at_start(rest: str) -> str | None:
    """The formula between LaTeX's delimiters that a text begins with, over lines; else None.

    Only where nothing but the end of the sentence, a unit or a new line follows.
    """
    for opener, closer in (("\\[", "\\]"), ("$$", "$$"), ("\\(", "\\)"), ("$", "$")):
        if not rest.startswith(opener):
            continue
        end = rest.find(closer, len(opener))
        held = rest[len(opener) : end] if end > 0 else None
        if held is None or not _ENDS_THERE.match(rest, end + len(closer)):
            return None
        return rest[: end + len(closer)]
    return None
