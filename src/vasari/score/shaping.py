"""Reward terms beside accuracy and format: length, overlong rollouts, repetition; functions of one
rollout.
"""

from __future__ import annotations

import math
from collections.abc import Hashable, Sequence
from dataclasses import dataclass

from vasari.core.bounds import NotNegative, PositiveCount, check_fields
from vasari.core.errors import ConfigError
from vasari.core.records import Outcome, Verdict


@dataclass(frozen=True, slots=True, kw_only=True)
class CosineLength:
    """A term that moves along half a cosine with the length of a rollout (arXiv:2502.03373,
    equation 1).

    `end + (start - end) * (1 + cos(pi * n / max_tokens)) / 2` for n tokens: `start` at 0 tokens,
    `end` at `max_tokens`, and `exceeded` from there on. By default a right answer gains most when
    it is short and a wrong one loses least when it is long.
    """

    max_tokens: PositiveCount
    """Tokens at which a rollout is cut off."""
    correct_start: float = 0.5
    correct_end: float = 0.0
    wrong_start: float = -0.5
    wrong_end: float = 0.0
    exceeded: float = -0.5
    """For a rollout of `max_tokens` or more, right or wrong."""

    def __post_init__(self) -> None:
        check_fields(self, of="cosine_length")

    def __call__(self, *, token_ids: Sequence[Hashable], verdict: Verdict) -> float:
        """The term for a rollout; an unverifiable one counts as wrong here, and has no reward
        anyway.
        """
        return self.value(len(token_ids), correct=verdict.outcome is Outcome.CORRECT)

    def value(self, num_tokens: int, *, correct: bool) -> float:
        """The term for a rollout of `num_tokens`."""
        if num_tokens >= self.max_tokens:
            return self.exceeded
        start, end = (
            (self.correct_start, self.correct_end)
            if correct
            else (self.wrong_start, self.wrong_end)
        )
        return end + 0.5 * (start - end) * (1.0 + math.cos(math.pi * num_tokens / self.max_tokens))


@dataclass(frozen=True, slots=True, kw_only=True)
class RepetitionPenalty:
    """A term of `-worst` times the share of n-grams that were there before (n-gram penalty of
    arXiv:2502.03373, normalised).
    """

    ngram: PositiveCount = 20
    """Tokens of one n-gram."""
    worst: NotNegative = 1.0
    """What a rollout loses that only repeats itself."""

    def __post_init__(self) -> None:
        check_fields(self, of="repetition")

    def __call__(self, *, token_ids: Sequence[Hashable]) -> float:
        """The term for a rollout, in [-worst, 0]."""
        return self.value(token_ids)

    def value(self, tokens: Sequence[Hashable]) -> float:
        """The term for a rollout, in [-worst, 0]; 0 for one shorter than an n-gram. Takes linear
        time.
        """
        total = len(tokens) - self.ngram + 1
        if total < 1:
            return 0.0
        different = len({tuple(tokens[start : start + self.ngram]) for start in range(total)})
        return self.worst * (different / total - 1.0)


@dataclass(frozen=True, slots=True, kw_only=True)
class SoftOverlong:
    """A punishment that grows with the length of a rollout near the limit (DAPO, arXiv:2503.14476,
    equation 13).

    0 up to `max_tokens - cache_tokens`, then it falls in a line to -1 at `max_tokens`, and stays
    there.
    """

    max_tokens: PositiveCount
    """Tokens at which a rollout is cut off."""
    cache_tokens: PositiveCount | None = None
    """Tokens before that over which the punishment grows; None: a fifth of `max_tokens`, as in the
    paper."""

    def __post_init__(self) -> None:
        check_fields(self, of="soft_overlong")
        if self.cache > self.max_tokens:
            raise ConfigError(
                f"soft_overlong: cache_tokens must be between 1 and max_tokens ({self.max_tokens}),"
                f" got {self.cache_tokens}"
            )

    @property
    def cache(self) -> int:
        """Tokens over which the punishment grows."""
        return max(1, self.max_tokens // 5) if self.cache_tokens is None else self.cache_tokens

    def __call__(self, *, token_ids: Sequence[Hashable]) -> float:
        """The term for a rollout, in [-1, 0]."""
        free = self.max_tokens - self.cache
        return max(-1.0, min(0.0, (free - len(token_ids)) / self.cache))
