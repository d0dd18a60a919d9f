"""Reward terms beside accuracy and format: length and repetition. Both are off unless asked for."""

from __future__ import annotations

import math
from collections.abc import Hashable, Sequence
from dataclasses import dataclass

from vasari.errors import ConfigError


@dataclass(frozen=True, slots=True, kw_only=True)
class CosineLength:
    """A term that moves along half a cosine with the length of a rollout (arXiv:2502.03373, equation 1).

    `end + (start - end) * (1 + cos(pi * n / max_tokens)) / 2` for n tokens: `start` at 0 tokens, `end` at `max_tokens`, and
    `exceeded` from there on. By default a right answer gains most when it is short and a wrong one loses least when it is long.
    """

    max_tokens: int
    """Tokens at which a rollout is cut off."""
    correct_start: float = 0.5
    correct_end: float = 0.0
    wrong_start: float = -0.5
    wrong_end: float = 0.0
    exceeded: float = -0.5
    """For a rollout of `max_tokens` or more, right or wrong."""

    def __post_init__(self) -> None:
        if self.max_tokens < 1:
            raise ConfigError(f"cosine length needs max_tokens of at least 1, got {self.max_tokens}")
        for name in ("correct_start", "correct_end", "wrong_start", "wrong_end", "exceeded"):
            if not math.isfinite(getattr(self, name)):
                raise ConfigError(f"cosine length {name} must be finite, got {getattr(self, name)}")

    def value(self, num_tokens: int, *, correct: bool) -> float:
        """The term for a rollout of `num_tokens`."""
        if num_tokens >= self.max_tokens:
            return self.exceeded
        start, end = (self.correct_start, self.correct_end) if correct else (self.wrong_start, self.wrong_end)
        return end + 0.5 * (start - end) * (1.0 + math.cos(math.pi * num_tokens / self.max_tokens))


@dataclass(frozen=True, slots=True, kw_only=True)
class RepetitionPenalty:
    """A term of `-worst` times the share of n-grams that were there before (n-gram penalty of arXiv:2502.03373, normalised)."""

    ngram: int = 20
    """Tokens of one n-gram."""
    worst: float = 1.0
    """What a rollout loses that only repeats itself."""

    def __post_init__(self) -> None:
        if self.ngram < 1:
            raise ConfigError(f"repetition ngram must be at least 1, got {self.ngram}")
        if not (math.isfinite(self.worst) and self.worst >= 0):
            raise ConfigError(f"repetition worst must be finite and at least 0, got {self.worst}")

    def value(self, tokens: Sequence[Hashable]) -> float:
        """The term for a rollout, in [-worst, 0]; 0 for one shorter than an n-gram. Takes linear time."""
        total = len(tokens) - self.ngram + 1
        if total < 1:
            return 0.0
        different = len({tuple(tokens[start : start + self.ngram]) for start in range(total)})
        return -self.worst * (1.0 - different / total)
