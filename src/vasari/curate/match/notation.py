r"""Reads a question as tokens that do not depend on notation: Unicode, LaTeX and words are one.

`△ABC`, `\triangle ABC` and "triangle ABC" give the same tokens; so do `80.0`, "80" and "eighty",
`\frac{1}{2}`, `½`, "1/2" and "one half", `x²`, `x^{2}` and "x squared". Punctuation between
words is not read; what changes a problem is: signs, operators, brackets around a sum, blanks.

Every step takes time linear in the text: a question may come from a stranger and be a million
characters long.
"""

from __future__ import annotations

import re
import unicodedata
from dataclasses import dataclass
from functools import lru_cache
from itertools import chain

from vasari.curate.match.notation_words import (
    CHINESE,
    CHINESE_DIGITS,
    CHINESE_SCALES,
    COMMANDS,
    SYMBOLS,
    WORDS,
)
from vasari.curate.match.number_words import (
    NUMBER_WORDS,
    PARTS,
    SPELLED,
    canonical,
    compose,
    fraction,
)

BLANK = "__"
"""Token of a gap that is to be filled: "3 + ? = 7", "____", "( )"."""

_MONEY = "\ue001"  # stands for a dollar that begins no formula
_CACHED = 1000  # tokens, and characters of a token, of a text whose tokens' forms are remembered
_FRACTION = "frac"
_GAP = re.compile(r"[\u200b-\u200f\u2060\ufeff\u00ad\ue000\ue001]")
_SUPERSCRIPT = re.compile(r"[⁰¹²³⁴⁵⁶⁷⁸⁹⁺⁻ⁿ]+")
_VULGAR = re.compile(r"[¼-¾⅐-⅞]")
_CJK = re.compile(r"([\u3005-\u3007\u3040-\u30ff\u3400-\u9fff\uf900-\ufaff])")
_CHINESE_WORD = re.compile("|".join(sorted(map(re.escape, CHINESE), key=len, reverse=True)))
_CHINESE_NUMBER = re.compile(f"[{''.join(CHINESE_DIGITS)}{''.join(CHINESE_SCALES)}]+")
_RARE = re.compile(r"[^\x00-\x7f\w\s]")
_DIGIT = re.compile(r"(?![0-9])\d")
_DOLLARS = re.compile(r"\$\$|\$(?=\S)([^$]*)(?<=\S)\$(?!\d)")
_MARK = re.compile(r"<\|?image_?\d{0,3}\|?>", re.IGNORECASE)  # where a picture stands
_BULLET = re.compile(r"^[ \t]*\*[ \t]", re.MULTILINE)
_MIXED = re.compile(r"(?<![\w./^])(\d{1,9})[ ]{1,3}(\d{1,9})/(\d{1,9})(?![\d/.])")
_TOGETHER = re.compile(r"(?<=\w) ?(?://|\|\|) ?(?=[A-Za-z(\\])")
_FUNCTION = re.compile(r"\b(sin|cos|tan|cot|Rt)(?=[A-Z]\b|angle|triangle)")

