"""Verdicts -> rewards: the only place where a verdict becomes a number that a learner sees."""

from __future__ import annotations

import math
import re
from collections.abc import Mapping
from dataclasses import dataclass, field

from vasari.errors import ConfigError
from vasari.records import Verdict

_TAGS = ("<think>", "</think>", "<answer>", "</answer>")
_BRACE = re.compile(r"\\boxed[ \t]*\{|\\.|[{}]", re.DOTALL)


@dataclass(frozen=True, slots=True, kw_only=True)
class RewardSettings:
    """What a correct answer and the asked format are worth (arXiv:2509.21268, appendix C: 1 each)."""

    accuracy: float = 1.0
    """Reward for a correct answer."""
    format: float = 1.0
    """Reward for the format, whether the answer is right or not."""

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
    """Parts by name, "accuracy" and "format"; they sum to the total."""


def reward_of(verdict: Verdict, format_ok: bool, settings: RewardSettings | None = None) -> Reward:
    """The reward of one rollout: `settings.accuracy` if correct plus `settings.format` if well formed.

    Args:
        verdict: An unverifiable one gives total nan: a failure of ours is neither right nor wrong.
        format_ok: Whether the rollout keeps to the format; see the function of that name.
        settings: None for the paper's: 1 for accuracy, 1 for format.
    """
    worth = settings or RewardSettings()
    parts = {"accuracy": worth.accuracy * verdict.value, "format": worth.format if format_ok else 0.0}
    return Reward(sum(parts.values()), parts)


def format_ok(text: str) -> bool:
    r"""Whether a rollout keeps to the format `<think>...</think><answer>...\boxed{...}...</answer>`.

    Each tag stands exactly once and in this order, with nothing but whitespace outside; the reasoning is not empty, and
    the answer has a `\boxed` whose brace is closed (arXiv:2509.21268, appendices C and D). Takes linear time.
    """
    if any(text.count(tag) != 1 for tag in _TAGS):
        return False
    before, _, rest = text.partition("<think>")
    reasoning, closes_reasoning, rest = rest.partition("</think>")
    between, opens_answer, rest = rest.partition("<answer>")
    answer, closes_answer, after = rest.partition("</answer>")
    ordered = bool(closes_reasoning and opens_answer and closes_answer)
    outside = before.strip() + between.strip() + after.strip()
    return ordered and not outside and bool(reasoning.strip()) and _has_closed_box(answer)


def _has_closed_box(text: str) -> bool:
    boxed: list[bool] = []  # one entry an open brace: whether it belongs to \boxed
    for match in _BRACE.finditer(text):
        mark = match.group()
        if mark == "}":
            if boxed and boxed.pop():
                return True
        elif mark.endswith("{") and mark != r"\{":
            boxed.append(mark != "{")
    return False
