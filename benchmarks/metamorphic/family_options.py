"""Options: a letter, its text, several letters, options that are formulas or numbers."""

from __future__ import annotations

from fractions import Fraction
from random import Random

from metamorphic.drafts import Draft, Rule, Stated, equal, one_of, said, sentence, tex, wrong
from metamorphic.oracle import OracleError, same_formula
from metamorphic.polynomials import Term, shuffled, text, value
from metamorphic.values import Denied, NoAnswer, Options, Several, Value

LETTERS = "ABCDE"
_TOPICS: dict[str, tuple[tuple[str, ...], str]] = {
    "tree": (("an oak", "a birch", "a pine", "an elm", "a willow", "a maple"), "The tree is {}."),
    "animal": (("a dog", "a horse", "a sheep", "a goat", "a rabbit", "a fox"), "The animal is {}."),
    "city": (("Paris", "Rome", "Madrid", "Vienna", "Oslo", "Lisbon"), "The city is {}."),
    "colour": (("red", "blue", "green", "yellow", "purple", "orange"), "The car is {}."),
    "shape": (
        ("a circle", "a square", "a triangle", "a hexagon", "a star", "a trapezoid"),
        "The shape is {}.",
    ),
    "process": (
        ("evaporation", "condensation", "erosion", "photosynthesis", "respiration", "sublimation"),
        "The process in the diagram is {}.",
    ),
}


class _Question:
    """Options with one right letter; `spare` is a text that is no option."""

    def __init__(self, rng: Random) -> None:
        texts, self.pattern = _TOPICS[rng.choice(list(_TOPICS))]
        *chosen, self.spare = rng.sample(texts, rng.choice((4, 5)) + 1)
        self.choices = tuple(chosen)
        self.right = rng.randrange(len(chosen))
        self.other = rng.choice([place for place in range(len(chosen)) if place != self.right])

    def letter(self, place: int) -> str:
        return LETTERS[place]

    def draft(self, answer: Stated, *, by_text: bool = False) -> Draft:
        reference = self.choices[self.right] if by_text else LETTERS[self.right]
        return Draft(Stated(reference, _chosen(self.right)), answer, self.choices)


def _chosen(*places: int) -> Options:
    return Options(frozenset(LETTERS[place] for place in places))


_SPELLINGS = {
    "letter": "{letter}",
    "in parentheses": "({letter})",
    "with a full stop": "{letter}.",
    "option": "option {letter}",
    "capital option": "Option {letter}",
    "option in parentheses": "option ({letter})",
    "letter and text": "{letter}. {text}",
    "letter in parentheses and text": "({letter}) {text}",
    "letter, bracket and text": "{letter}) {text}",
    "letter, colon and text": "{letter}: {text}",
    "text": "{text}",
    "text and letter": "{text} ({letter})",
    "capitalised text": "{upper}",
}


def _spelled(question: _Question, place: int, style: str) -> Stated:
    words = question.choices[place]
    written = _SPELLINGS[style].format(
        letter=LETTERS[place], text=words, upper=words[0].upper() + words[1:]
    )
    return Stated(written, _chosen(place), language="" if "text" not in style else "en")


def _choice_as(style: str) -> Rule:
    def draft(rng: Random) -> Draft:
        question = _Question(rng)
        by_text = style in ("letter", "letter and text") and rng.random() < 0.3
        return question.draft(_spelled(question, question.right, style), by_text=by_text)

    return equal("choice", f"as {style}", draft)


_SENTENCES = (
    "I would go with {letter}.",
    "It's {letter}.",
    "The correct option is {letter}.",
    "So the correct answer is option {letter}.",
    "Option {letter} is correct.",
    "Therefore, {letter} is the right choice.",
    "I choose ({letter}).",
    "The best match is {letter}.",
)


def _choice_sentence(rng: Random, *, right: bool) -> Draft:
    question = _Question(rng)
    place = question.right if right else question.other
    written = rng.choice(_SENTENCES).format(letter=LETTERS[place])
    return question.draft(sentence(written, _chosen(place)))


def _option_sentence(rng: Random, *, right: bool) -> Draft:
    question = _Question(rng)
    place = question.right if right else question.other
    written = question.pattern.format(question.choices[place])
    return question.draft(sentence(written, _chosen(place)), by_text=rng.random() < 0.3)


