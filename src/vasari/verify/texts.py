"""Whether an answer in words is the reference: a name, a phrase, yes or no."""

from __future__ import annotations

import re

from vasari.verify.answer import Answer
from vasari.verify.moments import moments_in
from vasari.verify.normalise import loosen, normalise
from vasari.verify.prose_patterns import DENIED_BEHIND
from vasari.verify.quantities import Decision
from vasari.verify.regions import regions_equal
from vasari.verify.signs import with_signs

_YES = frozenset({"yes", "true", "correct", "right", "是", "是的", "对", "正确", "√", "✓"})
_NO = frozenset({"no", "false", "incorrect", "wrong", "否", "不是", "错", "错误", "不对", "×", "✗"})
_OPENING = re.compile(
    r"(?:the answer is )?(yes|no|true|false|是的|不是|是|否|对|错)(?![\w-])", re.IGNORECASE
)
_TWO_WAYS = re.compile(
    r"\b(?:or|maybe|perhaps|not sure|unsure|but)\b|或|可能|\byes\b.*\bno\b|\bno\b.*\byes\b",
    re.IGNORECASE,
)
_NAMED_SIGN = re.compile(r"\\(?=[a-z])|(?<=[∥⊥∠△])\s|\s(?=[∥⊥])")
_SPOKEN_SIDE = re.compile(
    r"(?:\A|[,.?!;:]\s|\b(?:so|say|is|be)\s)(yes|no|true|false)(?=\W*(?:\Z|[,.!;]))", re.IGNORECASE
)
_CHINESE_SIDE = re.compile(r".{0,30}?(?:是|判断|标注|说法|结论)?(不正确|不对|错误|正确|对|错)的?")
_SUBJECT = re.compile(
    r"(?:[^,.]{1,40}, |(?:so|thus|therefore|hence),? )?(?:(?:it|this|that|they|these|he|she) "
    r"|(?:the|this|that|its|their|his|her|my) (?:[\w'-]+ ){1,6}?)"
    r"(?:is|are|was|were|would be|should be|must be|will be|shows|depicts|called"
    r"|named)(?: called| named)? (?P<rest>.+)",
    re.IGNORECASE,
)
_NEGATION = re.compile(r"\b(?:not|cannot|never|nor|neither|[a-z]+n't)\b", re.IGNORECASE)


def texts_match(found: str, reference: str) -> Decision:
    """Compare an answer with a reference of plain words.

    By its words in lower case, with every sign that carries meaning; of a sentence, by what it says
    its subject is; for yes and no, by the word that opens it; times and dates in any spelling.

    Args:
        found: As extracted.
        reference: Normalised.
    """
    text = normalise(found)
    text = DENIED_BEHIND.sub("", text)
    words, wanted = _words(text), _words(reference)
    if words and words == wanted:
        return Decision(True, "text")
    side = _side(wanted)
    if side is not None:
        return _yes_or_no(text, words, right=side)
    read, expected = Answer(found), Answer(reference)
    if read.region is not None and expected.region is not None:
        return Decision(regions_equal(read.region, expected.region), "symbolic")
    if expected.moment is not None and (moments := moments_in(text)):
        same = len(moments) == 1 and moments[0].equals(expected.moment)
        return Decision(same, "text", "" if same else "the times or dates differ")
    if read.moment is not None and expected.moment is not None:
        same = read.moment.equals(expected.moment)
        return Decision(same, "text", "" if same else "the times or dates differ")
    if read.ratio is not None and expected.ratio is not None and read.ratio == expected.ratio:
        return Decision(True, "number")
    sentence = _SUBJECT.fullmatch(re.sub(r"\b([Ii]t|[Tt]hat)'s ", r"\1 is ", text))
    if sentence is not None and not _NEGATION.search(text):
        rest = _words(sentence.group("rest"))
        if rest and rest == wanted:
            return Decision(True, "text")
    return Decision(False, "text", f"the words differ: {_shown(text)!r}, not {_shown(reference)!r}")


def _words(text: str) -> str:
    return _NAMED_SIGN.sub("", loosen(with_signs(text)))


def _side(words: str) -> bool | None:
    return True if words in _YES else False if words in _NO else None


def _yes_or_no(text: str, words: str, *, right: bool) -> Decision:
    side = _side(words)
    opening = _OPENING.match(text)
    if side is None and (chinese := _CHINESE_SIDE.fullmatch(text)) and not text.isascii():
        side = _side(chinese.group(1)) if chinese.group(1) != "不正确" else False
    if side is None and opening is not None and not _TWO_WAYS.search(text):
        side = _side(opening.group(1).casefold())
    if side is None and not _TWO_WAYS.search(text):
        spoken = [] if _NEGATION.search(text) else _SPOKEN_SIDE.findall(text)
        said = {_side(word.casefold()) for word in spoken}
        side = said.pop() if len(said) == 1 else None
    if side is None:
        return Decision(False, "text", "the answer says neither yes nor no")
    return Decision(side == right, "text", "" if side == right else f"it says {words[:40]!r}")


def _shown(text: str) -> str:
    return text if len(text) <= 40 else text[:37] + "..."
