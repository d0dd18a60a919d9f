"""Tells a benchmark problem anew by rules: other signs, order, names of points, way to ask."""

from __future__ import annotations

import random
import re
from collections.abc import Sequence

TO_SIGNS = (
    (r"\b[Rr]ight triangle (?=[A-Z]{3})|\bRt ?triangle ", "Rt△"),
    (r"\bangles? (?=[A-Z0-9α-ω])", "∠"),
    (r"\btriangle (?=[A-Z]{3})", "△"),
    (r" (?:is )?parallel(?: to)? +", " ∥ "),
    (r" (?:is )?perpendicular(?: to)? +", " ⊥ "),
    (r" (?:is )?congruent to ", " ≌ "),
    (r" (?:is )?similar to ", " ∽ "),
    (r"\bcircle (?=[A-Z]\b)", "⊙"),
    (r"\barc (?=[A-Z]{2})", "⁀"),
    (r"\\frac ?\{ ?(\d+) ?\} ?\{ ?(\d+) ?\}", r"\1/\2"),
    (r"\\sqrt ?\{ ?(\w+) ?\}|√\{(\w+)\}", lambda m: "√" + (m[1] or m[2])),
    (r"\\angle ?", "∠"),
    (r"\\triangle ?", "△"),
    (r" ?\\parallel ?", " ∥ "),
    (r" ?\\perp ?", " ⊥ "),
    (r" ?\\cong ?", " ≅ "),
    (r" ?\\sim ?", " ∼ "),
    (r"\\odot ?", "⊙"),
    (r"\^ ?\{? ?\\circ ?\}?", "°"),
    (r"\\pi\b", "π"),
    (r"\\times", "×"),
    (r"\\le(?:q|qslant)?\b", "≤"),
    (r"\$", ""),
    (r"(?<=\b[A-Z]) (?=[A-Z]\b)", ""),
)
TO_LATEX = (
    (r"∠ ?", r"\\angle "),
    (r"Rt△ ?", r"right \\triangle "),
    (r"△ ?", r"\\triangle "),
    (r" ?∥ ?", r" \\parallel "),
    (r" ?⊥ ?", r" \\perp "),
    (r" ?[≅≌] ?", r" \\cong "),
    (r" ?[∼∽] ?", r" \\sim "),
    (r"⊙ ?", r"\\odot "),
    (r"⁀([A-Z]+)", r"\\widehat{\1}"),
    (r"(?<=\d)°", r"^{\\circ}"),
    (r"√ ?(\w+)", r"\\sqrt{\1}"),
    (r"(?<![\d/])(\d+)/(\d+)(?![\d/])", r"\\frac{\1}{\2}"),
    (r"π", r"\\pi"),
    (r"×", r"\\times"),
    (r"≤", r"\\leq"),
)
TO_WORDS = (
    (r"Rt△ ?", "right triangle "),
    (r"m ?∠ ?", "the measure of angle "),
    (r"∠ ?", "angle "),
    (r"△ ?", "triangle "),
    (r" ?∥ ?", " is parallel to "),
    (r" ?⊥ ?", " is perpendicular to "),
    (r" ?[≅≌] ?", " is congruent to "),
    (r" ?[∼∽] ?", " is similar to "),
    (r"⊙ ?", "circle "),
    (r"⁀ ?", "arc "),
    (r"(?<=\d)°", " degrees"),
    (r"√ ?(\w+)", r"the square root of \1"),
    (r"π", "pi"),
    (r"×", "times"),
    (r"≤", "is less than or equal to"),
)
OPENINGS = (
    "In the diagram shown, ",
    "Consider the following geometry problem. ",
    "Look carefully at the figure below and answer. ",
    "Based on the picture, ",
    "Here is a question about the drawing. ",
    "You are given a figure. ",
)
ENDINGS = (
    " Give your answer as a number.",
    " Justify each step of your reasoning.",
    " Round if necessary and write only the final result.",
    " Explain how you obtained this.",
)


def replaced(text: str, rules: Sequence[tuple[str, object]]) -> str:
    """Apply replacements in order."""
    for pattern, other in rules:
        text = re.sub(pattern, other, text)  # type: ignore[call-overload]
    return text


def signs(text: str, rng: random.Random) -> str:
    """Write words and LaTeX as signs."""
    text = replaced(text, TO_SIGNS)
    degree = rng.choice(("°", "", "°"))
    return re.sub(r"(∠\w+ ?= ?\d+)\.0\b", rf"\1{degree}", text)


