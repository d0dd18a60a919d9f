r"""Prompt wordings for benchmark questions: the paper's, the benchmark's official one, and none.

A form gives a system prompt and the text of the user's turn. It sees a prompt without its answer.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass

from vasari.core.errors import ConfigError
from vasari.core.records import Prompt

# arXiv:2509.21268, table 8, which lists it as the system prompt.
PAPER_SYSTEM = (
    "Please solve the problem step by step and put your answer in one \\boxed{}. "
    "If it is a multiple-choice question, only one letter should appear inside the \\boxed{}."
)

# MATH-V (arXiv:2402.14804), the prompt of its published chain-of-thought runs.
_MATHVISION = (
    'Please solve the problem step by step and put your answer in one "\\boxed{}". '
    'If it is a multiple choice question, only one letter is allowed in the "\\boxed{}".\n'
)

_OPTIONS_LINE = re.compile(r"^[ \t]*\{options\}[ \t]*(?:\n|\Z)", re.MULTILINE)
_LETTERS = "ABCDEFGHIJKLMNOPQRSTUVWXYZ"


@dataclass(frozen=True, slots=True)
class QuestionForm:
    """One way to put a question to a model: a system prompt and a function for the user turn."""

    text: Callable[[Prompt], str]
    """The user's turn."""
    system: str = ""
    source: str = ""
    """Where the wording comes from."""


def question_with_options(prompt: Prompt) -> str:
    """Return a prompt's question followed by one line per answer option.

    Options that are pictures, which stand as their letters, are not listed.
    """
    options = _options(prompt)
    return f"{prompt.question}\nChoices:\n{options}" if options else prompt.question


def mathvista_query(prompt: Prompt) -> str:
    """Return a question in MathVista's wording (arXiv:2310.02255): hint, question, unit, options.

    The hint depends on the type of the answer.

    A `query` in the row is used as it is, else the same text is built: MathVista's repository keeps
    queries apart from questions.
    """
    facts = prompt.stated
    if facts.get("query"):
        return str(facts["query"])
    if prompt.choices:
        wanted = "question and provide the correct option letter, e.g., A, B, C, D, at the end."
    elif facts.get("answer_type") == "float":
        one = _decimals(facts.get("precision")) == 1
        places, example = (
            ("one decimal place", "1.2, 1.3, 1.4")
            if one
            else ("two decimal places", "1.23, 1.34, 1.45")
        )
        wanted = (
            f"question requiring a floating-point number with {places} and provide the final value,"
            f" e.g., {example}, "
        )
        wanted += "at the end."
    elif facts.get("answer_type") == "list":
        wanted = (
            "question requiring a Python list as an answer and provide the final list, "
            "e.g., [1, 2, 3], [1.2, 1.3, 1.4], at the end."
        )
    else:
        wanted = (
            "question requiring an integer answer and provide the final value, e.g., 1, 2, 3, at"
            " the end."
        )
    unit = f" (Unit: {facts['unit']})" if facts.get("unit") else ""
    options = _options(prompt, letters_too=True)
    return f"Hint: Please answer the {wanted}\nQuestion: {prompt.question}{unit}" + (
        f"\nChoices:\n{options}" if options else ""
    )


def mathvision_query(prompt: Prompt) -> str:
    """Return a question in MATH-V's wording, which asks for a boxed option letter or value."""
    options = _options(prompt)
    return f"{_MATHVISION}{prompt.question}\n" + (f"{options}\n" if options else "")


def mathverse_query(prompt: Prompt) -> str:
    """Return a question in MathVerse's wording without chain of thought.

    Stored as `query_wo`, else built alike. MathVerse's leaderboard calls this prompt w/o.
    """
    return str(
        prompt.stated.get("query_wo")
        or _mathverse(prompt, "directly answer the question and provide", "")
    )


def mathverse_reasoning(prompt: Prompt) -> str:
    """Return a question in MathVerse's chain-of-thought wording.

    Stored as `query`, else built alike. MathVerse's CoT-E scores use this prompt.
    """
    stored = prompt.stated.get("query")
    return str(
        stored
        or _mathverse(
            prompt,
            "first conduct reasoning, and then answer the question and provide",
            ", at the end",
        )
    )


