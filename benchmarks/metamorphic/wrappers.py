r"""Ways in which a model states an answer: boxes, blocks, sentences, headings, languages, thoughts.

A wrapper takes an answer that has the form it can state, and adds no second answer: numbers in the
text before an answer belong to the work, and the text after one has none. Wrappers in German,
French and Spanish are not given numbers with a point or a comma, which mean something else there.
"""

from __future__ import annotations

import json
import re
from collections.abc import Callable
from dataclasses import dataclass, replace
from random import Random
from typing import Literal

from metamorphic.drafts import Draft, Stated

_WORK = (
    "Let me look at the picture first.",
    "First I read the values from the figure.",
    "I compare the parts of the picture, one after the other.",
    "We need to find what is asked and check it against the figure.",
    "The figure shows everything that we need.",
    "By the rules for such figures, we can go step by step.",
    "The user asks about the picture, so I look at each part of it.",
    "Okay, this needs a careful look at the labels.",
    "To solve this, we use what is marked and what follows from it.",
    "There are a few parts here; I take them in turn.",
    "It helps to name what is known first and what is wanted next.",
    "I have to be careful with the small marks near the edge.",
)
_WORDS = re.compile(r"[a-zA-Z\u4e00-\u9fff]{2}")
_ROOT = re.compile(r"√\(?(\w+)\)?")
_POWERS = re.compile("[⁺⁻]?[⁰¹²³⁴⁵⁶⁷⁸⁹]+")
_DIGITS = str.maketrans("⁺⁻⁰¹²³⁴⁵⁶⁷⁸⁹", "+-0123456789")
_IN_LATEX = str.maketrans(
    {"%": r"\%", "×": r"\times ", "·": r"\cdot ", "π": r"\pi ", "\u2212": "-", "\u202f": ""}
    | {"≤": r"\le ", "≥": r"\ge ", "≠": r"\ne ", "∞": r"\infty ", "∪": r"\cup ", "±": r"\pm "}
)
_AFTER = (
    "This follows from the figure.",
    "It agrees with what the picture shows.",
    "I checked this against the picture.",
)


@dataclass(frozen=True, slots=True)
class Wrapper:
    """A way to state an answer."""

    name: str
    write: Callable[[Stated, str, Random], str]
    """From the answer, what the thought says and a generator to the response."""
    language: Literal["", "en", "zh", "other"] = ""
    """Of the words around the answer; "other" takes only answers without words."""
    thought: bool = False
    """Whether there is a thought before the answer."""
    sentences: bool = False
    """Whether the answer may be a whole sentence."""
    values: bool = True
    """Whether the answer may be anything else."""
    plain: bool = False
    """Whether LaTeX would be broken by it."""


def in_latex(stated: Stated) -> Stated:
    """Return an answer that is math and no words as LaTeX, for a verifier that reads nothing else.

    Wrappers then put it between dollar signs wherever they do not box it.
    """
    if stated.tex or stated.sentence or not is_math(stated.text):
        return stated
    text = _POWERS.sub(lambda match: f"^{{{match[0].translate(_DIGITS)}}}", stated.text)
    text = _ROOT.sub(r"\\sqrt{\1}", text)
    return replace(stated, text=text.translate(_IN_LATEX), tex=True)


def is_math(text: str) -> bool:
    """Whether a text has neither words nor signs of money, and is no time of day.

    Nor is it a lone number with a decimal comma: between dollar signs that is two numbers.
    """
    if re.fullmatch(r"-?\d+,\d{1,2}", text):
        return False
    return not re.search(r"[^\W\d_]{2}|[$€£₹]|(?i:\b[ap]\.\s?m\b)", text)


def in_prose(stated: Stated) -> str:
    """Return the answer for a line of text, math between dollar signs."""
    return f"${stated.text}$" if stated.tex else stated.text


def in_box(stated: Stated, rng: Random) -> str:
    r"""Return the answer for a box, words sometimes in `\text{}`."""
    return _in_math(stated, words_as_they_are=rng.random() < 0.6)


def _in_math(stated: Stated, *, words_as_they_are: bool) -> str:
    if stated.tex:
        return stated.text
    text = stated.text.replace("$", r"\$").replace("%", r"\%")
    if words_as_they_are or "^" in text or not _WORDS.search(text):
        return text
    return rf"\text{{{text}}}"


def _prose(pattern: str) -> Callable[[Stated, str, Random], str]:
    return lambda stated, thought, rng: _filled(pattern, in_prose(stated), thought, rng)


def _math(pattern: str) -> Callable[[Stated, str, Random], str]:
    return lambda stated, thought, rng: _filled(pattern, in_box(stated, rng), thought, rng)


def _formula(pattern: str) -> Callable[[Stated, str, Random], str]:
    r"""Math without a box, where models write words in `\text{}`."""
    return lambda stated, thought, rng: _filled(
        pattern, _in_math(stated, words_as_they_are=False), thought, rng
    )