def latex(text: str, rng: random.Random) -> str:
    """Write signs in LaTeX, formulas between dollars half of the time."""
    text = replaced(signs(text, rng), TO_LATEX)
    if rng.random() < 0.5:
        text = re.sub(
            r"(\\(?:angle|triangle|odot) \w+(?: = [\d.]+(?:\^\{\\circ\})?)?)", r"$\1$", text
        )
    return text


def words(text: str, rng: random.Random) -> str:
    """Write signs as words."""
    text = replaced(signs(text, rng), TO_WORDS)
    if rng.random() < 0.4:
        text = re.sub(r" = (?=\d)", " is ", text)
    if rng.random() < 0.2:
        small = [
            "zero",
            "one",
            "two",
            "three",
            "four",
            "five",
            "six",
            "seven",
            "eight",
            "nine",
            "ten",
        ]
        text = re.sub(r"(?<== )([2-9]|10)(?:\.0)?\b(?![./])", lambda m: small[int(m[1])], text)
    return re.sub(r"(?<=\d)\.0\b", "", text)


def asked(text: str, rng: random.Random) -> str:
    """Ask for what is wanted in another way."""
    found = re.search(
        r",? ?(?:then|what is|find) (?:the )?(?:degree|size|measure|value|length)? ?(?:of )?"
        r"(?P<what>(?:∠|angle |\\angle |the length of |m ?\\angle )?[A-Z0-9α-ω]{1,4})\b"
        r"(?: is(?: equal to)?| =)? ?(?:\(\)|\?|\.)?\.?$",
        text,
        re.IGNORECASE,
    )
    if not found:
        return text
    form = rng.choice(
        (
            ". Find {}.",
            ". What is {}?",
            ". Determine the value of {}.",
            ". Work out {}.",
            ", {} = ?",
        )
    )
    return text[: found.start()] + form.format(found["what"])


def shuffled(text: str, rng: random.Random) -> str:
    """Put the clauses before the last one in another order."""
    text = re.sub(
        r"^(?:As shown in the (?:figure|picture)|In the figure)(?: above)?[,:]? ?", "", text
    )
    parts = re.split(r"(?<=[a-zA-Z0-9.])(?:, (?:and )?|\. )(?=[^ ])", text)
    if len(parts) < 3 or len(text) > 400:
        return text
    body = parts[:-1]
    rng.shuffle(body)
    return rng.choice((", ", ". ", "; ")).join([*body, parts[-1]])


def renamed(text: str, rng: random.Random) -> str:
    """Give the points other names, one for one."""
    names = re.findall(r"(?<![A-Za-z\\])[A-Z]{1,6}(?![a-z])", text)
    letters = sorted({letter for name in names for letter in name} - {"I"})
    if not letters or len(letters) > 12:
        return text
    others = rng.sample("ABCDEFGHJKLMNPQRSTUVWXYZ", len(letters))
    table = str.maketrans(dict(zip(letters, others, strict=True)))

    def change(found: re.Match[str]) -> str:
        name, after = found.group(), text[found.end() : found.end() + 2]
        if name == "A" and re.match(r" [a-z]", after):
            return name
        return name.translate(table)

    return re.sub(r"(?<![A-Za-z\\])[A-Z]{1,6}(?![a-z])", change, text)


def around(text: str, rng: random.Random) -> str:
    """Put sentences of a template around."""
    opening = rng.choice(OPENINGS) if rng.random() < 0.7 else ""
    return opening + text + (rng.choice(ENDINGS) if rng.random() < 0.6 else "")


def told(text: str, rng: random.Random) -> str:
    """Tell a question anew by a random choice of the rules."""
    text = re.split(r"\n ?Choices:", text)[0].strip()
    text = re.sub(r"<image\d+>", "", text).strip()
    for rule, share in ((asked, 0.4), (shuffled, 0.35), (renamed, 0.35)):
        if rng.random() < share:
            text = rule(text, rng)
    text = rng.choice((signs, latex, words))(text, rng)
    return around(text, rng) if rng.random() < 0.35 else text


def other_numbers(text: str, rng: random.Random) -> str | None:
    """Change one or two numbers that are no labels of angles; None where there are none."""
    places = [
        m
        for m in re.finditer(r"(?<![\d.∠l_])\d+(?:\.\d+)?", text)
        if not re.search(r"(?:angle|∠|image|figure) ?$", text[: m.start()], re.I)
    ]
    if not places:
        return None
    for found in sorted(
        rng.sample(places, min(len(places), rng.randint(1, 2))), key=lambda m: -m.start()
    ):
        value = float(found.group())
        other = value + rng.choice((1, 2, 3, 5, 10, 15))
        text = (
            text[: found.start()]
            + (f"{other:.1f}" if "." in found.group() else f"{other:.0f}")
            + text[found.end() :]
        )
    return text
