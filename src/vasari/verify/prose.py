"""Reading answers from plain sentences: the option that a conclusion names, or its number.

Used only where no box, answer block or "the answer is" gives an answer. A sentence that declines to
answer has none, nor has one that names several options or no number.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence

from vasari.verify.choices import LETTERS, letters_of_text, named_letters, option_words
from vasari.verify.normalise import loosen, normalise
from vasari.verify.prose_patterns import (
    ANSWERS,
    BECAUSE,
    BREAK,
    CLAUSE_END,
    CONCLUDES,
    CONDITION,
    COPULA,
    DATES,
    DECLINES,
    EQUATED,
    JOINT,
    LABEL_AT_START,
    LABELLED_LINE,
    LABELS,
    LAST_LINE,
    LETTER_AT_END,
    LETTER_NAMED,
    LIST_HEADING,
    LIST_LINE,
    MARKED,
    NEGATED,
    NOT,
    NUMBER_WORDS,
    NUMERAL,
    REJECTS,
    RESULT,
    SO,
    SPOKEN,
    SPOKEN_AT_END,
    THING_NAMED,
    YEAR,
    YES_NO,
)

MAX_TAIL_CHARS = 2_000
"""Characters at each end of a response that are read as sentences."""

MAX_LOOSE_NUMERALS = 4
"""Most numbers in a sentence from which one is chosen; a sentence with more is a list."""

MIN_SPELLED_WORDS = 4
"""Words, numbers and signs of an option that a last line may spell out without its label."""

MAX_DIGITS = 40
"""Characters of a number that is read in prose."""


def stated_option(text: str, choices: Sequence[str] | None) -> str | None:
    """Return the letter of the option that plain sentences give as the answer, or None.

    In this order: "option B ... is correct"; a last line that is a letter; a line of its own that
    spells an option out, with its label or as the last line; a response that opens with a label
    ("(B) ...", "B, because"), or with yes, no, true or false where these are options; a sentence
    that concludes, the last and the first sentence, if it names one option only, by its letter, its
    words or its number; for the options yes and no, a first sentence that denies.
    """
    head, tail = text[:MAX_TAIL_CHARS], text[-MAX_TAIL_CHARS:]
    marked = [match for match in MARKED.finditer(tail) if not REJECTS.search(match.group())]
    if marked:
        return next(group for group in marked[-1].groups() if group)
    last = LAST_LINE.search(tail)
    if last:
        return last.group(1)
    spelled = _spelled_out(tail, choices)
    if spelled is not None:
        return spelled
    plain = _without_lists(tail, choices)
    opened = _opening(head, choices) if plain == tail else None
    if opened is not None:
        return opened or None
    if plain != tail:
        head, tail = plain[:MAX_TAIL_CHARS], plain
    for sentence in _likely_sentences(head, tail):
        letter = _named_in(sentence, choices)
        if letter:
            return letter
        if DECLINES.search(sentence):
            return None
    return _denial(head, choices)


def stated_number(text: str) -> str | None:
    """Return the number that plain sentences give as the answer, such as "12" or "5%", or None."""
    for sentence in _likely_sentences(text[:MAX_TAIL_CHARS], text[-MAX_TAIL_CHARS:]):
        found = number_in(sentence)
        if found is not None or DECLINES.search(sentence):
            return found
    return None


def declines(sentence: str) -> bool:
    """Whether a sentence says that no answer can be given."""
    return bool(DECLINES.search(sentence))


def number_in(sentence: str) -> str | None:
    """Return the number that a sentence gives as its answer; None if it gives none or declines.

    It is the number after the last "=", else after the first "is" (a condition before the first
    comma, and what goes before "so", do not count), else the only number, the number that opens the
    sentence, or the last that is no year and no figure's number.
    """
    if DECLINES.search(sentence):
        return None
    for start in _clause_starts(sentence):
        numerals = [
            numeral
            for numeral in NUMERAL.finditer(sentence, start)
            if len(numeral.group()) <= MAX_DIGITS
        ]
        if numerals:
            main = _main(sentence, numerals)
            return None if main is None else _digits(main)
    return None


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
        return given[-1] if equated else given[0]
    if len(numerals) > 1 and JOINT.fullmatch(sentence[numerals[0].end() : numerals[1].start()]):
        return None
    if len(numerals) > MAX_LOOSE_NUMERALS:
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
        return NUMBER_WORDS[numeral.group("word").casefold()]
    return re.sub(r"[\s$€£¥]", "", numeral.group("digits")).replace("\u2212", "-")


def _likely_sentences(head: str, tail: str) -> Iterator[str]:
    """The sentences that may hold the answer, likeliest first, each once.

    The last that concludes ("therefore"), the last, the last that says "answer", the last that
    begins with "so", the first.
    """
    sentences = [
        sentence for sentence in BREAK.split(tail) if sentence and re.search(r"\w", sentence)
    ]
    if not sentences:
        return
    concluding = [sentence for sentence in sentences if CONCLUDES.match(sentence)]
    opening = next(
        (sentence for sentence in BREAK.split(head) if sentence and re.search(r"\w", sentence)), ""
    )
    weak = [sentence for sentence in sentences if SO.match(sentence)]
    seen: set[str] = set()
    answering = [sentence for sentence in sentences if ANSWERS.search(sentence)]
    for sentence in (*concluding[-1:], sentences[-1], *answering[-1:], *weak[-1:], opening):
        if sentence and sentence not in seen:
            seen.add(sentence)
            yield sentence


def _without_lists(text: str, choices: Sequence[str] | None) -> str:
    """A text without the lines that only list options.

    These are two or more labelled lines, or lines that are different options.
    """
    lines = text.splitlines()
    bare = [re.sub(r"^\W*\d{1,2}[.)]\s*", "", line).strip() for line in lines]
    options = [letters_of_text(line, choices) if line and choices else frozenset() for line in bare]
    listing = len({letters for letters in options if letters}) > 1
    labelled = [bool(LIST_LINE.match(line)) for line in lines]
    listed = sum(labelled) > 1
    if not listing and not listed:
        return text
    kept = zip(lines, options, labelled, strict=True)
    return "\n".join(
        line
        for line, letters, label in kept
        if not (listing and letters) and not (listed and label)
    )


def _spelled_out(tail: str, choices: Sequence[str] | None) -> str | None:
    """The letter of the one option on a line of its own; None where several have one.

    "G. its text", last or after a colon; or the option's long text as the last line.
    """
    lines = [line.strip(" *_\t") for line in tail.splitlines() if line.strip(" *_\t")]
    if not choices or len(lines) < 2:
        return None
    options = [_bare(choice) for choice in choices]
    labelled = [
        (place, match.group(1))
        for place, line in enumerate(lines)
        if (match := _own_label(line, options))
    ]
    if labelled:
        place, letter = labelled[-1]
        above = lines[place - 1] if place else ""
        ends = place == len(lines) - 1 or above.endswith(":")
        alone = len({letter for _, letter in labelled}) == 1 and not LIST_HEADING.fullmatch(above)
        return letter if ends and alone else None
    last = _bare(lines[-1])
    if (
        len(last) < MIN_SPELLED_WORDS
        or options.count(last) != 1
        or any(_bare(line) in options for line in lines[:-1])
    ):
        return None
    return LETTERS[options.index(last)]


def _own_label(line: str, options: Sequence[tuple[str, ...]]) -> re.Match[str] | None:
    """The label of a line that is an option's label and its words."""
    match = LABELLED_LINE.fullmatch(line)
    place = LETTERS.index(match.group(1)) if match else len(options)
    if match is None or place >= len(options):
        return None
    return match if options[place] and _bare(match.group(2)) == options[place] else None


