"""Among prompts without pictures, are copies dropped and other problems with like words kept?

    python benchmarks/same_texts.py [--data DIR] [--pairs 500]

Pairs of prompts with equal answers. Other problems differ in one word, number, sign, option, unit,
name, negation or the order of two names; copies in notation, case, punctuation, spaces,
instructions around them, or the form of their options. DIR holds `mathvision/test.jsonl` and
`mathvista_questions/testmini.json`, whose questions are taken as texts beside the made ones.
Prints a table and writes it.
"""

from __future__ import annotations

import argparse
import json
import random
import re
import sys
from collections.abc import Callable
from pathlib import Path

import vasari
from result_files import MACHINE, result_file
from vasari.curate.match.image_hash import index_images
from vasari.curate.match.near_duplicates import near_duplicates
from vasari.records import Prompt

NAMES = "Anna Ben Carla David Emma Felix Grace Henry Iris Jack Kemal Lena Ming Nora Omar".split()
THINGS = "apples books coins stamps marbles cards pens shells".split()
COLOURS = "red blue green yellow black white".split()
UNITS = ("cm", "m", "km", "kg", "hours", "minutes", "dollars", "degrees", "liters")
SHAPES = "square triangle circle rectangle hexagon rhombus trapezoid".split()
WORD = re.compile(r"[A-Za-z]{3,}")
# "find" and "determine" are other words, but no other problem; the pairs avoid such words.
GROUPS = (
    "largest smallest second first last more fewer before after odd even prime always never",
    "sum difference product area perimeter height length width radius diameter minimum maximum",
    "Monday Tuesday Friday north south east above below left right inside outside",
)
CHANGEABLE = {
    word: tuple(other for other in group if other != word)
    for group in (NAMES, THINGS, COLOURS, SHAPES, UNITS, *(words.split() for words in GROUPS))
    for word in group
}


def made(rng: random.Random) -> Prompt:
    """Make a short prompt: arithmetic, a text problem, a choice, or one in Chinese."""
    a, b, c = (rng.randint(2, 99) for _ in range(3))
    one, two = rng.sample(NAMES, 2)
    thing, colour, shape, unit = (rng.choice(s) for s in (THINGS, COLOURS, SHAPES, UNITS))
    sign, other = rng.choice("+-*/"), rng.choice("+-*/")
    questions = (
        f"What is {a} {sign} {b}?",
        f"Compute {a} {sign} ({b} {other} {c}).",
        f"Solve for x: {a}x {rng.choice('+-')} {b} = {c}",
        f"{a} {sign} ? = {b}",
        f"{one} has {a} {colour} {thing} and gives {b} of them to {two}. How many are left?",
        f"{one} is taller than {two}. {two} is taller than {rng.choice(NAMES)}. Who is tallest?",
        f"The {shape} has a perimeter of {a} {unit}. Find its area if the length is {b} {unit}.",
        f"Is {a} the sum of {b} and {c}?",
        f"Which number is odd and larger than {a}?",
        f"A {colour} {shape} is above the {rng.choice(SHAPES)}. Which one is below?",
        f"If f(x) = {a}x^2 - {b}, what is the minimum of f?",
        f"What is 1/{a} of {b} {unit}?",
        f"小明有{a}个苹果，吃了{b}个，还剩多少个？",
        f"一个三角形的底是{a}厘米，高是{b}厘米，面积是多少？",
        f"甲比乙多{a}元，乙有{b}元，甲有多少元？",
    )
    choices = tuple(str(n) for n in rng.sample(range(1, 500), 4)) if rng.random() < 0.3 else None
    return Prompt(
        id="first",
        question=rng.choice(questions),
        answer=choices[rng.randrange(4)] if choices else str(rng.randint(1, 9)),
        choices=choices,
    )


