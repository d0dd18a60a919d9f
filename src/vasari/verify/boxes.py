r"""The boxes of a response, `\boxed{}` and its like, in linear time."""

from __future__ import annotations

import re

from vasari.verify.claims import is_denied, opens_question
from vasari.verify.limits import MAX_NESTING, LimitExceededError
from vasari.verify.normalise import normalise

_BARE_BOX = re.compile(r"(?<![a-zA-Z\\\\])boxed\{([^{}]{1,200})\}|\\boxed\s+([^\s{}$\\\\]{1,40})")
_BOX_TOKENS = re.compile(r"<\|begin_of_box\|>(.{0,2000}?)(?:<\|end_of_box\|>|\Z)", re.DOTALL)
_FRAME = re.compile(
    r"\\(?:fbox|framebox(?:\s?\[[^\[\]]{0,20}\]){0,2}|bbox(?:\s?\[[^\[\]]{0,60}\])?"
    r"|fcolorbox\{[^{}]{0,40}\}\{[^{}]{0,40}\})(?=\s{0,8}\{)"
)
_BRACE = re.compile(r"\\boxed\s{0,8}\{|\\[\\{}]|[{}]")
_MAX_BETWEEN = 60
_BETWEEN_BOXES = re.compile(
    r"(?:[a-zA-Z]\s?=|[\s,;.$&:()*/、，；。和或与]|\\[,; ()\[\]]|\b(?:and|or|und|oder|et|ou)\b)*",
    re.IGNORECASE,
)
_OR = re.compile(r"\b(?:or|oder|ou)\b|或", re.IGNORECASE)
_MAX_UNWRAP = 8


def with_whole_boxes(text: str) -> str:
    r"""Return a text whose boxes, also `\fbox{}` and other frames, are all `\boxed{}`."""
    if text.count("box") > text.count("boxed"):
        text = _FRAME.sub(r"\\boxed", text)
    if text.count("boxed") > text.count("\\boxed{"):
        text = _BARE_BOX.sub(_boxed, text)
    if "<|begin_of_box|>" in text:
        text = _BOX_TOKENS.sub(r"\\boxed{\1}", text)
    return text


def _boxed(match: re.Match[str]) -> str:
    """A box that lacks its backslash or its braces, as a whole one."""
    return f"\\boxed{{{match.group(1) or match.group(2)}}}"


def boxed_answers(text: str) -> list[str]:
    r"""Return the contents of all outermost closed boxes in a text, inner boxes unwrapped.

    Raises:
        LimitExceededError: Braces inside a box nest too deep.
    """
    text = with_whole_boxes(text)
    places = _box_places(text) if "boxed" in text else []
    return [_unboxed(text[start:end]) for start, end in places]


def _unboxed(content: str) -> str:
    """What the innermost of boxes in a box holds, the last where there are several."""
    for _ in range(_MAX_UNWRAP):
        inner = _box_places(content) if "boxed" in content else []
        if not inner:
            break
        content = content[slice(*inner[-1])]
    return content


def joint_boxes(text: str) -> list[str]:
    """Return what boxes hold, the empty ones left out; those joined by "and" or commas are one.

    The boxes are those of a text `with_whole_boxes`.
    """
    if "boxed" not in text:
        return []
    found: list[str] = []
    parts: list[str] = []
    last_end = -1
    for start, end in _box_places(text):
        content = _unboxed(text[start:end])
        if not normalise(content):
            continue
        opener = text.rfind("\\boxed", 0, start)
        if is_denied(text, opener) or opens_question(text, opener, end):
            last_end = end
            continue  # "\boxed{C}, not \boxed{B}"
        between = text[last_end + 1 : opener] if last_end >= 0 else "."
        if found and len(between) < _MAX_BETWEEN and _BETWEEN_BOXES.fullmatch(normalise(between)):
            if normalise(content) not in {normalise(part) for part in parts}:
                joint = " or " if _OR.search(between) else ", "
                found[-1] = f"{found[-1]}{joint}{content}"
                parts.append(content)
        else:
            found.append(content)
            parts = [content]
        last_end = end
    return found


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