def _filled(pattern: str, text: str, thought: str, rng: Random) -> str:
    filled = pattern.replace("@WORK", rng.choice(_WORK)).replace("@AFTER", rng.choice(_AFTER))
    return filled.replace("@THOUGHT", thought or rng.choice(_WORK)).replace("@A", text)


def _steps(stated: Stated, _: str, rng: Random) -> str:
    a, b = rng.randrange(2, 30), rng.randrange(2, 30)
    return (
        f"**Step 1:** {rng.choice(_WORK)}\n**Step 2:** As a check of the scale,"
        f" {a} + {b} = {a + b}.\n**Step 3:** We put it together.\n\nAnswer: {in_prose(stated)}"
    )


def _as_json(stated: Stated, _: str, rng: Random) -> str:
    return json.dumps({"reasoning": rng.choice(_WORK), "answer": stated.text}, ensure_ascii=False)


def _as_fenced_json(stated: Stated, _: str, _rng: Random) -> str:
    return "```json\n" + json.dumps({"answer": stated.text}, ensure_ascii=False, indent=2) + "\n```"


def _words_in_box(stated: Stated, _: str, rng: Random) -> str:
    return rf"@\boxed{{\text{{The answer is }} {in_box(stated, rng)}}}".replace(
        "@", rng.choice(("", "So: "))
    )


def _thoughts(name: str, opening: str, closing: str) -> tuple[Wrapper, ...]:
    head = f"{opening}@THOUGHT{closing}"
    return (
        Wrapper(f"{name}, then a sentence", _prose(head + "\n\nThe answer is @A."), "en", True),
        Wrapper(f"{name}, then a box", _math(head + "\n\n$\\boxed{@A}$"), thought=True),
    )


def _sentence(
    name: str, pattern: str, *, language: Literal["", "en"] = "", thought: bool = False
) -> Wrapper:
    return Wrapper(name, _prose(pattern), language, thought, sentences=True, values=False)