def word(text: str, rng: random.Random) -> str | None:
    """Change one word for another of its kind."""
    places = [found for found in WORD.finditer(text) if found.group() in CHANGEABLE]
    if not places:
        return None
    found = rng.choice(places)
    return text[: found.start()] + rng.choice(CHANGEABLE[found.group()]) + text[found.end() :]


def number(text: str, rng: random.Random) -> str | None:
    """Change one number: another one, a digit more, or its decimal point."""
    places = list(re.finditer(r"\d+", text))
    if not places:
        return None
    found = rng.choice(places)
    other = rng.choice(
        (
            str(int(found.group()) + rng.randint(1, 9)),
            found.group() + rng.choice("123456789"),
            found.group()[:1] + "." + (found.group()[1:] or "") + "5",
        )
    )
    return text[: found.start()] + other + text[found.end() :]


def sign(text: str, rng: random.Random) -> str | None:
    """Change one operator, drop a pair of brackets, or negate a number."""
    ways: list[str] = []
    for found in re.finditer(r"(?<=\d )[-+*/](?= [\d(?])|(?<=x )[-+](?= )", text):
        other = rng.choice(sorted(set("+-*/") - {found.group()}))
        ways.append(text[: found.start()] + other + text[found.end() :])
    if "(" in text and re.search(r"[*/-] \(\d+ [-+*/] \d+\)", text):
        ways.append(text.replace("(", "").replace(")", ""))
    ways += [
        text[: found.start()] + "-" + text[found.start() :]
        for found in re.finditer(r"(?<=[ =(])\d", text)
        if not re.search(r"[-\d/.]\s?$", text[: found.start()])
    ]
    return rng.choice(ways) if ways else None


def negation(text: str, _: random.Random) -> str | None:
    """Negate the verb, or ask for what is not."""
    other = re.sub(r"\b(is|has|are|does|can)\b", r"\1 not", text, count=1)
    return other if other != text else None


def order(text: str, rng: random.Random) -> str | None:
    """Swap two names, numbers or letters."""
    found = list(re.finditer(r"\b(?:[A-Z][a-z]{2,}|\d+|[A-Z]{2,3})\b", text))
    named = [m for m in found if m.group() in NAMES or not m.group()[0].isalpha()]
    pairs = [(m, n) for m in named for n in named if m.end() < n.start() and m.group() != n.group()]
    pairs = [(m, n) for m, n in pairs if (m.group() in NAMES) == (n.group() in NAMES)]
    if not pairs:
        return None
    m, n = rng.choice(pairs)
    return text[: m.start()] + n.group() + text[m.end() : n.start()] + m.group() + text[n.end() :]


def option(prompt: Prompt, rng: random.Random) -> Prompt | None:
    """Change one option that is not the answer."""
    if not prompt.choices:
        return None
    wrong = [
        n for n, text in enumerate(prompt.choices) if text != prompt.answer and n != letter(prompt)
    ]
    if not wrong:
        return None
    choices = list(prompt.choices)
    choices[rng.choice(wrong)] = str(rng.randint(1000, 9999))
    return Prompt(
        id="other", question=prompt.question, answer=prompt.answer, choices=tuple(choices)
    )


def letter(prompt: Prompt) -> int:
    """Place of the option that the answer names by its letter; -1 for none."""
    return (
        ord(prompt.answer) - ord("A") if len(prompt.answer) == 1 and prompt.answer.isupper() else -1
    )


def case(text: str, rng: random.Random) -> str | None:
    """Write the text in small letters or capitals, or only its first letter otherwise."""
    if "\\" in text:  # commands have a case
        return text[:1].swapcase() + text[1:]
    return rng.choice((text.upper(), text.lower(), text[:1].swapcase() + text[1:]))


def spaces(text: str, rng: random.Random) -> str | None:
    """Add spaces and line breaks between words, and no-break spaces."""
    return re.sub(r" ", lambda _: rng.choice((" ", "  ", "\u00a0", " \n", "\t")), f"  {text} \n")