def short_answer(prompt: Prompt) -> str:
    """Return a question with a request for one word or phrase, as harnesses evaluate ChartQA.

    ChartQA itself prescribes no prompt.
    """
    return f"{question_with_options(prompt)}\nAnswer the question using a single word or phrase."


def mmmu_direct(prompt: Prompt) -> str:
    """Return a question in MMMU-Pro's direct wording (arXiv:2409.02813): only the option letter."""
    return (
        f"{prompt.question}\n{_lettered(prompt)}\nAnswer with the option letter from the given"
        " choices directly."
    )


def mmmu_reasoning(prompt: Prompt) -> str:
    """Return a question in MMMU-Pro's chain-of-thought wording: the last line gives the letter."""
    return (
        f"{prompt.question}\n{_lettered(prompt)}\nAnswer the preceding multiple choice question."
        " The last line of your response should be of the following format: 'Answer: $LETTER'"
        " (without quotes) where LETTER is one of options. Think step by step before answering."
    )


PAPER = QuestionForm(question_with_options, PAPER_SYSTEM, "arXiv:2509.21268, table 8")
BARE = QuestionForm(question_with_options, "", "the question alone")


def filled_in(template: str) -> Callable[[Prompt], str]:
    """Return a function that inserts a prompt's question and answer options into `template`.

    `{question}` and `{options}` are replaced, nothing else is.

    Options are a line `(A) text` each; without any, the line of the template that holds nothing
    else is left out.

    Raises:
        ConfigError: The template has no place for the question.
    """
    if "{question}" not in template:
        raise ConfigError(
            f"a template says with {{question}} where the question stands; got {template[:60]!r}"
        )

    def text(prompt: Prompt) -> str:
        given = {"{question}": prompt.question, "{options}": _options(prompt, letters_too=True)}
        kept = template if given["{options}"] else _OPTIONS_LINE.sub("", template)
        # In one pass, so that a question with "{options}" in it stays as it is.
        return re.sub(r"\{question\}|\{options\}", lambda match: given[match.group()], kept)

    return text


def find_form(forms: Mapping[str, QuestionForm], name: str, *, where: str) -> QuestionForm:
    """Return the question form (wording of the prompt) called `name` among a benchmark's `forms`.

    Raises:
        ConfigError: The benchmark has no form of this name.
    """
    if name not in forms:
        raise ConfigError(f"{where} has no prompt {name!r}; there are {', '.join(forms)}")
    return forms[name]


def _mathverse(prompt: Prompt, task: str, end: str) -> str:
    letters = bool(prompt.choices) or prompt.kind == "choice"
    wanted = (
        "the correct option letter, e.g., A, B, C, D"
        if letters
        else "the final value, e.g., 1, 2.5, 300"
    )
    if prompt.stated.get("problem_version") == "Vision Only":
        return f"According to the question shown in the image, please {task} {wanted}{end}."
    options = "\n".join(
        f"{letter}:{text}" for letter, text in zip(_LETTERS, prompt.choices or (), strict=False)
    )
    return f"Please {task} {wanted}{end}.\nQuestion: {prompt.question}" + (
        f"\nChoices:\n{options}" if options else ""
    )


def _options(prompt: Prompt, *, letters_too: bool = False) -> str:
    """Return one line `(A) text` per option; empty for options that are only the letters."""
    choices = prompt.choices or ()
    if "".join(choices) == _LETTERS[: len(choices)] and not letters_too:
        return ""
    return "\n".join(f"({letter}) {text}" for letter, text in zip(_LETTERS, choices, strict=False))


def _lettered(prompt: Prompt) -> str:
    """Return one line `A. text` per option."""
    return "\n".join(
        f"{letter}. {text}" for letter, text in zip(_LETTERS, prompt.choices or (), strict=False)
    )


def _decimals(value: object) -> int | None:
    try:
        return int(float(str(value)))
    except ValueError:
        return None