def _bare(text: str) -> tuple[str, ...]:
    """Words, numbers and signs of a text, in any punctuation."""
    return tuple(re.findall(r"[^\W_]+|[-+*/^<>=]", normalise(text).casefold()))


def _opening(head: str, choices: Sequence[str] | None) -> str | None:
    """The label, or the yes or no, that a response begins with; "" when they contradict."""
    head = re.sub(r"^\W*\d{1,2}[.)]\s+", "", head)
    label = LABEL_AT_START.match(head)
    letter = next((group for group in label.groups() if group), "").upper() if label else ""
    line = head[: head.find("\n")] if "\n" in head else head
    if len({match.group(2) for match in LETTER_NAMED.finditer(line) if match.group(2)}) > 1:
        return ""
    if not choices:
        return letter or None
    rest = head[label.end() :].lstrip(" .:)-") if label else head.lstrip(" \"'*")
    clause = CLAUSE_END.split(rest, maxsplit=1)[0]
    spoken = YES_NO.match(rest)
    named = named_letters(spoken.group(1), choices) if spoken else frozenset()
    if not named and letter:
        named = letters_of_text(clause, choices)
    if letter not in LETTERS[: len(choices)]:
        return next(iter(named)) if len(named) == 1 else None
    if letter and named and letter not in named:
        return ""
    return letter or (next(iter(named)) if len(named) == 1 else None)