_TOKEN = re.compile(
    r"""
    [^\W\d_]++(?:'[^\W\d_]++)*+             # words, don't
    | (?=\S)(?:
    \ue000?\d+(?:,\d+)*+(?:\.\d+)?          # 1,200.5
    | (?<![\w.])\.\d+                       # .5
    | \\[A-Za-z]+ | \\[^A-Za-z]             # LaTeX
    | [<>!=]= | (?<=[\w)}])\*\*(?=[\w({])
    | [+=<>/^%|&$()\[\]{}]
    | (?<![a-z][a-z])-(?=\s{0,3}(?:[\d(.\\]|[^\W\d_](?![^\W\d_])|[A-Z]{2,3}\b))
    | (?<=[\d)]\s)-(?=\s) | (?<=\b[a-z]\s)-(?=\s)
    | (?<=\s)\*(?=\s) | (?<=[\w)}])\*(?=[\w(\\{])
    | (?<=\d):(?=\d) | (?<=[\w)][ ]):(?=[ ][\w(]) | (?<=[A-Z]):(?=[A-Z])
    | (?<=[\d)])! | (?<=\b[a-z])!(?=\s?[-+*/=?)(])
    | (?<=[-+*/^(=<>,]\s)\? | (?<=[-+*/^(=<>])\? | \?(?=\s?[-+*/=<>)])
    | ,(?=\s?[A-Za-z])                       # parts numbers in words
    | _{2,} | (?<=\s)_(?=\s)
    | (?<=[^'"\w][A-Za-z])'+(?!\w)          # f', A'
    | (?<=\w\s)[@\#](?=\s\w) | (?<=\w)[@\#](?=\w)
    | [^\x00-\x7f\w\s]                      # any other symbol, and marks on letters
    )
    """,
    re.VERBOSE,
)
_OPERATORS = frozenset("+-*/^=<>|:!%") | {"<=", ">=", "!=", "±", "∪", "∩", "sqrt"}
_BRACKETS = frozenset("()[]{}")
_RELATIONS = ("parallel", "perpendicular", "similar", "congruent")
_TRIGGERS = frozenset(("equal", "root", "than", "divided", "multiplied", "cent", *_RELATIONS))
_PHRASES: tuple[tuple[tuple[str, ...], str], ...] = (
    (("is", "less", "than", "or", "equal", "to"), "<="),
    (("less", "than", "or", "equal", "to"), "<="),
    (("is", "greater", "than", "or", "equal", "to"), ">="),
    (("greater", "than", "or", "equal", "to"), ">="),
    (("is", "not", "equal", "to"), "!="),
    (("not", "equal", "to"), "!="),
    (("is", "equal", "to"), "="),
    (("equal", "to"), "="),
    (("is", "less", "than"), "<"),
    (("less", "than"), "<"),
    (("is", "greater", "than"), ">"),
    (("greater", "than"), ">"),
    (("the", "square", "root", "of"), "sqrt"),
    (("square", "root", "of"), "sqrt"),
    (("square", "root"), "sqrt"),
    (("divided", "by"), "/"),
    (("multiplied", "by"), "*"),
    (("per", "cent"), "%"),
    *(
        (form, word)
        for word in _RELATIONS
        for form in (("is", word, "to"), ("is", word, "with"), (word, "to"), (word, "with"))
    ),
)
_BY_FIRST: dict[str, tuple[tuple[tuple[str, ...], str], ...]] = {
    first: tuple(row for row in _PHRASES if row[0][0] == first)
    for first in {form[0] for form, _ in _PHRASES}
}
_SMALL_LETTERS = NUMBER_WORDS | PARTS.keys() | {word for form, _ in _PHRASES for word in form}
_UNITS = frozenset(["mm", "cm", "dm", "m", "km", "inch", "ft", "yd", "mile"])


@dataclass(frozen=True, slots=True)
class Reading:
    """Tokens of a question, in order."""

    tokens: tuple[str, ...]
    """Words, numbers in canonical form, operators; capitals stay."""
    spelled: tuple[str, ...]
    """Numbers among the tokens that are written in words."""


def read_notation(text: str, *, commas: bool = False) -> Reading:
    """Read a text into tokens; two notations of one thing give the same tokens.

    With `commas`, those before a letter are tokens: they part names of points.
    """
    text = " " + _plain(text)
    tokens = _words(_TOKEN.findall(text))
    present = set(tokens)
    if not present.isdisjoint(_TRIGGERS):
        tokens = _phrases(tokens)
    marked = SPELLED in text
    if not present.isdisjoint(NUMBER_WORDS):
        tokens, marked = compose(tokens), True
    if "," in present and not commas:
        tokens = [word for word in tokens if word != ","]
    spelled = tuple(word[1:] for word in tokens if word[0] == SPELLED) if marked else ()
    if spelled:
        tokens = [word.lstrip(SPELLED) for word in tokens]
    if _FRACTION in present or not present.isdisjoint(_BRACKETS):
        tokens = _brackets(tokens)
    if not present.isdisjoint(("/", _FRACTION, "^")):
        tokens = _fractions(tokens)
    while tokens and tokens[-1] in ("=", BLANK):
        tokens.pop()
    return Reading(tuple(tokens), spelled)


