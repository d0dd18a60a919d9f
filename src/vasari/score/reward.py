"""Verdicts -> rewards: the only place where a verdict becomes a number that a learner sees."""

from __future__ import annotations

import math
import re
from collections.abc import Hashable, Mapping, Sequence
from dataclasses import dataclass, field

from vasari.errors import ConfigError
from vasari.records import Outcome, Verdict
from vasari.score.shaping import CosineLength, RepetitionPenalty

_TAGS = ("<think>", "</think>", "<answer>", "</answer>")
_BRACE = re.compile(r"\\boxed[ \t]*\{|\\.|[{}]", re.DOTALL)


@dataclass(frozen=True, slots=True, kw_only=True)
class RewardSettings:
    """What a correct answer and the asked format are worth (arXiv:2509.21268, appendix C: 1 each)."""

    accuracy: float = 1.0
    """Reward for a correct answer."""
    format: float = 1.0
    """Reward for the format, whether the answer is right or not."""
    length: CosineLength | None = None
    """Term for the length of a rollout, or None."""
    repetition: RepetitionPenalty | None = None
    """Term for its repetitions, or None."""

    def __post_init__(self) -> None:
        for name, value in (("accuracy", self.accuracy), ("format", self.format)):
            if not (math.isfinite(value) and value >= 0):
                raise ConfigError(f"reward {name} must be finite and at least 0, got {value}")


@dataclass(frozen=True, slots=True)
class Reward:
    """The reward of one rollout and what it is made of."""

    total: float
    """What the learner sees; nan for an unverifiable rollout."""
    breakdown: Mapping[str, float] = field(default_factory=dict)
    """Parts by name, "accuracy", "format", and "length" and "repetition" where they are asked for; they sum to the total."""


def reward_of(
    verdict: Verdict, format_ok: bool, settings: RewardSettings | None = None, *, tokens: Sequence[Hashable] | None = None
) -> Reward:
    """The reward of one rollout: `settings.accuracy` if correct plus `settings.format` if well formed, plus the other terms.

    Args:
        verdict: An unverifiable one gives total nan: a failure of ours is neither right nor wrong.
        format_ok: Whether the rollout keeps to the format; see the function of that name.
        settings: None for the paper's: 1 for accuracy, 1 for format.
        tokens: What the rollout consists of, token ids or words; needed by the length and repetition terms.

    Raises:
        ConfigError: A length or repetition term is asked for and `tokens` is None.
    """
    worth = settings or RewardSettings()
    parts = {"accuracy": worth.accuracy * verdict.value, "format": worth.format if format_ok else 0.0}
    if worth.length is None and worth.repetition is None:
        return Reward(sum(parts.values()), parts)
    if tokens is None:
        raise ConfigError("the length and repetition terms of a reward need the rollout's tokens, got None")
    if worth.length is not None:
        parts["length"] = worth.length.value(len(tokens), correct=verdict.outcome is Outcome.CORRECT)
    if worth.repetition is not None:
        parts["repetition"] = worth.repetition.value(tokens)
    return Reward(sum(parts.values()), parts)


def format_ok(text: str) -> bool:
    r"""Whether a rollout keeps to the format `<think>...</think><answer>...\boxed{...}...</answer>`.

    Each tag stands exactly once and in this order, with nothing but whitespace outside; the reasoning is not empty, and
    the answer has one `\boxed` whose brace is closed (arXiv:2509.21268, appendices C and D): "put your answer in one
    \boxed{}", so two boxes side by side are not the format. Takes linear time.
    """
    if any(text.count(tag) != 1 for tag in _TAGS):
        return False
    before, _, rest = text.partition("<think>")
    reasoning, closes_reasoning, rest = rest.partition("</think>")
    between, opens_answer, rest = rest.partition("<answer>")
    answer, closes_answer, after = rest.partition("</answer>")
    ordered = bool(closes_reasoning and opens_answer and closes_answer)
    outside = before.strip() + between.strip() + after.strip()
    return ordered and not outside and bool(reasoning.strip()) and _num_closed_boxes(answer) == 1


def _num_closed_boxes(text: str) -> int:
    """Closed boxes that stand side by side; a box inside a closed box counts with it."""
    boxed: list[int | None] = []  # One entry an open brace: the closed boxes before it, None for a brace without \\boxed.
    closed = 0
    for match in _BRACE.finditer(text):
        mark = match.group()
        if mark == "}":
            before = boxed.pop() if boxed else None
            closed = closed if before is None else before + 1
        elif mark.endswith("{") and mark != r"\{":
            boxed.append(None if mark == "{" else closed)
    return closed
