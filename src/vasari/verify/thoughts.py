"""What a model thinks before it answers, in any of the tags that models and templates use."""

from __future__ import annotations

import re

_NAMES = (
    "think|thinking|thought|thoughts|reasoning|reason|reflection|scratchpad|analysis|rationale"
    "|inner_monologue|deliberation|cot"
)
_TAG = re.compile(
    rf"<(?P<close>/?)\|?(?:seed:)?(?:{_NAMES})\|?>"
    rf"|\[(?P<bracket_close>/?)(?:{_NAMES})\]"
    r"|◁(?P<kimi_close>/?)think▷"
    r"|<\|(?P<word>begin|end)_of_(?:thought|thinking)\|>"
    r"|<\|channel\|>(?P<channel>analysis|commentary|final)(?:<\|message\|>)?"
    r"|<\|(?P<end>end|return|call)\|>"
    r"|<(?P<gemma>\|channel|channel\|)>(?:thought\b)?",
    re.IGNORECASE,
)


def outside_thought(text: str, *, until: re.Pattern[str]) -> str:
    """Return a response without its thoughts.

    An unclosed thought hides what follows, up to a match of `until` (the tag of an answer); a tag
    that closes no thought hides all before it.
    """
    if not ("<" in text or "[" in text or "◁" in text):
        return text
    pieces: list[str] = []
    position, opened = 0, False
    for match in _TAG.finditer(text):
        if match.group("end"):
            if opened:
                opened, position = False, match.end()
            continue
        if _closes(match):
            if not opened:
                pieces.clear()
            opened = False
        elif not opened:
            pieces.append(text[position : match.start()])
            opened = True
        position = match.end()
    tail = text[position:]
    if opened:
        answer = until.search(tail)
        tail = tail[answer.start() :] if answer else ""
    pieces.append(tail)
    return " ".join(pieces)


def _closes(match: re.Match[str]) -> bool:
    found = match.groupdict()
    if found["channel"]:
        return found["channel"].casefold() == "final"
    if found["gemma"]:
        return found["gemma"].endswith("|")
    if found["word"]:
        return found["word"].casefold() == "end"
    return bool(found["close"] or found["bracket_close"] or found["kimi_close"])
