"""Reading from plain sentences which option a response gives as its answer.

Used only where no box, answer block or "the answer is" gives an answer. A sentence that declines to
answer has none, nor has one that names several options.
"""

from __future__ import annotations

import re
from collections.abc import Sequence

from vasari.verify.choices import named_letters
from vasari.verify.claims import is_question, is_taken_back
from vasari.verify.normalise import loosen, normalise
from vasari.verify.options import LETTERS, letters_of_text, option_words
from vasari.verify.prose_numbers import formula_in, number_in
from vasari.verify.prose_patterns import (
    AND_ANOTHER,
    AS_CAUSE,
    BECAUSE,
    BOLD,
    BOUND,
    BREAK,
    CLAUSE_END,
    CONCLUDES,
    CONDITION,
    CROSSED_OUT,
    DECLINES,
    DOUBTS,
    FIRST_ITEM,
    ITEM_LETTER,
    LABEL_AND_WORDS,
    LABEL_AT_START,
    LABEL_IN_LINE,
    LABELLED_LINE,
    LAST_LINE,
    LETTER_AT_END,
    LETTER_NAMED,
    LIST_HEADING,
    LIST_LINE,
    MARKED,
    NEGATED,
    NEGATES,
    NOT,
    NUMBERED_ITEM,
    REJECTS,
    SPOKEN,
    SPOKEN_AT_END,
    THING_NAMED,
    YES_NO,
)
from vasari.verify.sentences import MAX_TAIL_CHARS, declines, likely_sentences

_MAX_QUESTION = 200
_OPERATOR = re.compile(r"[-+*/^=]\s?[\w(\\]")

MIN_SPELLED_WORDS = 4
"""Words, numbers and signs of an option that a last line may spell out without its label."""


def stated_option(text: str, choices: Sequence[str] | None) -> str | None:
    """Return the letter of the option that plain sentences give as the answer, or None.

    In this order: "option B ... is correct"; a last line that is a letter; a line of its own that
    spells an option out, with its label or as the last line; a response that opens with a label
    ("(B) ...", "B, because"), or with yes, no, true or false where these are options; a sentence
    that concludes, the last and the first sentence, if it names one option only, by its letter, its
    words or its number; for the options yes and no, a first sentence that denies.
    """
    asks = len(text) < _MAX_QUESTION and is_question(text) and not BREAK.search(text.strip())
    return None if asks else _stated(text, choices)


def _stated(text: str, choices: Sequence[str] | None) -> str | None:
    head, tail = text[:MAX_TAIL_CHARS], text[-MAX_TAIL_CHARS:]
    marked = [match for match in MARKED.finditer(tail) if not REJECTS.search(match.group())]
    if marked:
        return next(group for group in marked[-1].groups() if group)
    if _numbers_letters(tail):
        return None
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
    labelled = _labelled_at_first(head, choices)
    for sentence in likely_sentences(head, tail):
        letter = _named_in(sentence, choices)
        if letter:
            by_letter = LETTER_NAMED.search(sentence) or CONCLUDES.match(sentence)
            return letter if by_letter or not labelled else labelled
        if DECLINES.search(sentence):
            return None
    return _denial(head, choices)


def _numbers_letters(text: str) -> bool:
    """Whether a text ends in a numbered list whose items give different letters: "1. a, 2. e"."""
    first = FIRST_ITEM.search(text)
    items = NUMBERED_ITEM.split(text[first.start() :])[1:] if first else []
    if len(items) < 2 or "\n" in items[-1].strip():
        return False
    given = [ITEM_LETTER.search(item.strip()) for item in items]
    letters = {(match.group(1) or match.group(2)).upper() for match in given if match}
    return all(given) and len(letters) > 1