def punctuation(text: str, rng: random.Random) -> str | None:
    """Change marks at the ends of words, and quotes."""
    text = re.sub(
        r"(?<=[A-Za-z])[.,;](?=\s|$)", lambda _: rng.choice(("", ";", ".", ",", " .")), text
    )
    return (
        text.rstrip(".?") + rng.choice(("", ".", "?", " ?")) if not text.endswith("= ?") else text
    )


def latex(text: str, rng: random.Random) -> str | None:
    """Write fractions, products, powers and formulas in LaTeX."""
    if "$" in text or "\\" in text:
        return None
    other = re.sub(r"\b(\d+)/(\d+)\b", r"$\\frac{\1}{\2}$", text)
    other = re.sub(
        r"(?<=\d) \* (?=[\d(])", lambda _: rng.choice((" \\times ", " \\cdot ", " × ")), other
    )
    other = re.sub(r"\^(\d+)", r"^{\1}", other)
    other = re.sub(r"(?<![$\d.{\\])\b(\d+)\b(?![\d.}/]|\s?dollar)", r"$\1$", other, count=1)
    return other if other != text else None


def unicode_forms(text: str, rng: random.Random) -> str | None:
    """Write digits in full width, a power raised, a minus as such, and invisible characters."""
    wide = str.maketrans("0123456789", "０１２３４５６７８９")
    other = re.sub(r"\^2\b", "²", text).replace(" - ", " − ").replace("1/2", "½")
    return other.translate(wide) if rng.random() < 0.5 else other.replace(" ", " \u200b", 1)


def number_words(text: str, _: random.Random) -> str | None:
    """Write small numbers in words."""
    words = "zero one two three four five six seven eight nine ten eleven twelve".split()
    other = re.sub(
        r"(?<=\s)(?:1[0-2]|[2-9])(?=\s[a-z]{2}|\?|$)", lambda m: words[int(m.group())], text
    )
    return other if other != text and text.isascii() else None


def instructions(text: str, rng: random.Random) -> str | None:
    """Put an instruction before or after."""
    before = (
        "Please answer the following question. ",
        "Question: ",
        "Solve the problem step by step. ",
    )
    after = (
        "\nPlease think step by step.",
        " Put your final answer in \\boxed{}.",
        "\nAnswer with the option's letter from the given choices directly.",
        "\nAnswer the question using a single word or phrase.",
    )
    return rng.choice((rng.choice(before) + text, text + rng.choice(after)))


def options_in_text(prompt: Prompt, rng: random.Random) -> Prompt | None:
    """Write the options into the question, or shuffle them; the answer is a letter."""
    if not prompt.choices or len(set(prompt.choices)) < len(prompt.choices):
        return None
    texts = list(prompt.choices)
    right = prompt.answer if prompt.answer in texts else texts[letter(prompt)]
    rng.shuffle(texts)
    answer = "ABCDEFGHIJ"[texts.index(right)]
    if rng.random() < 0.5:
        return Prompt(id="other", question=prompt.question, answer=answer, choices=tuple(texts))
    form = rng.choice(("({}) {}", "{}. {}", "{}: {}", "{}) {}"))
    listed = rng.choice(("\n", " ")).join(
        form.format(label, text) for label, text in zip("ABCDEFGHIJ", texts, strict=False)
    )
    header = rng.choice(("\nChoices:\n", "\nOptions:\n", "\n"))
    return Prompt(id="other", question=prompt.question + header + listed, answer=answer)


def texted(change: Callable[[str, random.Random], str | None]) -> Callable[..., Prompt | None]:
    """Change the question alone; the answer stays."""

    def changed(prompt: Prompt, rng: random.Random) -> Prompt | None:
        text = change(prompt.question, rng)
        if text is None or text == prompt.question:
            return None
        return Prompt(id="other", question=text, answer=prompt.answer, choices=prompt.choices)

    return changed


