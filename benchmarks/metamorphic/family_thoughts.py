"""The thought before the answer does not count: only what is stated after it does."""

from __future__ import annotations

from random import Random

from metamorphic.drafts import Draft, Rule, Stated, equal, wrong
from metamorphic.family_hedges import any_value
from metamorphic.values import NoAnswer, Options

TAGS = (
    ("<think>", "</think>"),
    ("<thinking>", "</thinking>"),
    ("[THINK]", "[/THINK]"),
    ("<reasoning>", "</reasoning>"),
)
_THOUGHTS = (
    "I read the values from the picture. So it should be {}.",
    "Let me see. The answer is {}.",
    "Perhaps \\boxed{{{}}}? Let me check once more.",
    "First idea: {}. I will look again.",
    "Counting gives {}. Therefore the final answer is {}.",
)
_BEGINNINGS = (
    "",
    "Okay. ",
    "I look at the picture. ",
    "The user wants one answer. ",
    "Let us go step by step. ",
    "First I read what is marked. ",
)
_REFUSALS = (
    "I cannot determine it.", "Sorry, no result.", "I am not able to answer this.",
    "There is not enough information to answer.",
)  # fmt: skip
_DOUBTS = (
    "Wait, that is wrong.", "No, I made a mistake there.", "Let me correct that.",
    "Hold on, I misread the picture.",
)  # fmt: skip


def _about(stated: Stated, rng: Random) -> str:
    pattern = rng.choice(_THOUGHTS)
    text = stated.text
    if "boxed" in pattern:
        text = text.replace("$", r"\$").replace("%", r"\%")
    return rng.choice(_BEGINNINGS) + pattern.replace("{}", "{0}").format(text)


def _values(rng: Random) -> tuple[Stated, Stated]:
    """A reference and another answer of its kind."""
    value = any_value(rng)
    return value(0), value(rng.randrange(1, 9))


def _letters(rng: Random) -> tuple[Stated, Stated]:
    right, other = (Stated(letter, Options(frozenset(letter))) for letter in rng.sample("ABCD", 2))
    return right, other


_CHOICES = ("an oak", "a birch", "a pine", "an elm")
_KINDS = {"any value": (_values, None), "choice": (_letters, _CHOICES)}


def _in_thought(kind: str, *, right: bool) -> Rule:
    values, choices = _KINDS[kind]

    def draft(rng: Random) -> Draft:
        reference, other = values(rng)
        thought, answer = (other, reference) if right else (reference, other)
        return Draft(reference, answer, choices, thought=_about(thought, rng))

    if right:
        return equal(kind, "another in the thought", draft)
    return wrong(kind, "right in the thought only", draft)


def _unstated(kind: str, name: str) -> Rule:
    values, choices = _KINDS[kind]

    def draft(rng: Random) -> Draft:
        reference, _ = values(rng)
        thought = _about(reference, rng)
        opening, closing = rng.choice(TAGS)
        space = rng.choice(("", "\n"))
        closed = f"{opening}{space}{thought}{space}{closing}"
        text = {
            "thought left open": f"{opening}{space}{thought}",
            "thought, then no answer": f"{closed}\n\n{rng.choice(_REFUSALS)}",
            "thought, then an empty block": f"{closed}\n<answer>{space}</answer>",
        }[name]
        return Draft(reference, Stated(text, NoAnswer()), choices, raw=True)

    return wrong(kind, name, draft)


def _corrected(*, right: bool) -> Rule:
    def draft(rng: Random) -> Draft:
        reference, other = _values(rng)
        first, last = (other, reference) if right else (reference, other)
        boxes = [stated.text.replace("$", r"\$").replace("%", r"\%") for stated in (first, last)]
        text = rng.choice(
            (
                "I get $\\boxed{{{}}}$. {} The final answer is $\\boxed{{{}}}$.",
                "The result is \\boxed{{{}}}.\n\n{} The answer is \\boxed{{{}}}.",
                "So \\boxed{{{}}}?\n{}\n\nFinal answer: \\boxed{{{}}}",
            )
        )
        written = text.format(boxes[0], rng.choice(_DOUBTS), boxes[1])
        return Draft(reference, Stated(written, last.value), raw=True)

    name = "corrected to the right answer" if right else "corrected to a wrong answer"
    return Rule("any value", name, right, draft)


_UNSTATED = ("thought left open", "thought, then no answer", "thought, then an empty block")

RULES = (
    *(_in_thought(kind, right=right) for kind in _KINDS for right in (True, False)),
    *(_unstated(kind, name) for kind in _KINDS for name in _UNSTATED),
    _corrected(right=True),
    _corrected(right=False),
)