def is_number(token: str) -> bool:
    """Whether a token is a number: it begins with a digit."""
    return token[0].isdigit()


def _plain(text: str) -> str:
    """The text with symbols as words or ASCII, and without what shows nothing."""
    if not text.isascii():
        text = _ascii(text)
    if "<" in text:
        text = _MARK.sub(" ", text)
    if "\\" in text:
        text = text.replace("~", " ").replace("\\$", _MONEY)
    if "$" in text:
        text = _DOLLARS.sub(_formula, text)
    if _MONEY in text:
        text = text.replace(_MONEY, "$")
    if "/" in text or "||" in text:
        text = _MIXED.sub(_mixed, _TOGETHER.sub(" parallel ", text))
    if "*" in text:
        text = _BULLET.sub("", text)
    return _FUNCTION.sub(r"\1 ", " ".join(text.split()))


def _ascii(text: str) -> str:
    text = _SUPERSCRIPT.sub(
        lambda found: "^" + unicodedata.normalize("NFKC", found.group()), _GAP.sub("", text)
    )
    text = unicodedata.normalize("NFKC", _VULGAR.sub(r" \g<0>", text).translate(SYMBOLS))
    text = _DIGIT.sub(lambda found: str(unicodedata.decimal(found.group())), text)
    if _CJK.search(text):
        text = _CHINESE_WORD.sub(lambda found: CHINESE[found.group()], text)
        text = _CJK.sub(r" \1 ", _CHINESE_NUMBER.sub(_chinese_number, text))
    return _RARE.sub(lambda found: _rare(found.group()), text.translate(SYMBOLS))


@lru_cache(maxsize=4096)
def _rare(character: str) -> str:
    """A space for a mark of punctuation; any other symbol stays."""
    hidden = unicodedata.category(character)[0] in "PC" and character != SPELLED
    return " " if hidden else character


def _chinese_number(found: re.Match[str]) -> str:
    """A number below 10^8 such as 二十五 in digits; what is no number stays."""
    text = found.group()
    if len(text) > 16:
        return text
    total, part, digit = 0, 0, None
    for place, character in enumerate(text):
        if character in CHINESE_DIGITS:
            if digit is not None and digit != 0:
                return text
            digit = CHINESE_DIGITS[character]
        else:
            scale = CHINESE_SCALES[character]
            if digit is None and (scale != 10 or place):
                return text
            amount = 1 if digit is None else digit
            if scale == 10_000:
                total, part = (total + part + amount) * scale, 0
            else:
                part += amount * scale
            digit = None
    return f" {SPELLED}{total + part + (digit or 0)} "


def _formula(found: re.Match[str]) -> str:
    """What stands between dollars, apart from the words beside it."""
    text, (start, end) = found.string, found.span()
    before = " " if start and text[start - 1].isalnum() else ""
    after = " " if end < len(text) and text[end].isalnum() else ""
    return f"{before}{found.group(1) or ' '}{after}"


def _mixed(found: re.Match[str]) -> str:
    """2 1/2 as 2.5, or as an improper fraction."""
    whole, top, bottom = (int(group) for group in found.groups())
    if not 0 < top < bottom:
        return found.group()
    return fraction(whole * bottom + top, bottom)


def _words(raw: list[str]) -> list[str]:
    """Tokens with commands, numbers, units and synonyms in one form each."""
    form = _form if len(raw) < _CACHED and max(map(len, raw), default=0) < _CACHED else _read_form
    tokens = list(chain.from_iterable(map(form, raw)))
    return _money(tokens) if "$" in tokens else tokens


def _read_form(word: str) -> tuple[str, ...]:
    first = word[0]
    if first.isdigit() or first == ".":
        return tuple(canonical(word))
    if first == "\\":
        return COMMANDS.get(word[1:], (word[1:],) if word[1:].isalpha() else ())
    if first in "?_":
        return (BLANK,)
    if len(word) > 1:
        word = word.replace("'", "") or "'"
    if len(word) == 1:
        return WORDS.get(word, (word,))
    small = word.lower()
    return WORDS.get(small) or ((small,) if small in _SMALL_LETTERS else (word,))