OTHER = {
    "one word": texted(word),
    "one number": texted(number),
    "one sign": texted(sign),
    "a negation": texted(negation),
    "order of two names or numbers": texted(order),
    "one option": option,
}
COPIES = {
    "case": texted(case),
    "spaces": texted(spaces),
    "punctuation": texted(punctuation),
    "LaTeX": texted(latex),
    "Unicode forms": texted(unicode_forms),
    "numbers in words": texted(number_words),
    "instructions around": texted(instructions),
    "options in the text or in another order": options_in_text,
}


def load(folder: Path) -> list[Prompt]:
    """Read the questions of MATH-Vision and MathVista as texts, those under 300 characters."""
    rows = [
        json.loads(line)
        for line in (folder / "mathvision" / "test.jsonl").read_text(encoding="utf-8").splitlines()
    ]
    texts = [
        (re.sub(r"\s*<image\d+>\s*", " ", row["question"]).strip(), row["answer"], row["options"])
        for row in rows
    ]
    vista = json.loads(
        (folder / "mathvista_questions" / "testmini.json").read_text(encoding="utf-8")
    )
    texts += [(row["question"], row["answer"], row["choices"]) for row in vista.values()]
    return [
        Prompt(
            id="first", question=text, answer=answer, choices=tuple(options) if options else None
        )
        for text, answer, options in texts
        if 10 < len(text) < 300
    ]


def dropped(first: Prompt, other: Prompt) -> bool:
    """Whether the second of two prompts is dropped."""
    pair = [first, other]
    return bool(near_duplicates(pair, index_images(pair)))


def measure(
    base: Callable[[random.Random], Prompt], count: int
) -> tuple[dict[str, tuple[int, int]], dict[str, tuple[int, int]]]:
    """Count (dropped, pairs) of other problems and of copies, for each kind of change."""
    results: list[dict[str, tuple[int, int]]] = []
    for kinds in (OTHER, COPIES):
        found: dict[str, tuple[int, int]] = {}
        for name, change in kinds.items():
            rng = random.Random(name)
            hits = pairs = 0
            for _ in range(20 * count):
                first = base(rng)
                other = change(first, rng)
                if other is None:
                    continue
                hit = dropped(first, other)
                hits, pairs = hits + hit, pairs + 1
                if pairs == count:
                    break
            found[name] = (hits, pairs)
        results.append(found)
    return results[0], results[1]


def table(
    name: str, other: dict[str, tuple[int, int]], copies: dict[str, tuple[int, int]]
) -> list[str]:
    """Return the lines of a table for one kind of prompts."""
    wrong, right = (sum(hits for hits, _ in rows.values()) for rows in (other, copies))
    pairs = sum(count for _, count in copies.values())
    lines = [
        f"## {name}",
        "",
        "| the second prompt differs in | pairs | dropped |",
        "| --- | --- | --- |",
    ]
    lines += [f"| {kind} | {count} | {hits} |" for kind, (hits, count) in (other | copies).items()]
    precision = right / (right + wrong) if right + wrong else 1.0
    return [*lines, "", f"Precision {precision:.4f}, recall {right / pairs:.4f}.", ""]


def main() -> None:
    """Measure, print the tables and write them to a file."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--data", type=Path, help="folder with mathvision and mathvista_questions")
    parser.add_argument("--pairs", type=int, default=500, help="pairs of each kind")
    args = parser.parse_args()
    lines = ["# Copies and other problems among prompts without pictures", ""]
    lines += table("Made prompts", *measure(made, args.pairs))
    if args.data:
        real = load(args.data)
        lines += table("Real questions", *measure(lambda rng: rng.choice(real), args.pairs))
    lines += [
        (
            "Other problems are the first six kinds, copies the rest; answers are equal.\n\n"
            f"`python benchmarks/same_texts.py --data DIR --pairs {args.pairs}`, vasari"
            f" {vasari.__version__}, {MACHINE}."
        ),
        "",
    ]
    text = "\n".join(lines)
    print(text)
    result_file("same_texts").write_text(text)


if __name__ == "__main__":
    sys.exit(main())
