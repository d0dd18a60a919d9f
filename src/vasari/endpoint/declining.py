"""Tells a model that declines to answer, in prose, from one that answers."""

from __future__ import annotations

import re

_LONGEST = 600
"""Characters; a model that declines says little else."""
_CANNOT = (
    r"(?:can(?:no|['\u2019]?)t|can not|won['\u2019]?t|will not|must decline to"
    r"|(?:am|['\u2019]m|are) (?:not able|unable) to)"
)
_SORRY = (
    r"(?:(?:(?:i['\u2019]m|i am|we['\u2019]re)? ?(?:very |so |really )?sorry|apologies"
    r"|unfortunately|i apologi[sz]e|as an ai[^.]{0,60})[,.:;!]?\s*(?:but )?)?"
)
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


_STATES_AN_ANSWER = re.compile(r"\\boxed|<answer|\banswer\s?(?:is|:|=)", re.IGNORECASE)


def declines(text: str) -> bool:
    """Whether a response says no more than that its model will not help with the request.

    "I cannot find x" is an answer, if a poor one, and so is what states one beside it.
    """
    said = text.rsplit("</think>", 1)[-1].strip()
    if len(said) > _LONGEST or not _REFUSAL.match(said):
        return False
    return not _STATES_AN_ANSWER.search(said)
