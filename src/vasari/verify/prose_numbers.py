"""Reading the number, or the formula, that plain sentences give as the answer."""

from __future__ import annotations

import re

from vasari.verify.claims import UNKNOWN, asks, is_taken_back, refutes, speaks_about
from vasari.verify.normalise import DOLLAR, normalise
from vasari.verify.numbers import parse_number
from vasari.verify.prose_patterns import (
    BLANK,
    BOLD,
    BOUND,
    BRACKETED,
    BREAK,
    CHANGED,
    CHINESE_NUMERAL,
    CONDITION,
    COPULA,
    CORRECTED,
    DATES,
    DECLINES,
    DESCRIBES,
    DOUBTS,
    EQUATED,
    FIRST_WORD,
    FORMULA_SIGNS,
    FORMULA_STARTS,
    IN_TOTAL,
    JOINT,
    LABELS,
    LEFT_SIDE,
    MINUS_BEFORE,
    MORE_THAN,
    NEGATES,
    NOT_BUT,
    NUMERAL,
    OF_THE_ANSWER,
    QUOTED_NUMBER,
    REASON,
    RESULT,
    SUMS_UP,
    TABLE_LINE,
    UNFINISHED,
    VERB,
    WORDS,
    YEAR,
)
from vasari.verify.sentences import MAX_TAIL_CHARS, likely_sentences
from vasari.verify.units import is_measure, split_unit
from vasari.verify.words import words_value

MAX_LOOSE_NUMERALS = 4
"""Most numbers in a sentence from which one is chosen; a sentence with more is a list."""

MIN_TABLE_LINES = 3
"""Fewest numbered lines, with a name and a number each, that are a table and no answer."""

MAX_UNIT_WORDS = 4
"""Words behind a number among which its scale and its unit are."""

MAX_DIGITS = 40
"""Characters of a number that is read in prose."""


def stated_number(text: str) -> str | None:
    """Return the number that plain sentences give as the answer, such as "12" or "5%", or None."""
    if UNFINISHED.search(text[-60:]):
        return None
    text = _without_table(text)
    for sentence in likely_sentences(text[:MAX_TAIL_CHARS], text[-MAX_TAIL_CHARS:]):
        stated = _read(sentence)
        if stated is not None:
            return stated or None
    return None


def _without_table(text: str) -> str:
    """A text without the numbered lines "2. pears: 4" that it ends in, unless they sum up."""
    lines = text.rstrip().splitlines()
    rows = [TABLE_LINE.fullmatch(line) for line in lines]
    start = len(rows)
    while start and rows[start - 1]:
        start -= 1
    found = [row for row in rows[start:] if row]
    different = len({row.group("number") for row in found}) > 1
    if len(found) < MIN_TABLE_LINES or not different or SUMS_UP.search(found[-1].group("of")):
        return text
    return "\n".join(lines[:start])


def number_in(sentence: str) -> str | None:
    """Return the number that a sentence gives as its answer; None if it gives none or declines.

    It is the number after the last "=", else after the first "is" (a condition before the first
    comma, and what goes before "so", do not count), else the only number, the number that opens the
    sentence, or the last that is no year and no figure's number. A bound ("more than 5") is none,
    nor is one of several ("5 or 7").
    """
    return _read(sentence) or None


def _read(sentence: str) -> str | None:
    """The number that a sentence gives; "" if it gives none on purpose; None if it has none."""
    if asks(sentence) or BLANK.search(sentence):
        return None
    if _withholds(sentence):
        return ""
    if corrected := CORRECTED.search(sentence):
        sentence = sentence[corrected.end() :]
    sentence = _in_figures(NOT_BUT.sub("", sentence))
    for start in _clause_starts(sentence):
        numerals = [
            numeral
            for numeral in NUMERAL.finditer(sentence, start)
            if len(numeral.group()) <= MAX_DIGITS
        ]
        chosen = _main(sentence, numerals) if numerals else None
        if chosen is not None and _is_changed(sentence, chosen) and _is_given(sentence, chosen):
            return ""
        if chosen is not None and _equates_formula(sentence, chosen):
            return ""
        free = [numeral for numeral in numerals if not _is_changed(sentence, numeral)]
        if not free:
            if numerals:
                return ""
            continue
        main = _main(sentence, free)
        if main is None or _is_one_of_several(sentence, main, numerals):
            return None
        stated = _with_unit(sentence, main)
        return None if stated is None else stated.replace(DOLLAR, "$")
    return None