_form = lru_cache(maxsize=16_384)(_read_form)


def _money(tokens: list[str]) -> list[str]:
    """Tokens with "$ 5" as "5 dollar"."""
    found: list[str] = []
    for place, word in enumerate(tokens):
        if word != "$":
            found.append(word)
            if place and tokens[place - 1] == "$" and is_number(word):
                found.append("dollar")
    return found


def _phrases(tokens: list[str]) -> list[str]:
    """Tokens with phrases such as "is parallel to" as one token."""
    found: list[str] = []
    place = 0
    while place < len(tokens):
        for form, token in _BY_FIRST.get(tokens[place], ()):
            if tuple(tokens[place : place + len(form)]) == form:
                found.append(token)
                place += len(form)
                break
        else:
            found.append(tokens[place])
            place += 1
    return found


@dataclass(slots=True)
class _Bracket:
    """A bracket that is open."""

    closing: str
    place: int
    """In the tokens found."""
    role: str
    """"top" or "bottom" of a fraction, "group" after ^ or a root, "round", or nothing."""
    size: int = 0
    """Tokens in it that stay."""
    has_operator: bool = False

    @property
    def stays(self) -> bool:
        """Whether the bracket changes what is meant."""
        if self.role in ("group", "bottom"):
            return self.size > 1
        return self.role != "" and self.size > 1 and self.has_operator


def _brackets(tokens: list[str]) -> list[str]:
    """Tokens with braces read: those after ^, a root or a fraction group, others do nothing.

    Of round brackets those stay that hold an operator; an empty pair is a blank.
    """
    found: list[str] = []
    opened = [_Bracket("", 0, "")]
    after = ""
    for word in tokens:
        if word == _FRACTION:
            after = "top"
            continue
        if after and is_number(word) and len(word) > 1:
            # \frac12 is one number to the tokeniser.
            found += [word[0], "/", word[1:]] if after == "top" else [word]
            opened[-1].size += 1
        elif word in ("{", "("):
            raised = found[-1:] in (["^"], ["sqrt"])
            role = after or "group" if raised or after else "round" if word == "(" else ""
            opened.append(_Bracket("}" if word == "{" else ")", len(found), role))
            found.append("(")
        elif word in ("}", ")"):
            if opened[-1].closing == word:
                after = _close(found, opened)
                continue
        else:
            found.append(word)
            opened[-1].size += 1
            opened[-1].has_operator |= word in _OPERATORS
        after = ""
    for bracket in opened[1:]:
        found[bracket.place] = "(" if bracket.role == "round" else ""
    return [word for word in found if word]


def _close(found: list[str], opened: list[_Bracket]) -> str:
    """Close the last bracket; what it stands for now is what its parent holds."""
    bracket = opened.pop()
    parent = opened[-1]
    parent.has_operator |= bracket.has_operator
    parent.size += bracket.size
    if bracket.stays:
        found.append(")")
        parent.size += 2
    else:
        empty = bracket.size == 0 and bracket.role == "round"
        found[bracket.place] = BLANK if empty else ""
        parent.size += empty
    if bracket.role != "top":
        return ""
    found.append("/")
    parent.has_operator = True
    return "bottom"


def _fractions(tokens: list[str]) -> list[str]:
    """Tokens with 1/2 as one number, and cm^2 as square cm."""
    found: list[str] = []
    place, count = 0, len(tokens)
    while place < count:
        word = tokens[place]
        after = tokens[place + 1] if place + 1 < count else ""
        last = tokens[place + 2] if place + 2 < count else ""
        beyond = tokens[place + 3] if place + 3 < count else ""
        before = found[-1] if found else ""
        if word == "^" and after == "degree":
            place += 1
            continue
        if (
            after == "/"
            and word.isdecimal()
            and last.isdecimal()
            and beyond not in ("/", "^")
            and before not in ("/", "^")
            and max(len(word), len(last)) <= 9
        ):
            found.append(fraction(int(word), int(last)))
            place += 3
            continue
        if after == "^" and word in _UNITS and last in ("2", "3"):
            found += ["square" if last == "2" else "cubic", word]
            place += 3
            continue
        found.append(word)
        place += 1
    return found
