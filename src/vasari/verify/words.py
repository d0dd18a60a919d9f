"""Numbers that are written in words: English cardinals and fractions, Chinese numerals."""

from __future__ import annotations

import re
from fractions import Fraction

_ONES = (
    "zero one two three four five six seven eight nine ten eleven twelve thirteen fourteen fifteen"
    " sixteen seventeen eighteen nineteen"
)
_TENS = "twenty thirty forty fifty sixty seventy eighty ninety"
ONES = {word: value for value, word in enumerate(_ONES.split())}
TENS = {word: 10 * value for value, word in enumerate(_TENS.split(), start=2)}
SCALES = {
    "hundred": 10**2,
    "thousand": 10**3,
    "million": 10**6,
    "billion": 10**9,
    "trillion": 10**12,
    "dozen": 12,
}
_ORDINALS = (
    "half third fourth fifth sixth seventh eighth ninth tenth eleventh twelfth thirteenth"
    " fourteenth fifteenth sixteenth seventeenth eighteenth nineteenth twentieth"
)
PARTS = {
    **{word: value for value, word in enumerate(_ORDINALS.split(), start=2)},
    "quarter": 4, "thirtieth": 30, "fortieth": 40, "fiftieth": 50, "hundredth": 100,
    "thousandth": 1000, "millionth": 10**6,
}  # fmt: skip
"""Denominators by the name of a part: "third" is 3."""

_MAX_WORDS = 16
_SPLIT = re.compile(r"[\s-]+")
_NUMBER_WORD = "|".join(sorted({*ONES, *TENS, *SCALES}, key=len, reverse=True))
CARDINAL = rf"(?:{_NUMBER_WORD})(?:[\s-](?:{_NUMBER_WORD}))*"
"""Pattern of a number in words, such as "thirty-six"; its value is read by `words_value`."""

NUMBER_WORDS = frozenset({*ONES, *TENS, *SCALES, *PARTS, *(f"{part}s" for part in PARTS), "halves"})
"""English words of which every number in words has one."""

CHINESE_DIGITS = "零〇一二两三四五六七八九"
_CHINESE = re.compile(rf"(负)?([{CHINESE_DIGITS}十百千万亿]+)(?:点([{CHINESE_DIGITS}]+))?")
_CHINESE_PART = re.compile(rf"([{CHINESE_DIGITS}十百千万]+)分之([{CHINESE_DIGITS}十百千万]+)|一半")
_CHINESE_VALUES = {"零": 0, "〇": 0, "两": 2} | {
    character: value for value, character in enumerate("一二三四五六七八九", start=1)
}
CHINESE_NUMBER = (
    rf"负?(?:[{CHINESE_DIGITS}十百千万]+分之)?[{CHINESE_DIGITS}十百千万亿]+"
    rf"(?:点[{CHINESE_DIGITS}]+)?"
)
"""Pattern of a number in Chinese characters; its value is read by `words_value`."""
CHINESE_COUNTED = (
    r"(?:[个只条张本支枝把件块片颗粒朵棵株匹辆架艘座栋间排队组种套双对瓶杯盒箱袋筐篮桶碗盘根名位家次遍趟"
    r"回步页篇首封份](?!数)|平?立?方?[厘分毫千]?[米克升]|公[斤里分顷]"
    r"|[人元角分毛斤吨秒天日周月年岁度](?=\Z|[^\u4e00-\u9fff]))"
)
"""Pattern of what stands behind a number that counts or measures: a classifier or a unit."""
_CHINESE_SCALES = {"十": 10, "百": 100, "千": 1000}
CHINESE_LARGE = {"万": 10**4, "亿": 10**8}


def words_value(text: str) -> Fraction | None:
    """Return the number that a text is in words, such as "two-thirds" or "a dozen", or None."""
    if not text.isascii():
        return _chinese_value(text.strip())
    words = [word for word in _SPLIT.split(text.casefold().strip()) if word]
    if not words or len(words) > _MAX_WORDS or not words[-1].isalpha():
        return None
    sign = 1
    if words[0] in ("minus", "negative"):
        sign, words = -1, words[1:]
    value = _mixed(words)
    return None if value is None else sign * value


