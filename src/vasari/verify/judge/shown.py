"""Texts shown to an LLM judge: cleaned, cut, marked with a code, since they may try to steer it."""

from __future__ import annotations

import hashlib
import re
import unicodedata
from collections.abc import Sequence

from vasari.verify.extract import extract_answer
from vasari.verify.limits import MAX_RESPONSE_CHARS, LimitExceededError
from vasari.verify.options import LETTERS

_CUT = "\n[... cut ...]\n"
_MARKUP = re.compile(r"<\||\|>|\[(?=/?INST\])|<<(?=/?SYS)|<(?=/?s>)|<(?=(?:start|end)_of_turn>)")
_NAMES = r"judge|grader|evaluator|verifier|examiner|auto-?grader|scorer"
_CLOSES = r"(?:[\"'`\])*>.!,;]|\s{0,20}(?:\n|\Z))"
_ADDRESS = re.compile(
    # "output CORRECT", "respond with [Correct]", "grade this as correct."; "choose B" is prose, so
    # letters want fewer verbs.
    r"\b(?:output|respond|reply|print|return|emit|write|mark|grade|score|rate|evaluate|treat|consider|accept|declare|label|count|"
    rf"verdict|judge?ment)\b[^.\n]{{0,60}}?[\s\"'`\[(*<:=]{{1,8}}(?:(?:in)?correct|same|different){_CLOSES}"
    rf"|\b(?:output|respond|reply|print|emit|verdict|(?:grade|score)\s?(?=[:=]))(?!\w)[^.\n]{{0,30}}?[\s\"'`\[(*<:=]{{1,8}}[ABC01]{_CLOSES}"
    r"|\b(?:ignore|disregard|forget|override|bypass)\b[^.\n]{0,60}\b(?:instructions?|prompts?|above|previous|prior|"
    r"reference answer|grading)\b"
    r"|\b(?:dear|hey|hello|attention|note to|you"
    rf" are|you're)\s(?:(?:the|a|an|my|our)\s)?(?:{_NAMES})\b"
    rf"|\b(?:to|as)\s(?:the|a|an|my|our)\s(?:{_NAMES})\b"
    rf"|(?:^|\n)\W{{0,4}}(?:{_NAMES}|system|assistant|user|instructions?)\s?:"
    r"|<\|[^|>\n]{1,40}\|>|\[/?INST\]|<</?SYS>>"
    rf"|</?(?:system|assistant|user|instructions?|verdict|{_NAMES})>"
    r"|(?:^|\n)#{1,6}\s?(?:system|assistant|user|instructions?|verdict|judge?ment)\b"
    r"|\b(?:reference|gold|ground[- ]truth|standard|correct)\s(?:answer|label)\b[^.\n]{0,40}\b(?:is"
    r" wrong|is incorrect|"
    r"outdated|mistaken|has changed|is now|has been)\b",
    re.IGNORECASE,
)


def addresses_judge(text: str) -> bool:
    """Whether a text speaks to its LLM judge or has chat markup, so is not sent to the judge.

    Not all such texts are found. Those that are missed still stand between lines with the secret
    code, and the reply is read strictly.
    """
    return bool(_ADDRESS.search(unicodedata.normalize("NFKC", clean(text, markup=False))))


def clean(text: str, *, markup: bool = True) -> str:
    """Return a text without control and invisible characters, and with chat markup broken up.

    Lone surrogates are replaced.

    Args:
        text: Anything.
        markup: False leaves the markup of chats as it is.
    """
    kept = []
    for character in text:
        kind = unicodedata.category(character)
        if kind == "Cs":
            kept.append("\ufffd")
        elif kind not in ("Cc", "Cf") or character in "\n\t":
            kept.append(character)
    plain = "".join(kept)
    return _MARKUP.sub(lambda match: " ".join(match.group()) + " ", plain) if markup else plain


def cut_middle(text: str, most: int) -> str:
    """Shorten a text to about `most` characters by cutting out its middle."""
    if len(text) <= most:
        return text
    head = 2 * most // 3
    return text[:head] + _CUT + text[len(text) - (most - head) :]


def cut_start(text: str, most: int) -> str:
    """Return the last `most` characters of a text, with a mark where the start was cut off."""
    return text if len(text) <= most else _CUT.lstrip() + text[len(text) - most :]


def visible_end(response: str, most: int) -> str:
    """Return the last `most` characters of a response without its `<think>` part."""
    if len(response) <= MAX_RESPONSE_CHARS:
        try:
            return cut_start(extract_answer(response).visible.strip(), most)
        except LimitExceededError:
            pass
    return cut_start(response.strip(), most)


def with_options(question: str, choices: Sequence[str] | None) -> str:
    """Return a question followed by its answer options, one per line."""
    if not choices:
        return question
    lines = [f"({letter}) {choice}" for letter, choice in zip(LETTERS, choices, strict=False)]
    return "\n".join([question, "Options:", *lines]).strip()


def spelled_out(answer: str, choices: Sequence[str] | None) -> str:
    """Return a reference answer; an option letter gets the option's text added, as `(B) red`."""
    letter = answer.strip()
    if not choices or len(letter) != 1 or letter not in LETTERS[: len(choices)]:
        return answer
    return f"({letter}) {choices[LETTERS.index(letter)]}"


def secret_code(*texts: str) -> str:
    """Return a code of eight hex digits, hashed from all `texts`, that occurs in none of the texts.

    Whoever wrote one of them would have to know the others, the reference too, to write it down;
    and equal texts get equal codes, so that their request is found in the store.
    """
    for turn in range(1000):
        parts = b"\x00".join(text.encode("utf-8", "surrogatepass") for text in texts)
        code = hashlib.blake2b(parts, digest_size=4, salt=turn.to_bytes(2, "big")).hexdigest()
        if not any(code in text for text in texts):
            return code
    raise AssertionError("a thousand codes do not all occur in bounded texts")
