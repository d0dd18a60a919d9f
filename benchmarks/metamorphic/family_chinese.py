"""Chinese: numbers with units, sentences, options, right and wrong, yes and no."""

from __future__ import annotations

from fractions import Fraction
from random import Random

from metamorphic.drafts import Draft, Language, Rule, Stated, equal, one_of, sentence, wrong
from metamorphic.numerals import decimal_text
from metamorphic.units import UNITS
from metamorphic.values import (
    Bound,
    Denied,
    NoAnswer,
    Options,
    Quantity,
    Real,
    Several,
    Value,
    Word,
)

_ZH: Language = "zh"
_UNITS = {
    "cm": "厘米", "m": "米", "km": "千米", "kg": "千克", "cm2": "平方厘米", "m2": "平方米",
    "cm3": "立方厘米", "h": "小时", "min": "分钟",
}  # fmt: skip
_WHAT = ("长度", "面积", "体积", "周长", "高度", "结果", "距离", "总数", "时间", "质量")
_THINGS = ("个苹果", "只鸟", "名学生", "本书", "辆车", "棵树", "个正方形", "支铅笔")
_LETTERS = "ABCD"


def _zh(text: str, value: Value) -> Stated:
    return Stated(text, value, language=_ZH)


def _number(rng: Random) -> tuple[str, Fraction]:
    places = rng.choice((0, 0, 1))
    scaled = rng.randrange(2, 300 * 10**places)
    scaled += places > 0 and scaled % 10 == 0
    return decimal_text(scaled, places), Fraction(scaled, 10**places)


def _measured(rng: Random, style: str) -> Draft:
    (text, number), unit = _number(rng), rng.choice(list(_UNITS))
    value = Quantity(number, unit)
    word, what = _UNITS[unit], rng.choice(_WHAT)
    reference = Stated(f"{text}{word}", value)
    answer = {
        "with a space": lambda: _zh(f"{text} {word}", value),
        "in LaTeX": lambda: Stated(rf"{text}\text{{{word}}}", value, tex=True, language=_ZH),
        "in a sentence": lambda: sentence(f"所以{what}是{text}{word}。", value, _ZH),
        "equals in a sentence": lambda: sentence(f"因此，{what}等于{text}{word}。", value, _ZH),
        "for an English unit": lambda: _zh(f"{text}{word}", value),
        "for a bare number": lambda: _zh(f"{text}{word}", value),
    }[style]()
    if style == "for an English unit":
        reference = Stated(f"{text} {UNITS[unit].plain[0]}", value)
    if style == "for a bare number":
        reference = Stated(text, Real(number))
    return Draft(reference, answer)


def _measured_wrong(rng: Random, change: str) -> Draft:
    (text, number), unit = _number(rng), rng.choice(list(_UNITS))
    value = Quantity(number, unit)
    word, what = _UNITS[unit], rng.choice(_WHAT)
    others = {"cm": "m", "m": "cm", "km": "m", "cm2": "m2", "m2": "cm2", "h": "min", "min": "h"}
    reference = Stated(f"{text}{word}", value)
    if change == "another unit":
        unit = rng.choice(list(others))
        other = others[unit]
        return Draft(
            Stated(f"{text}{_UNITS[unit]}", Quantity(number, unit)),
            _zh(f"{text}{_UNITS[other]}", Quantity(number, other)),
        )
    if change == "another number":
        more = number + rng.choice((1, 10))
        shown = str(more.numerator) if more.denominator == 1 else str(float(more))
        text_ = f"所以{what}是{shown}{word}。"
        return Draft(reference, sentence(text_, Quantity(more, unit), _ZH))
    changes: dict[str, tuple[str, Value]] = {
        "more than": (f"{what}大于{text}{word}。", Bound(">", value)),
        "less than": (f"{what}小于{text}{word}。", Bound("<", value)),
        "denied": (f"{what}不是{text}{word}。", Denied(value)),
        "one or the other": (
            f"{what}是{text}{word}或{int(number) + 3}{word}。",
            Several((value, Quantity(Fraction(int(number) + 3), unit))),
        ),
    }
    written, meaning = changes[change]
    return Draft(reference, sentence(written, meaning, _ZH))


def _counted(rng: Random, *, right: bool) -> Draft:
    number, things = rng.randrange(2, 400), rng.choice(_THINGS)
    shown = number if right else number + rng.choice((-1, 1, 10))
    written = rng.choice(
        (f"一共有{shown}{things}。", f"图中有{shown}{things}。", f"所以共有{shown}{things}。",
         f"答：共有{shown}{things}。")
    )  # fmt: skip
    answer = sentence(written, Real(Fraction(shown)), _ZH)
    return Draft(Stated(str(number), Real(Fraction(number))), answer)


_TOPICS = (
    (("松树", "柏树", "杨树", "柳树", "槐树"), "图中的树是{}。"),
    (("圆形", "正方形", "三角形", "六边形", "梯形"), "这个图形是{}。"),
    (("北京", "上海", "广州", "成都", "西安"), "这座城市是{}。"),
    (("蒸发", "凝结", "升华", "熔化", "凝固"), "图中的过程是{}。"),
    (("红色", "蓝色", "绿色", "黄色", "紫色"), "汽车的颜色是{}。"),
)