def part_of(word: str) -> int | None:
    """Return the denominator that the name of a part says: 12 for "twelfths", None for others."""
    word = word.casefold()
    if word == "halves":
        return 2
    return PARTS.get(word) or PARTS.get(word.removesuffix("s"))


def _mixed(words: list[str]) -> Fraction | None:
    """The value of "three", "two thirds", "a half" or "three and a half"."""
    if not words:
        return None
    bottom = part_of(words[-1])
    if bottom is None:
        return _decimal(words)
    if len(words) == 1:
        return Fraction(1, bottom) if words[0] in ("half", "quarter") else None
    if "and" in words:
        cut = len(words) - 1 - words[::-1].index("and")
        whole, part = _cardinal(words[:cut]), _mixed(words[cut + 1 :])
        if whole is not None and part is not None and 0 < part < 1:
            return whole + part
    top = Fraction(1) if words[:-1] in (["a"], ["an"]) else _cardinal(words[:-1])
    return None if top is None else top / bottom


def _decimal(words: list[str]) -> Fraction | None:
    if "point" not in words:
        return _cardinal(words)
    cut = words.index("point")
    whole, digits = _cardinal(words[:cut]), words[cut + 1 :]
    if whole is None or not digits or any(ONES.get(digit, 10) > 9 for digit in digits):
        return None
    return whole + Fraction(int("".join(str(ONES[digit]) for digit in digits)), 10 ** len(digits))


def _cardinal(words: list[str]) -> Fraction | None:
    """The value of "one hundred and twenty three thousand"; None for what is no number."""
    if words == ["half", "a", "dozen"]:
        return Fraction(6)
    if words[:1] in (["a"], ["an"]) and words[1:2] and words[1] in SCALES:
        words = ["one", *words[1:]]
    total, group, last = 0, 0, 0
    for word in words:
        if word == "and" and last >= 100:
            continue
        value = ONES.get(word, TENS.get(word))
        if value is not None:
            if not _may_follow(last, value):
                return None
            group, last = group + value, max(value, 1)
        elif word in SCALES and (group or total):
            last = SCALES[word]
            if not group:
                total *= last
            elif last < 1000:
                group *= last
            else:
                total, group = total + group * last, 0
        else:
            return None
    return Fraction(total + group) if last else None


def _may_follow(last: int, value: int) -> bool:
    """Whether a number below 100 may stand behind the last word: "twenty two", not "two twenty"."""
    if not last or last >= 100:
        return True
    return last >= 20 and 0 < value < 10


def _chinese_value(text: str) -> Fraction | None:
    part = _CHINESE_PART.fullmatch(text)
    if part is not None:
        if not part.group(1):
            return Fraction(1, 2)
        bottom, top = _chinese_whole(part.group(1)), _chinese_whole(part.group(2))
        return Fraction(top, bottom) if bottom and top is not None else None
    match = _CHINESE.fullmatch(text)
    whole = _chinese_whole(match.group(2)) if match else None
    if match is None or whole is None:
        return None
    value = Fraction(whole)
    if decimals := match.group(3):
        digits = "".join(str(_CHINESE_VALUES[character]) for character in decimals)
        value += Fraction(int(digits), 10 ** len(digits))
    return -value if match.group(1) else value


def _chinese_whole(text: str) -> int | None:
    if len(text) > _MAX_WORDS or not text:
        return None
    if all(character in _CHINESE_VALUES for character in text):
        # Digits one by one, as in a year; of a single one it is the same.
        return int("".join(str(_CHINESE_VALUES[character]) for character in text))
    total, group, digit = 0, 0, None
    for character in text:
        if character in _CHINESE_VALUES:
            if digit:
                return None
            digit = _CHINESE_VALUES[character]
        elif character in _CHINESE_SCALES:
            group += (1 if digit is None or digit == 0 else digit) * _CHINESE_SCALES[character]
            digit = None
        else:
            total = (total + group + (digit or 0)) * CHINESE_LARGE[character]
            group, digit = 0, None
    return total + group + (digit or 0)
