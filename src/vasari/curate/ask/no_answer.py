"""Tells a response that is no answer of the model from a wrong answer.

A filter that cut the answer, an empty text and "I can't help with that" say nothing about a prompt:
counted as wrong answers they would make a prompt hard that nobody has tried to solve.
"""

from __future__ import annotations

import re
from typing import Final

from vasari.endpoint import Response
from vasari.verify import extract_answer
from vasari.verify.limits import LimitExceededError

NO_ANSWER: Final = {
    "withheld": "a content filter of the server ended the answer",
    "empty": "the answer holds no text",
    "declined": "the model declines to answer",
}
"""Why a response is no answer, by name."""

# OpenAI, Azure; Anthropic; Gemini; Zhipu.
_FILTERS: Final = frozenset(
    {
        *("content_filter", "content_filtered", "refusal", "sensitive", "safety", "recitation"),
        *("prohibited_content", "blocklist", "spii", "image_safety", "model_armor"),
    }
)
_LONGEST_REFUSAL = 600
"""Characters; a model that declines says little else."""
_CANNOT = (
    r"(?:can(?:no|['\u2019]?)t|can not|won['\u2019]?t|will not|must decline to"
    r"|(?:am|['\u2019]m|are) (?:not able|unable) to)"
)
_SORRY = (
    r"(?:(?:(?:i['\u2019]m|i am|we['\u2019]re)? ?(?:very |so |really )?sorry|apologies"
    r"|unfortunately|i apologi[sz]e|as an ai[^.]{0,60})[,.:;!]?\s*(?:but )?)?"
)
# "I cannot find x" and "I can't see the picture" are answers, if poor ones.
_HELP = (
    r"(?:help|assist|comply|fulfil|engage|continue|discuss|support"
    r"|(?:process|answer|respond to|complete|provide)\b[^.]{0,40}"
    r"\b(?:request|content|topic|kind of|type of|information))"
)
_AGAINST = (
    r"(?:i['\u2019]m|i am) sorry,? (?:but )?(?:this|that|your) (?:request|content|image|question)\b"
    r"[^.]{0,40}\b(?:violates?|against|not allowed|inappropriate)"
)
_CHINESE = (
    r"(?:\u62b1\u6b49|\u5bf9\u4e0d\u8d77|\u5f88\u62b1\u6b49)[\uff0c, ]{0,2}\u6211?"
    r"(?:\u65e0\u6cd5|\u4e0d\u80fd)(?:\u63d0\u4f9b|\u56de\u7b54|\u5e2e\u52a9|\u534f\u52a9|\u5904\u7406)"
)
_REFUSAL = re.compile(
    rf"\A\W*(?:{_SORRY}(?:i|we)? ?{_CANNOT} (?:\w+ )?{_HELP}|{_AGAINST}|{_CHINESE})", re.IGNORECASE
)


def no_answer(response: Response) -> str:
    """Why a response is no answer of the model, one of `NO_ANSWER`; empty if it is an answer.

    An answer that the token limit cut off is one: another limit may be asked for.
    """
    if response.finish_reason.casefold() in _FILTERS:
        return "withheld"
    if response.truncated:
        return ""
    text = response.text.rsplit("</think>", 1)[-1].strip()
    if not response.text.strip():
        return "empty"
    if len(text) > _LONGEST_REFUSAL or not _REFUSAL.match(text):
        return ""
    try:
        states_one = extract_answer(response.text).source in ("block", "box", "phrase")
    except LimitExceededError:
        states_one = True
    return "" if states_one else "declined"
