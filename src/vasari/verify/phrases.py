"""What a response says after "the answer is", in several languages."""

from __future__ import annotations

import itertools
import re
from collections.abc import Iterator

from vasari.verify.claims import opens_question
from vasari.verify.prose_patterns import CORRECTED, DENIED_BEHIND, DOUBTS, NOT_BUT

_MAX_LIST_CHARS = 4_000
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
_SENTENCE_END = re.compile(r"\.(?=[\"']?(?:\s|\Z))|[\n。]|(?<=!)(?=\s+[A-Z][a-z])")
_LABELLED_ITEMS = re.compile(r"[A-Z]\. [^.\n]{1,200}?(?:,|;| and) [A-Z]\. [^.\n]{1,200}")
_ENDS_THERE = re.compile(r"[\s*]*(?:[.。!]|\n|\Z)")
_INLINE_LABEL = re.compile(r"(?:(?<=\s)|(?<=\()|\A)([A-Z])(?:[.)]\s|(?=\s+\d[.)])|\Z)")
_LISTED_LINE = re.compile(
    r"\s*(?:[-*•]\s+|\d{1,2}[.)]\s+)?(?:(?:[(\[][A-Z][)\]]|[A-Z][.:)])(?:\s+\S.*)?|[A-Z])\s*"
)
_LETTER_ROW = re.compile(r"[A-Za-z](?:\.\s[A-Za-z])+\b\.?(?=\s*(?:\n|\Z))")
_HINTS = (
    "answer", "option", "choice", "solution", "result", "antwort", "lösung", "réponse",
    "respuesta", "resposta", "risposta", "ответ", "答", "####", "ans",
)  # fmt: skip
_STARS = re.compile(r"\*{1,3}(?!\s|\*)|(?<=\S)\*{1,3}")
_AROUND = 32
_MAX_TO_CORRECTION = 200


def _listed_options(rest: str) -> str | None:
    """The lines of a list of options that begins here, if there are several; else None."""
    # A list may be in a formula.
    rest = rest[:_MAX_LIST_CHARS].removeprefix("\\[").removeprefix("$$")
    lines = [line for line in rest.splitlines() if line.strip()]
    if lines and len(set(_INLINE_LABEL.findall(lines[0]))) > 2:
        return lines[0]
    listed = list(itertools.takewhile(_LISTED_LINE.fullmatch, lines))
    return "\n".join(listed) if len(listed) > 1 else None


def stated_after_phrase(text: str) -> str | None:
    """Return the rest of the sentence after the last "the answer is" that has one, or None."""
    for match in _phrases_from_the_end(text):
        if DOUBTS.search(text[max(0, match.start() - 60) : match.start()].rpartition(". ")[2]):
            continue
        if opens_question(text, match.start(), match.end()):
            continue
        rest = text[match.end() :].lstrip(" \t\r\n:*}")
        if (options := _listed_options(rest)) is not None:
            return options
        if (
            corrected := CORRECTED.search(rest)
        ) is not None and corrected.start() < _MAX_TO_CORRECTION:
            return rest[corrected.end() :]
        several = _LABELLED_ITEMS.match(rest) or _LETTER_ROW.match(rest)
        stated = several.group() if several else _formula_at_start(rest)
        if stated is None:
            end = _SENTENCE_END.search(rest)
            stated = rest[: end.start()] if end else rest
        if re.search(r"\w", stated):
            if "*" in stated:
                lead = text[text.rfind("\n", 0, match.start()) + 1 : len(text) - len(rest)]
                stated = _closed(stated, lead)
            return NOT_BUT.sub("", DENIED_BEHIND.sub("", stated))
    return None


def _closed(stated: str, lead: str) -> str:
    """A statement without the stars that close what its line opened: "**Answer: 5!** ..."."""
    opened = [run.group() for run in _STARS.finditer(lead)]
    return stated.replace(opened[-1], "", 1) if len(opened) % 2 else stated


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
