"""Text from data put into Markdown, so that it is shown unchanged and starts nothing."""

from __future__ import annotations

import re

_MARKUP = re.compile(r"([\\`*_{}\[\]<>#|!~])")
_TICKS = re.compile("`+")


def plain(text: str) -> str:
    """Put text on one line, escaped so that Markdown and HTML show it unchanged."""
    return (
        _MARKUP.sub(r"\\\1", " ".join(str(text).split()))
        .replace("&", "&amp;")
        .replace("\\<", "&lt;")
        .replace("\\>", "&gt;")
    )


def fenced(text: str, language: str = "") -> list[str]:
    """Return lines of a code block that holds the text, whatever backticks are in it."""
    longest = max((len(ticks) for ticks in _TICKS.findall(text)), default=0)
    fence = "`" * max(3, longest + 1)
    return [f"{fence}{language}", *text.splitlines(), fence]