def _denial(head: str, choices: Sequence[str] | None) -> str | None:
    """The letter of "no", if the options are yes and no and the first sentence denies something."""
    if not choices or {choice.casefold().strip() for choice in choices} != {"yes", "no"}:
        return None
    first = BREAK.split(head.strip(), maxsplit=1)[0]
    denies = NEGATED.search(first) and not DECLINES.search(head)
    return next(iter(named_letters("no", choices))) if denies else None


def _named_in(sentence: str, choices: Sequence[str] | None) -> str | None:
    direct = named_letters(sentence, choices)
    if len(direct) == 1 and (not choices or direct <= set(LETTERS[: len(choices)])):
        return min(direct)
    named = {match.group(1) or match.group(2) for match in LETTER_NAMED.finditer(sentence)}
    at_end = LETTER_AT_END.search(sentence) or (
        THING_NAMED.search(sentence) if _are_letters(choices) else None
    )
    if at_end:
        named.add(at_end.group(1))
    if choices:
        named &= set(LETTERS[: len(choices)])
    declined = declines(sentence)
    if len(named) == 1:
        letter = min(named)
        text = choices[LETTERS.index(letter)] if choices else ""
        if (not declined or declines(text)) and (
            not REJECTS.search(sentence) or REJECTS.search(text)
        ):
            return letter
    if named or not choices:
        return None
    spoken = SPOKEN_AT_END.search(sentence)
    by_word = named_letters(spoken.group(1), choices) if spoken and not declined else frozenset()
    return (
        min(by_word)
        if len(by_word) == 1
        else _option_mentioned(sentence, choices, declined=declined)
    )


def _are_letters(choices: Sequence[str] | None) -> bool:
    """Whether the options are letters only, or unknown: "figure C" is then the option C."""
    return not choices or all(
        choice.strip().upper() == letter for letter, choice in zip(LETTERS, choices, strict=False)
    )


def _option_mentioned(sentence: str, choices: Sequence[str], *, declined: bool) -> str | None:
    """The letter of the one option whose words or number are in a sentence or its main clause."""
    options = [
        (letter, option)
        for letter, option in zip(LETTERS, option_words(tuple(choices)), strict=False)
        if len(option) > 1 and option not in SPOKEN and (not declined or DECLINES.search(option))
    ]
    cut = BECAUSE.search(sentence)
    clauses = (sentence, sentence[: cut.start()]) if cut else (sentence,)
    for clause in clauses:
        found = _mentions(clause, options)
        if len(found) == 1:
            return found[0]
    if found:
        return None
    number = number_in(sentence)
    letters = named_letters(number, choices) if number else frozenset()
    return next(iter(letters)) if len(letters) == 1 else None


def _mentions(clause: str, options: list[tuple[str, str]]) -> list[str]:
    """The letters of the options whose words are in a clause; of nested options, the longer."""
    text = _plain(clause)
    found = []
    for letter, option in sorted(options, key=lambda pair: -len(pair[1])):
        place = text.find(f" {option} ")
        if place >= 0:
            if not NOT.search(text[max(0, place - 30) : place + 1]):
                found.append(letter)
            text = text.replace(f" {option} ", "  #  ")
    return found


def _plain(sentence: str) -> str:
    return f" {loosen(normalise(sentence))} "
