"""Score of a baseline that answers each prompt with the most frequent answer of similar prompts."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass

from vasari.core.records import Outcome, Prompt
from vasari.verify import verify

Stratum = tuple[str, str, str | None, int]
"""Category, difficulty, kind and number of options of a prompt."""


@dataclass(frozen=True, slots=True)
class Majority:
    """Accuracy of a baseline that gives each prompt the most frequent answer of similar prompts."""

    accuracy: float
    """Share of the prompts that the baseline solves."""
    num_own: int
    """Prompts whose stratum the reference lacks, so that the majority is the set's own: too good by
    the luck of the set."""


def stratum_of(prompt: Prompt) -> Stratum:
    """Return what similar prompts share: category, difficulty, answer kind, number of options."""
    return (prompt.category, prompt.difficulty, prompt.kind, len(prompt.choices or ()))


def majority_answers(prompts: Iterable[Prompt]) -> dict[Stratum, str]:
    """Return the most frequent answer per category, difficulty, answer kind and number of options.

    Of answers that tie, the first in alphabetical order counts.
    """
    counts: dict[Stratum, Counter[str]] = {}
    for prompt in prompts:
        counts.setdefault(stratum_of(prompt), Counter())[prompt.answer.strip()] += 1
    return {
        stratum: min(votes, key=lambda answer: (-votes[answer], answer))
        for stratum, votes in counts.items()
    }


def score_majority(prompts: Sequence[Prompt], reference: Sequence[Prompt]) -> Majority:
    """Score the baseline that answers each prompt with the most frequent answer of similar prompts.

    Args:
        prompts: The set that is scored, at least one.
        reference: Prompts that the answers are counted on, such as the training pool; the set
            itself where they lack a stratum.
    """
    known = majority_answers(reference)
    own = majority_answers(prompts)
    num_own = sum(stratum_of(prompt) not in known for prompt in prompts)
    guesses: Mapping[Stratum, str] = own | known
    solved = sum(_solves(guesses[stratum_of(prompt)], prompt) for prompt in prompts)
    return Majority(solved / len(prompts), num_own)


def _solves(guess: str, prompt: Prompt) -> bool:
    verdict = verify(f"<answer>\\boxed{{{guess}}}</answer>", prompt)
    return verdict.outcome is Outcome.CORRECT