_BOXES = (
    Wrapper("box", _math(r"\boxed{@A}")),
    Wrapper("box in a sentence", _math(r"@WORK So the result is \boxed{@A}."), "en"),
    Wrapper("box in dollars", _math(r"@WORK Therefore, $\boxed{@A}$."), "en"),
    Wrapper("box in display math", _math("@WORK\n\n\\[\n\\boxed{@A}\n\\]")),
    Wrapper("box in double dollars", _math("@WORK\n\n$$\\boxed{@A}$$")),
    Wrapper("box, then text", _math("The result is $\\boxed{@A}$.\n\n@AFTER"), "en"),
    Wrapper(
        "final answer in a box",
        _math(r"The final answer is: $\boxed{@A}$. I hope it is correct."),
        "en",
    ),
    Wrapper("box after a heading", _math("@WORK\n\n### Final Answer\n\n$\\boxed{@A}$"), "en"),
    Wrapper("words inside the box", _words_in_box, "en"),
    Wrapper("box of GLM", _prose("@WORK So it is <|begin_of_box|>@A<|end_of_box|>.")),
)
_BLOCKS = (
    Wrapper("answer block", _prose("<answer>@A</answer>")),
    Wrapper(
        "thought and answer block", _prose("<think>@THOUGHT</think><answer>@A</answer>"), "", True
    ),
    Wrapper(
        "thought and answer block on lines",
        _prose("<think>\n@THOUGHT\n</think>\n<answer>\n@A\n</answer>"),
        thought=True,
    ),
    Wrapper(
        "thought and box in the block",
        _math(r"<think>@THOUGHT</think><answer>\boxed{@A}</answer>"),
        thought=True,
    ),
    Wrapper(
        "sentence in the block",
        _prose("<think>@THOUGHT</think><answer>The answer is @A.</answer>"),
        "en",
        True,
    ),
    Wrapper(
        "prose and box in the block",
        _math(
            "<think>@THOUGHT</think>\n<answer>\n@WORK Therefore, the final answer is"
            " $\\boxed{@A}$.\n</answer>"
        ),
        "en",
        True,
    ),
)
_SENTENCES = (
    Wrapper("the answer is", _prose("@WORK The answer is @A."), "en"),
    Wrapper("the answer is, no full stop", _prose("The answer is @A"), "en"),
    Wrapper("the correct answer is", _prose("Hence, the correct answer is @A."), "en"),
    Wrapper("the answer in bold", _prose("@WORK\n\nThe answer is **@A**."), "en"),
    Wrapper("my answer", _prose("My final answer is @A."), "en"),
    Wrapper("the answer, then text", _prose("The answer is @A.\n\n@AFTER"), "en"),
    Wrapper("the answer, then text on the line", _prose("The answer is @A. @AFTER"), "en"),
    Wrapper("final answer with a colon", _prose("@WORK\nFinal answer: @A"), "en"),
    Wrapper("answer with a colon", _prose("@WORK\n\nAnswer: @A"), "en"),
    Wrapper("answer with a colon and full stop", _prose("@WORK\n\nAnswer: @A."), "en"),
    Wrapper("bold label", _prose("@WORK\n\n**Final Answer:** @A"), "en"),
    Wrapper("bold line", _prose("@WORK\n\n**Answer: @A**"), "en"),
    Wrapper("heading", _prose("@WORK\n\n### Final Answer\n\n@A"), "en"),
    Wrapper("heading and bold", _prose("@WORK\n\n## Answer\n\n**@A**"), "en"),
    Wrapper("label, next line", _prose("@WORK\n\nFinal Answer:\n@A"), "en"),
    Wrapper("four hashes", _prose("@WORK\n#### @A")),
    Wrapper("label in LaTeX", _prose("@WORK\n\n\\textbf{Final answer:} @A"), "en"),
    Wrapper("Minerva", _prose("Final Answer: The final answer is @A. I hope it is correct."), "en"),
    Wrapper("display math", _formula("The answer is\n\\[\n@A\n\\]"), "en"),
    Wrapper("inline parentheses", _formula(r"@WORK The answer is \(@A\)."), "en"),
    Wrapper("dollars", _formula("Therefore, the answer is $@A$."), "en"),
    Wrapper("steps", _steps, "en"),
    Wrapper("bare", _prose("@A")),
    Wrapper("JSON", _as_json, plain=True),
    Wrapper("fenced JSON", _as_fenced_json, plain=True),
)
_LANGUAGES = (
    Wrapper("Chinese, so the answer is", _prose("所以答案是@A。"), "zh"),
    Wrapper("Chinese, label", _prose("答案：@A"), "zh"),
    Wrapper("Chinese, box", _math(r"因此，最终答案为 $\boxed{@A}$。"), "zh"),
    Wrapper("German", _prose("Die Antwort ist @A."), "other"),
    Wrapper("German, box", _math(r"Die Antwort lautet daher $\boxed{@A}$."), "other"),
    Wrapper("French", _prose("La réponse est @A."), "other"),
    Wrapper("French, box", _math(r"La réponse finale est donc $\boxed{@A}$."), "other"),
    Wrapper("Spanish", _prose("La respuesta es @A."), "other"),
    Wrapper("Spanish, box", _math(r"Por lo tanto, la respuesta es $\boxed{@A}$."), "other"),
)
_WHOLE_SENTENCES = (
    _sentence("sentence", "@A"),
    _sentence("sentence after work", "@WORK\n\n@A", language="en"),
    _sentence("sentence after a heading", "@WORK\n\n### Answer\n\n@A", language="en"),
    _sentence("sentence in the answer block", "<answer>@A</answer>"),
    _sentence("thought, then the sentence", "<think>@THOUGHT</think>\n\n@A", thought=True),
    _sentence(
        "thought, then the sentence in the block",
        "<think>@THOUGHT</think><answer>@A</answer>",
        thought=True,
    ),
    _sentence("thinking, then the sentence", "<thinking>@THOUGHT</thinking>\n@A", thought=True),
    _sentence("[THINK], then the sentence", "[THINK]@THOUGHT[/THINK]@A", thought=True),
    _sentence(
        "reasoning, then the sentence", "<reasoning>@THOUGHT</reasoning>\n\n@A", thought=True
    ),
)
_RAW = Wrapper("as it is", _prose("@A"))

WRAPPERS = (
    *_BOXES,
    *_BLOCKS,
    *_SENTENCES,
    *_LANGUAGES,
    *_thoughts("<think>", "<think>\n", "\n</think>"),
    *_thoughts("<thinking>", "<thinking>\n", "\n</thinking>"),
    *_thoughts("[THINK]", "[THINK]", "[/THINK]"),
    *_thoughts("<reasoning>", "<reasoning>", "</reasoning>"),
    *_WHOLE_SENTENCES,
)


def fitting(draft: Draft) -> list[Wrapper]:
    """Return the wrappers that may state the draft's answer."""
    if draft.raw:
        return [_RAW]
    stated = draft.answer
    return [
        wrapper for wrapper in WRAPPERS if _fits(wrapper, stated, needs_thought=bool(draft.thought))
    ]


def _fits(wrapper: Wrapper, stated: Stated, *, needs_thought: bool) -> bool:
    if needs_thought and not wrapper.thought:
        return False
    if not (wrapper.sentences if stated.sentence else wrapper.values):
        return False
    if wrapper.plain and (stated.tex or "\n" in stated.text):
        return False
    if wrapper.language == "other":
        return not stated.language and not re.search(r"[.,]", stated.text)
    if wrapper.language == "zh":
        return stated.language != "en"
    if wrapper.language == "en":
        return stated.language != "zh"
    return True
