"""What a model thinks before it answers, in any of the tags that models and templates use."""

from __future__ import annotations

import re

_THINKING = re.compile(
    r"think|thought|reason|reflect|scratch|monolog|dialogue|self.?talk|analy[sz]|rationale|deliberat"
    r"|contemplat|ponder|brainstorm|introspect|cogitat|ruminat|musing|meditat|chain.?of|conscious"
    r"|denk|gedank|überleg|pens[éaoi]|razona|raisonn|réflex|ragiona|racioc|мысл|дума|рассужд|思|推理"
    r"|分析|(?:\A|[\s_:-])cot(?:\Z|[\s_:-])",
    re.IGNORECASE,
)
"""Names of tags that speak of thinking."""
_ASIDE = re.compile(
    r"(?:\A|[\s_:-])(?:plan|planning|drafts?|notes|workings?|consider|critique|inner|internal"
    r"|hidden)(?:\Z|[\s_:-])",
    re.IGNORECASE,
)
"""Names of tags that hold no answer either; in square brackets, unclosed, a heading."""
_NAME = r"[^\W\d][\w:.-]{0,40}"
_TAG = re.compile(
    # One set of first characters, so that the rest of a text is passed over quickly.
    r"[◁<&\[【](?:(?<=◁)(?P<kimi_close>/?)think▷"
    r"|(?<=<)(?:\|?(?P<word>start|begin|end)_(?:of_)?(?:thought|thinking|reasoning|working_?out)\|?>"
    r"|\|channel\|>(?P<channel>analysis|commentary|final)(?:<\|message\|>)?"
    r"|\|(?P<end>end|return|call)\|>"
    r"|(?P<gemma>\|channel|channel\||unused94|unused95)>(?:thought\b)?)"
    r"|(?:(?<=<)|(?<=&)lt;)(?P<close>/?)\s?\|?"
    rf"(?P<name>{_NAME})(?:\s[^<>\n]{{0,80}}?)?\s?/?\|?(?:>|&gt;)"
    rf"|(?<=[\[【])(?P<bracket_close>/?)(?P<bracket_name>{_NAME}(?:\s{_NAME}){{0,2}})[\]】](?![(:]))",
    re.IGNORECASE,
)
_FENCED = re.compile(
    r"```(?:think|thinking|thoughts?|reasoning)\n.*?(?:```|\Z)|<details[^<>]{0,80}>\s*<summary>"
    r"[^<>]{0,80}(?:think|thought|reason)[^<>]{0,80}</summary>.*?(?:</details>|\Z)",
    re.DOTALL | re.IGNORECASE,
)


def outside_thought(text: str, *, until: re.Pattern[str]) -> str:
    """Return a response without its thoughts.

    An unclosed thought hides what follows, up to a match of `until` (the tag of an answer); a tag
    that closes no thought hides all before it.
    """
    if "```" in text or "<summary>" in text:
        text = _FENCED.sub(" ", text)
    if not ("<" in text or "[" in text or "◁" in text or "&lt;" in text or "【" in text):
        return text
    pieces: list[str] = []
    position, opener = 0, None
    for match in _TAG.finditer(text):
        if not _is_of_thought(match, opener):
            continue
        if _closes(match):
            if opener is None:
                pieces.clear()
            opener = None
        elif opener is None:
            pieces.append(text[position : match.start()])
            opener = match.group("name") or ""
        position = match.end()
    tail = text[position:]
    if opener is not None:
        answer = until.search(tail)
        tail = tail[answer.start() :] if answer else ""
    pieces.append(tail)
    return " ".join(pieces)


def _is_of_thought(match: re.Match[str], opener: str | None) -> bool:
    """Whether a tag is one of thoughts, by its name if it is not of a template that we know.

    Args:
        match: Of `_TAG`.
        opener: Name of the tag of the thought that is open, "" for a template's; None if none is.
    """
    if match.group("end"):
        return opener is not None
    if bracketed := match.group("bracket_name"):
        closed = f"/{bracketed}" in match.string
        if _THINKING.search(bracketed):
            return closed or " " not in bracketed
        return closed and bool(_ASIDE.search(bracketed))
    name = match.group("name")
    if not name or _THINKING.search(name) or _ASIDE.search(name) or name == opener:
        return True
    # <details type="reasoning">, <inner thoughts>
    return bool(_THINKING.search(match.group())) and f"</{name}" in match.string


def _closes(match: re.Match[str]) -> bool:
    found = match.groupdict()
    if found["channel"]:
        return found["channel"].casefold() == "final"
    if found["gemma"]:
        return found["gemma"] in ("channel|", "unused95")
    if found["word"]:
        return found["word"].casefold() == "end"
    return bool(found["end"] or found["close"] or found["bracket_close"] or found["kimi_close"])