_CHOOSE = ("选{}。", "应该选 {}。", "故选{}。", "本题选 {}。")
_ANSWERS = ("答案是{}。", "答案为 {}。", "正确答案是 {}。")


def _option(rng: Random, style: str, *, right: bool) -> Draft:
    texts, pattern = rng.choice(_TOPICS)
    *chosen, spare = rng.sample(texts, 5)
    place, other = rng.sample(range(4), 2)
    shown = place if right else other
    letter, text, value = _LETTERS[shown], chosen[shown], _option_value(shown)
    first, second = rng.sample((place, other), 2)
    both = Several((_option_value(first), _option_value(second)))
    answer = {
        "letter": lambda: _zh(letter, value),
        "choose": lambda: sentence(rng.choice(_CHOOSE).format(letter), value, _ZH),
        "the answer is": lambda: sentence(rng.choice(_ANSWERS).format(letter), value, _ZH),
        "option": lambda: _zh(f"选项{letter}", value),
        "letter and text": lambda: _zh(f"{letter}. {text}", value),
        "letter, mark and text": lambda: _zh(f"{letter}、{text}", value),
        "text": lambda: _zh(text, value),
        "text in a sentence": lambda: sentence(pattern.format(text), value, _ZH),
        "one or the other": lambda: sentence(
            f"答案是{_LETTERS[first]}或{_LETTERS[second]}。", both, _ZH
        ),
        "denied": lambda: sentence(
            f"答案不是{_LETTERS[place]}。", Denied(_option_value(place)), _ZH
        ),
        "text that is no option": lambda: sentence(
            pattern.format(spare), Options(frozenset("-")), _ZH
        ),
        "undecided": lambda: sentence(
            f"无法确定答案是{_LETTERS[first]}还是{_LETTERS[second]}。", NoAnswer(), _ZH
        ),
    }[style]()
    return Draft(Stated(_LETTERS[place], _option_value(place)), answer, tuple(chosen))


def _option_value(place: int) -> Options:
    return Options(frozenset(_LETTERS[place]))


_TRUTHS = {
    "正确": "错误",
    "错误": "正确",
    "是": "否",
    "否": "是",
    "对": "错",
    "错": "对",
}
_SUBJECTS = ("这个说法", "题中的结论", "这个判断", "图中的标注", "上面的推理")


def _truth(rng: Random, style: str, *, right: bool) -> Draft:
    reference = rng.choice(("正确", "错误") if style == "in a sentence" else list(_TRUTHS))
    shown = reference if right else _TRUTHS[reference]
    value = Word(shown)
    if style == "in a sentence":
        written = rng.choice(("{}{}。", "{}是{}的。", "所以{}是{}的。"))
        answer = sentence(written.format(rng.choice(_SUBJECTS), shown), value, _ZH)
    else:
        answer = _zh(shown, value)
    return Draft(Stated(reference, Word(reference)), answer)


def _measured_rule(style: str, *, right: bool) -> Rule:
    if right:
        return equal("Chinese number", style, lambda rng: _measured(rng, style))
    return wrong("Chinese number", style, lambda rng: _measured_wrong(rng, style))


def _option_rule(style: str, *, right: bool) -> Rule:
    make = equal if right else wrong
    name = style if right or style in _OPTION_CHANGES else f"another option: {style}"
    return make("Chinese choice", name, lambda rng: _option(rng, style, right=right))


def _truth_rule(style: str, *, right: bool) -> Rule:
    make = equal if right else wrong
    name = style if right else f"the other: {style}"
    return make("Chinese yes or no", name, lambda rng: _truth(rng, style, right=right))


_OPTION_CHANGES = ("one or the other", "denied", "text that is no option", "undecided")

RULES = (
    one_of("spellings", (_measured_rule(s, right=True) for s in ("with a space", "in LaTeX"))),
    one_of(
        "in a sentence",
        (_measured_rule(s, right=True) for s in ("in a sentence", "equals in a sentence")),
    ),
    _measured_rule("for an English unit", right=True),
    _measured_rule("for a bare number", right=True),
    _measured_rule("another unit", right=False),
    _measured_rule("another number", right=False),
    one_of("bound", (_measured_rule(s, right=False) for s in ("more than", "less than"))),
    one_of(
        "denied or two", (_measured_rule(s, right=False) for s in ("denied", "one or the other"))
    ),
    equal("Chinese number", "counted in a sentence", lambda rng: _counted(rng, right=True)),
    wrong("Chinese number", "another count", lambda rng: _counted(rng, right=False)),
    one_of("letter", (_option_rule(style, right=True) for style in ("letter", "option"))),
    one_of(
        "letter in a sentence", (_option_rule(s, right=True) for s in ("choose", "the answer is"))
    ),
    one_of(
        "letter and text",
        (_option_rule(s, right=True) for s in ("letter and text", "letter, mark and text")),
    ),
    one_of("text", (_option_rule(style, right=True) for style in ("text", "text in a sentence"))),
    one_of(
        "another option",
        (
            _option_rule(style, right=False)
            for style in ("choose", "the answer is", "text", "text in a sentence")
        ),
    ),
    *(_option_rule(change, right=False) for change in _OPTION_CHANGES),
    *(
        _truth_rule(style, right=right)
        for style in ("the word", "in a sentence")
        for right in (True, False)
    ),
)