def _without_lists(text: str, choices: Sequence[str] | None) -> str:
    """A text without the lines that only list options.

    These are two or more labelled lines, or lines that are different options.
    """
    lines = text.splitlines()
    bare = [re.sub(r"^\W*\d{1,2}[.)]\s*", "", line).strip() for line in lines]
    crowded = [len(set(LABEL_IN_LINE.findall(line))) > 2 for line in lines]
    if any(crowded):
        kept = [place for place, full in enumerate(crowded) if not full]
        lines, bare = [lines[place] for place in kept], [bare[place] for place in kept]
        text = "\n".join(lines)
    if len(lines) < 2:
        return text
    options = [letters_of_text(line, choices) if line and choices else frozenset() for line in bare]
    listing = len({letters for letters in options if letters}) > 1
    labelled = [bool(LIST_LINE.match(line)) for line in lines]
    listed = sum(labelled) > 1
    if not listing and not listed:
        return text
    rows = zip(lines, options, labelled, strict=True)
    return "\n".join(
        line
        for line, letters, label in rows
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
    if CROSSED_OUT.match(head):
        return None
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


def _labelled_at_first(head: str, choices: Sequence[str] | None) -> str | None:
    """The letter of a first sentence that ends in "is (B)" and the words of option B, else None.

    What a later sentence mentions in its words, without concluding, does not outweigh it.
    """
    first = BREAK.split(head.strip(), maxsplit=1)[0]
    match = LABEL_AND_WORDS.search(first)
    if match is None or not choices or declines(first) or REJECTS.search(first):
        return None
    letter = match.group(1)
    agrees = letter in letters_of_text(match.group(2), choices)
    return letter if agrees and not _is_denied(first, match.start(1)) else None


def _named_in(sentence: str, choices: Sequence[str] | None) -> str | None:
    if DOUBTS.search(sentence) or is_question(sentence):
        return None
    direct = named_letters(sentence, choices)
    if len(direct) == 1 and (not choices or direct <= set(LETTERS[: len(choices)])):
        return min(direct)
    named = {
        letter
        for match in LETTER_NAMED.finditer(sentence)
        for letter in _with_others(sentence, match, choices)
    }
    at_end = LETTER_AT_END.search(sentence) or (
        THING_NAMED.search(sentence) if _are_letters(choices) else None
    )
    if at_end and not _is_denied(sentence, at_end.start()):
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


def _with_others(sentence: str, match: re.Match[str], choices: Sequence[str] | None) -> list[str]:
    """The letter that a match names, those joined to it, and that of an option's text before it.

    None if it is denied. "900 (E)" names two options where 900 is another one's text.
    """
    if _is_denied(sentence, match.start()):
        return []
    letters, end = [match.group(1) or match.group(2)], match.end()
    before = letters_of_text(sentence[: match.start()].strip(), choices)
    letters += [] if letters[0] in before else sorted(before)
    while (more := AND_ANOTHER.match(sentence, end)) is not None:
        letters.append(more.group(1))
        end = more.end()
    return letters


def _is_denied(sentence: str, place: int) -> bool:
    """Whether a sentence denies what stands at a place: "I would not choose B"."""
    before = sentence[max(0, place - 60) : place]
    before = re.split(r"\bbut\b|而是|,\s*so\b|;", before)[-1]
    return bool(NEGATES.search(before))


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
    if condition := CONDITION.match(sentence):
        clauses = (*clauses, sentence[condition.end() :])
    for clause in clauses:
        found = _mentions(clause, options)
        if len(found) == 1:
            return found[0]
    if found:
        return None
    number = number_in(sentence) or formula_in(sentence)
    letters = named_letters(number, choices) if number else frozenset()
    return next(iter(letters)) if len(letters) == 1 else None


def _mentions(clause: str, options: list[tuple[str, str]]) -> list[str]:
    """The letters of the options whose words are in a clause; of nested options, the longer.

    None where it bounds a number, and not those that it takes back.
    """
    text = _plain(clause)
    found = []
    for letter, option in sorted(options, key=lambda pair: -len(pair[1])):
        if not option.isascii() and option in text:
            # Chinese has no spaces between words.
            text = text.replace(option, f" {option} ")
        place = text.find(f" {option} ")
        if place >= 0 and _OPERATOR.match(text, place + len(option) + 2):
            continue  # "2x" in "2x + 1".
        if place >= 0 and _is_subject(text, place, len(option)):
            continue
        if place >= 0 and option[:1].isdigit() and BOUND.search(text[: place + 1]):
            return []  # "More than 18", "between 15 and 18".
        if place >= 0:
            denied = NOT.search(text[max(0, place - 30) : place + 1])
            if not denied and not is_taken_back(text, place + 1, place + 1 + len(option)):
                found.append(letter)
            text = text.replace(f" {option} ", "  #  ")
    return found


def _is_subject(text: str, place: int, length: int) -> bool:
    """Whether an option's words open a sentence as a cause: "The decrease in ferns affects"."""
    return place == 0 and bool(AS_CAUSE.match(text, length + 1))


def _plain(sentence: str) -> str:
    return f" {loosen(normalise(BOLD.sub(' ', sentence)))} "