def _choice_wrong(change: str) -> Rule:
    def draft(rng: Random) -> Draft:
        question = _Question(rng)
        right, other = question.right, question.other
        letters = LETTERS[: len(question.choices)]
        lists = (
            "\n".join(f"{a}. {t}" for a, t in zip(letters, question.choices, strict=True)),
            "\n".join(f"- {a}" for a in letters),
            "\n".join(f"{n}. {a}" for n, a in enumerate(letters, 1)),
            "\n".join(f"({a}) {t}" for a, t in zip(letters, question.choices, strict=True)),
            ", ".join(letters),
        )
        both: tuple[Value, ...] = (_chosen(right), _chosen(other))
        pair = rng.choice(((right, other), (other, right)))
        a, b = LETTERS[pair[0]], LETTERS[pair[1]]
        ta, tb = question.choices[pair[0]], question.choices[pair[1]]
        answer = {
            "two options": said(
                rng.choice((f"{a} or {b}", f"{a} and {b}", f"{a}, {b}", f"either {a} or {b}")),
                Several(both),
            ),
            "two texts": said(
                rng.choice((f"{ta} or {tb}", f"either {ta} or {tb}", f"{ta} and {tb}")),
                Several(both),
            ),
            "all options": Stated(
                rng.choice(lists), Several(tuple(_chosen(n) for n in range(len(letters))))
            ),
            "letter beyond the options": Stated(rng.choice("FGHJ"), Options(frozenset("-"))),
            "text that is no option": said(question.spare, Options(frozenset("-"))),
            "denied letter": said(f"not {LETTERS[right]}", Denied(_chosen(right))),
            "denied text": sentence(
                question.pattern.format(f"not {question.choices[right]}"), Denied(_chosen(right))
            ),
            "cannot tell": sentence(f"I cannot tell whether the answer is {a} or {b}.", NoAnswer()),
        }[change]
        return question.draft(answer)

    return wrong("choice", change, draft)


def _other_choice(style: str) -> Rule:
    def draft(rng: Random) -> Draft:
        question = _Question(rng)
        return question.draft(_spelled(question, question.other, style), by_text=rng.random() < 0.3)

    return wrong("choice", f"another option as {style}", draft)


_CHOICE_CHANGES = (
    "two options", "two texts", "all options", "letter beyond the options",
    "text that is no option", "denied letter", "denied text", "cannot tell",
)  # fmt: skip


def _line_options(rng: Random) -> tuple[list[tuple[Term, ...]], int]:
    """Four different right sides of y = ax + b, and the place of the right one."""
    while True:
        a, b = rng.randrange(2, 9), rng.randrange(1, 15)
        sides = [(a, b), (a, -b), (-a, b), (a + 1, b), (b, a)]
        if len(set(sides)) == len(sides):
            break
    chosen = rng.sample(sides, 4)
    terms: list[tuple[Term, ...]] = [
        (Term(Fraction(m), (("x", 1),)), Term(Fraction(n))) for m, n in chosen
    ]
    return terms, rng.randrange(4)


def _line_text(terms: tuple[Term, ...], style: str = "plain") -> str:
    return f"y = {text(terms, style)}"


def _formula_choice(change: str, right: bool) -> Rule:
    def draft(rng: Random) -> Draft:
        options, place = _line_options(rng)
        choices = tuple(f"${_line_text(terms)}$" for terms in options)
        other = rng.choice([n for n in range(4) if n != place])
        shown = place if right else other
        terms = options[shown]
        if change == "no option":
            foreign = (Term(terms[0].factor * 2 + 1, terms[0].powers), Term(terms[1].factor + 40))
            if any(same_formula(value(foreign), value(option)) for option in options):
                raise OracleError(f"{foreign} is an option")
            answer = tex(_line_text(foreign), Options(frozenset("-")))
        else:
            written = {
                "its text": lambda: _line_text(terms),
                "no spaces": lambda: _line_text(terms, "tight").replace(" ", ""),
                "terms swapped": lambda: _line_text(shuffled(terms, rng)),
                "product sign": lambda: _line_text(terms, "cdot"),
                "letter and text": lambda: rf"\text{{({LETTERS[shown]}) }} {_line_text(terms)}",
            }[change]()
            answer = tex(written, _chosen(shown))
        return Draft(Stated(LETTERS[place], _chosen(place)), answer, choices)

    name = change if right else f"another option: {change}"
    return Rule("formula choice", name, right, draft)


_ONE_FORMULA = ("its text", "no spaces", "terms swapped", "product sign", "letter and text")


