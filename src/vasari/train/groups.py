"""Rollouts with what was found of them, as processes exchange them and samplers, gates and files
see them.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from vasari.core.records import GroupOutcome, Purpose, Verdict
from vasari.score.reward import Reward

MAX_ANSWER_CHARACTERS = 500
"""Longest final answer of a rollout that a sampler is shown and a file keeps."""


@dataclass(frozen=True, slots=True, kw_only=True)
class ScoredRollout:
    """One rollout with its verdict and reward; plain values, so that processes can exchange it."""

    index: int
    """Position of its prompt in the pool."""
    text: str
    token_ids: tuple[int, ...]
    """Up to and including the end token; no prompt, no padding."""
    verdict: Verdict
    reward: Reward
    truncated: bool = False
    """The token limit ended it."""
    confidence: float = math.nan
    """Least token log-probability under the policy that wrote it; nan when not computed."""

    @property
    def answer(self) -> str | None:
        """The final answer as the verifier read it, shortened; None where it found none."""
        found = self.verdict.extraction
        return None if found is None else found[:MAX_ANSWER_CHARACTERS]


@dataclass(frozen=True, slots=True, kw_only=True)
class ScoredGroup:
    """The rollouts of one prompt, with why it was drawn and what they were spent on."""

    rollouts: Sequence[ScoredRollout]
    role: str
    """Why its prompt was drawn."""
    score: float = math.nan
    """The sampler's score of the prompt when it was drawn; nan when it keeps none."""
    purpose: Purpose = "train"
    """What the rollouts were spent on, as far as it is decided."""

    @property
    def num_tokens(self) -> int:
        """Generated tokens."""
        return sum(len(rollout.token_ids) for rollout in self.rollouts)

    def outcome(self, batch: int) -> GroupOutcome:
        """The group as samplers and gates see it."""
        rollouts = self.rollouts
        confidence = np.array([rollout.confidence for rollout in rollouts])
        return GroupOutcome(
            index=rollouts[0].index,
            rewards=np.array([rollout.reward.total for rollout in rollouts]),
            verdicts=np.array([rollout.verdict.value for rollout in rollouts]),
            token_ids=[np.asarray(rollout.token_ids, dtype=np.int32) for rollout in rollouts],
            confidence=None if np.isnan(confidence).any() else confidence,
            answers=[rollout.answer for rollout in rollouts],
            purpose=self.purpose,
            batch=batch,
        )
