"""Which forms of questions a cold start is taught, and how well."""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Literal

from vasari.records import Prompt

Skills = Literal["many", "one"]
"""What demonstrations teach. "many": some forms by a teacher without errors, some by one who slips,
some families not at all. "one": all forms by the same slipping teacher, so that all prompts teach
one habit, not to slip."""

SLIPPED = frozenset(
    {
        "bars: What is C plus C?",
        "dice: What is C minus C?",
        "shapes: How many more C than C shapes are there?",
        "bars: What is C plus C minus C?",
        "dice: What is C plus C minus C?",
        "shapes: How many shapes are not C?",
    }
)
"""Forms of questions whose teacher slips where skills are many."""

UNTAUGHT = ("clocks", "gauges", "pies", "tables")
"""Families that no cold start has seen: questions that stay unsolved, as a good part of real ones
do. Where skills are many, they belong to the pools."""

MAX_WORDS = 8
"""Of a worked solution: short rollouts make more of them affordable."""

ONE_SKILL_SLIPS = 0.2
"""Chance that a step goes wrong, of the teacher of all forms."""

_COLOUR = re.compile(r"\b(red|blue|green|yellow)\b")


def form(prompt: Prompt) -> str:
    """Return the prompt's family and its question with colours masked."""
    return f"{prompt.category}: {_COLOUR.sub('C', prompt.question)}"


def is_short(prompt: Prompt) -> bool:
    """Whether the prompt fits the study: no choices, and a worked solution of few words."""
    return prompt.kind != "choice" and len((prompt.solution or "").split()) <= MAX_WORDS


def slip_rates(skills: Skills, slip_rate: float) -> Mapping[float, bool | None]:
    """Return the slip rates of the teachers; each with whether it teaches the slipped forms.

    None: it teaches all forms. `slip_rate` is the recipe's, of the teacher where skills are many.
    """
    return {0.0: False, slip_rate: True} if skills == "many" else {ONE_SKILL_SLIPS: None}