def _number_choice(change: str, right: bool) -> Rule:
    def draft(rng: Random) -> Draft:
        numbers = rng.sample(range(2, 90), 4)
        place = rng.randrange(4)
        other = rng.choice([n for n in range(4) if n != place])
        unit = rng.choice(("", " cm", " m"))
        choices = tuple(f"{number}{unit}" for number in numbers)
        shown = place if right else other
        if change == "no option":
            spare = rng.choice([n for n in range(2, 99) if n not in numbers])
            answer = Stated(f"{spare}{unit}", Options(frozenset("-")))
        elif change == "in a sentence, no option":
            spare = rng.choice([n for n in range(2, 99) if n not in numbers])
            written = f"Yes, a result is possible here. The answer is {spare}{unit}."
            answer = sentence(written, Options(frozenset("-")))
        else:
            number = numbers[shown]
            written = {
                "its number": f"{number}{unit}",
                "letter and number": f"{LETTERS[shown]}. {number}{unit}",
                "decimal": f"{number}.0{unit}",
            }[change]
            answer = Stated(written, _chosen(shown))
        return Draft(Stated(LETTERS[place], _chosen(place)), answer, choices)

    return Rule("number choice", change if right else f"another: {change}", right, draft)


_SEVERAL = {
    "letters": lambda a, b: f"{a}{b}",
    "comma": lambda a, b: f"{a}, {b}",
    "and": lambda a, b: f"{a} and {b}",
    "parentheses": lambda a, b: f"({a}) and ({b})",
    "other order": lambda a, b: f"{b}, {a}",
    "semicolon": lambda a, b: f"{a}; {b}",
}


def _several_as(style: str) -> Rule:
    def draft(rng: Random) -> Draft:
        question = _Question(rng)
        places = sorted(rng.sample(range(len(question.choices)), 2))
        a, b = (LETTERS[place] for place in places)
        value_ = _chosen(*places)
        reference = Stated(a + b, value_)
        if style == "texts":
            texts = [question.choices[place] for place in places]
            return Draft(
                reference, said(f"{a}. {texts[0]}, {b}. {texts[1]}", value_), question.choices
            )
        return Draft(reference, Stated(_SEVERAL[style](a, b), value_), question.choices)

    return equal("several options", f"as {style}", draft)


def _several_wrong(change: str) -> Rule:
    def draft(rng: Random) -> Draft:
        question = _Question(rng)
        order = rng.sample(range(len(question.choices)), 4)
        right = sorted(order[:2])
        shown = {
            "one less": right[:1] if rng.random() < 0.5 else right[1:],
            "one more": sorted(order[:3]),
            "one another": sorted((order[0], order[2])),
            "two others": sorted(order[2:]),
            "all": list(range(len(question.choices))),
        }[change]
        letters = [LETTERS[place] for place in shown]
        joint = rng.choice(("", ", ", " and ")) if len(letters) == 2 else rng.choice(("", ", "))
        reference = Stated("".join(LETTERS[place] for place in right), _chosen(*right))
        return Draft(reference, Stated(joint.join(letters), _chosen(*shown)), question.choices)

    return wrong("several options", change, draft)


RULES = (
    one_of("letter", (_choice_as(style) for style in _SPELLINGS if "text" not in style)),
    one_of("letter and text", (_choice_as(s) for s in _SPELLINGS if "text" in s and "letter" in s)),
    one_of("text", (_choice_as(style) for style in ("text", "capitalised text"))),
    equal("choice", "sentence with the letter", lambda rng: _choice_sentence(rng, right=True)),
    equal("choice", "sentence with the text", lambda rng: _option_sentence(rng, right=True)),
    one_of(
        "another option",
        (_other_choice(s) for s in ("letter", "in parentheses", "letter and text", "text")),
    ),
    one_of(
        "another option in a sentence",
        (
            wrong("choice", "letter", lambda rng: _choice_sentence(rng, right=False)),
            wrong("choice", "text", lambda rng: _option_sentence(rng, right=False)),
        ),
    ),
    one_of("two options", (_choice_wrong(c) for c in ("two options", "two texts"))),
    _choice_wrong("all options"),
    one_of(
        "no option",
        (_choice_wrong(c) for c in ("letter beyond the options", "text that is no option")),
    ),
    one_of("denied", (_choice_wrong(c) for c in ("denied letter", "denied text"))),
    _choice_wrong("cannot tell"),
    one_of("spellings", (_formula_choice(c, True) for c in ("its text", "no spaces"))),
    one_of(
        "another spelling",
        (_formula_choice(c, True) for c in ("terms swapped", "product sign", "letter and text")),
    ),
    one_of("another option", (_formula_choice(c, False) for c in ("its text", "terms swapped"))),
    _formula_choice("no option", False),
    one_of(
        "spellings",
        (_number_choice(c, True) for c in ("its number", "letter and number", "decimal")),
    ),
    _number_choice("its number", False),
    one_of(
        "no option",
        (_number_choice(c, False) for c in ("no option", "in a sentence, no option")),
    ),
    one_of("spellings", (_several_as(style) for style in _SEVERAL)),
    _several_as("texts"),
    one_of("one more or less", (_several_wrong(c) for c in ("one less", "one more", "all"))),
    one_of("another", (_several_wrong(c) for c in ("one another", "two others"))),
)
