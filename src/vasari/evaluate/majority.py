"""The score of always giving the most frequent answer to prompts of one shape."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass

from vasari.core.records import Outcome, Prompt
from vasari.verify import verify_answer

Stratum = tuple[str, str, str | None, int]
"""Category, difficulty, kind and number of options of a prompt."""


@dataclass(frozen=True, slots=True)
class Majority:
    """The score of the most frequent answer on a set."""

    accuracy: float
    """Share of the prompts that it solves."""
    num_own: int
    """Prompts whose stratum the reference lacks, so that the majority is the set's own: too good by
    the luck of the set."""


def stratum_of(prompt: Prompt) -> Stratum:
    """Return the shape of a prompt, which is known without its images."""
    return (prompt.category, prompt.difficulty, prompt.kind, len(prompt.choices or ()))


def majority_answers(prompts: Iterable[Prompt]) -> dict[Stratum, str]:
    """Return the most frequent reference answer of each stratum.

    Of answers that tie, the first in alphabetical order.
    """
    counts: dict[Stratum, Counter[str]] = {}
    for prompt in prompts:
        counts.setdefault(stratum_of(prompt), Counter())[prompt.answer.strip()] += 1
    return {
        stratum: min(votes, key=lambda answer: (-votes[answer], answer))
        for stratum, votes in counts.items()
    }


def score_majority(prompts: Sequence[Prompt], reference: Sequence[Prompt]) -> Majority:
    """Return how many prompts the most frequent answer of the reference prompts solves.

    Args:
        prompts: The set that is scored, at least one.
        reference: What the majority is taken from, such as the training pool; the set itself where
            a stratum is absent.
    """
    known = majority_answers(reference)
    own = majority_answers(prompts)
    num_own = sum(stratum_of(prompt) not in known for prompt in prompts)
    guesses: Mapping[Stratum, str] = own | known
    solved = sum(_solves(guesses[stratum_of(prompt)], prompt) for prompt in prompts)
    return Majority(solved / len(prompts), num_own)


def _solves(guess: str, prompt: Prompt) -> bool:
    verdict = verify_answer(
        f"<answer>\\boxed{{{guess}}}</answer>", prompt.answer, prompt.choices, prompt.kind
    )
    return verdict.outcome is Outcome.CORRECT