def formula_in(sentence: str) -> str | None:
    """Return the tuple, interval, equation or matrix that ends a sentence: "The point is (1, 2)".

    None where it ends in something else: a plain number is read by `number_in`.
    """
    sentence = normalise(sentence[-MAX_TAIL_CHARS // 4 :])
    if DECLINES.search(sentence) or UNKNOWN.search(sentence) or asks(sentence):
        return None
    last = [part for part in BREAK.split(sentence) if part.strip()]
    starts = list(FORMULA_STARTS.finditer(last[-1])) if last else []
    for start in starts[-3:]:
        if BOUND.search(last[-1][: start.end()]) or NEGATES.search(last[-1][: start.start()]):
            return None
        rest = last[-1][start.end() :].strip(" .")
        bare = split_unit(normalise(rest)).body
        if FORMULA_SIGNS.search(rest) and not (WORDS.search(rest) and WORDS.search(bare)):
            return rest
    return None


def is_sentence(text: str) -> bool:
    """Whether a text is a sentence with words around a number, and not a number with a remark."""
    if len(text) > MAX_TAIL_CHARS // 4:
        return False
    numeral = NUMERAL.search(text)
    if numeral is None:
        return False
    opens = not re.search(r"\w", text[: numeral.start()])
    if opens and text[numeral.end() :].lstrip()[:1] in (";", ":", "|", "/"):
        return False
    if opens and not VERB.search(text[numeral.end() :]):
        return False
    return len(text.split()) > 3 or (
        not opens and bool(re.search(r"=|\s\S+\s|[\u4e00-\u9fff]", text))
    )


def _withholds(sentence: str) -> bool:
    """Whether a sentence gives no answer: it declines, doubts, breaks off, or takes one back."""
    patterns = (DECLINES, DOUBTS, UNKNOWN)
    return (
        any(pattern.search(sentence) for pattern in patterns)
        or bool(UNFINISHED.search(sentence[-60:]))
        or refutes(sentence)
        or speaks_about(sentence)
    )


def _in_figures(sentence: str) -> str:
    """A sentence in standard spelling, Chinese numbers in figures, without asides and reasons."""
    sentence = normalise(QUOTED_NUMBER.sub(r"\2", BOLD.sub(" ", sentence)))
    if not sentence.isascii():
        sentence = CHINESE_NUMERAL.sub(_chinese_in_figures, sentence)
    sentence = _without_asides(sentence)
    reason = REASON.search(sentence)
    return sentence[: reason.end()] if reason else sentence


def _chinese_in_figures(match: re.Match[str]) -> str:
    value = words_value(match.group())
    return match.group() if value is None else str(value)


def _without_asides(sentence: str) -> str:
    """A sentence without brackets behind a number: "$70,000 ($200,000 - $130,000)"."""
    numeral = NUMERAL.search(sentence)
    if numeral is None:
        return sentence
    return sentence[: numeral.end()] + BRACKETED.sub("", sentence[numeral.end() :])


def _is_changed(sentence: str, numeral: re.Match[str]) -> bool:
    """Whether the words beside a number make it a bound or another: "more than 5", "half of 5"."""
    before = sentence[max(0, numeral.start() - 40) : numeral.start()]
    if BOUND.search(before) or is_taken_back(sentence, numeral.start(), numeral.end()):
        return True
    changed = CHANGED.match(sentence, numeral.end())
    if changed is None:
        return False
    # "It is 5 more than 7", and not "a mat costs 5 more than a towel".
    return (
        not MORE_THAN.search(changed.group())
        or not re.search(r"\w", before)
        or bool(OF_THE_ANSWER.search(before))
    )


def _is_one_of_several(sentence: str, main: re.Match[str], numerals: list[re.Match[str]]) -> bool:
    """Whether a number stands in a row of numbers: "3, 5 and 7", "5, or maybe 7"."""
    place = numerals.index(main)
    return any(
        JOINT.fullmatch(_between(sentence, numerals[left], numerals[left + 1]))
        for left in (place - 1, place)
        if 0 <= left < len(numerals) - 1
    )


def _between(sentence: str, left: re.Match[str], right: re.Match[str]) -> str:
    """What stands between two numbers, without a unit that both have."""
    between, after = sentence[left.end() : right.start()], sentence[right.end() :]
    first, second = FIRST_WORD.match(between), FIRST_WORD.match(after)
    if first is not None and second is not None and first.group(1) == second.group(1):
        return between[first.end() :]
    return between


def _with_unit(sentence: str, numeral: re.Match[str]) -> str | None:
    """A number with the scale, unit or currency that the sentence gives it; else its digits.

    None where letters stand right behind it that are no unit, as in "2abc".
    """
    digits = _digits(numeral)
    if MINUS_BEFORE.search(sentence[max(0, numeral.start() - 12) : numeral.start()]):
        digits = f"-{digits}"
    after = sentence[numeral.end() : numeral.end() + 60]
    joined = re.match(r"[A-Za-z\u00b0][^\s\u4e00-\u9fff。，]*|[\u4e00-\u9fff]", after)
    words = after.split()[:MAX_UNIT_WORDS]
    for length in range(len(words), 0, -1):
        following = " ".join(words[:length]).rstrip(".,;:!?)。，；")
        if not following:
            continue
        number = parse_number(digits + ("" if joined else " ") + following)
        if number is None:
            continue
        plain = parse_number(digits)
        scaled = plain is not None and number.value != plain.value
        if number.percent or scaled or is_measure(number.unit):
            return digits + ("" if joined else " ") + following
        if joined:
            return digits
    return None if joined and joined.group().isascii() else digits


def _is_given(sentence: str, numeral: re.Match[str]) -> bool:
    """Whether a sentence says of something that it is this number."""
    before = sentence[max(0, numeral.start() - 60) : numeral.start()]
    return bool(COPULA.search(before)) or not re.search(r"\w", before)


def _equates_formula(sentence: str, numeral: re.Match[str]) -> bool:
    """Whether a number is the right side of an equation that is solved for no name: "2x = 10"."""
    before = LEFT_SIDE.search(sentence[max(0, numeral.start() - 60) : numeral.start()])
    if before is None:
        return False
    left = before.group(1)
    if not re.search(r"[a-zA-Z]", left) or "=" in sentence[: before.start(1)]:
        return False
    return bool(re.search(r"[-+*/^]|\d[a-z]|\\(?:frac|sqrt|sin|cos|tan|log|ln)", left))


def _clause_starts(sentence: str) -> list[int]:
    """Where the main clause may begin, best first."""
    results = [match.end() for match in RESULT.finditer(sentence)]
    condition = CONDITION.match(sentence)
    return [*results[-1:], condition.end() if condition else 0]


def _main(sentence: str, numerals: list[re.Match[str]]) -> re.Match[str] | None:
    given = [
        numeral
        for numeral in numerals
        if COPULA.search(sentence[max(0, numeral.start() - 60) : numeral.start()])
    ]
    equated = [
        numeral
        for numeral in given
        if EQUATED.search(sentence[max(0, numeral.start() - 60) : numeral.start()])
    ]
    if given:
        total = IN_TOTAL.search(sentence[: given[-1].start()])
        return given[-1] if equated or total else given[0]
    if len(numerals) > 1 and JOINT.fullmatch(sentence[numerals[0].end() : numerals[1].start()]):
        return None
    if len(numerals) > MAX_LOOSE_NUMERALS:
        return None
    if DESCRIBES.search(sentence[: numerals[0].start()]):
        return None
    if len(numerals) == 1 or not sentence[: numerals[0].start()].strip(" *\"'("):
        return numerals[0]
    loose = [numeral for numeral in numerals if not _named_by(sentence, numeral)]
    return (loose or numerals)[-1]


def _named_by(sentence: str, numeral: re.Match[str]) -> bool:
    """Whether a numeral is a year, or names a figure, a step or the like."""
    before = sentence[max(0, numeral.start() - 20) : numeral.start()]
    text = numeral.group().strip()
    return bool(LABELS.search(before)) or bool(YEAR.fullmatch(text) and DATES.search(before))


def _digits(numeral: re.Match[str]) -> str:
    if numeral.group("word"):
        value = words_value(numeral.group("word"))
        return numeral.group("word") if value is None else str(value)
    return re.sub(r"\s", "", numeral.group("digits"))
