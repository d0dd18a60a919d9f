"""Rollouts with verdicts and rewards, and the groups that they form.

Samplers and gates see a group as `GroupOutcome`, files as a row of `group_file.py`.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace

import numpy as np

from vasari.core.records import GroupOutcome, Outcome, Prompt, Purpose, Rollout, Verdict
from vasari.score.reward import Reward, RewardTerm, score_rollouts
from vasari.verify import verify as verify_text

MAX_ANSWER_CHARACTERS = 500
"""Longest final answer of a rollout that a sampler is shown and a file keeps."""

VerifyPrompt = Callable[[Prompt, str], Verdict]
"""Function that maps a prompt and the text of a rollout to a verdict."""


@dataclass(frozen=True, slots=True, kw_only=True)
class ScoredRollout(Rollout):
    """Rollout with its verdict, reward and prompt index; can be sent between processes."""

    index: int
    """Position of the rollout's prompt in the pool."""
    verdict: Verdict
    reward: Reward

    @property
    def answer(self) -> str | None:
        """Final answer that the verifier found, cut to 500 characters; None if it found none."""
        found = self.verdict.extraction
        return None if found is None else found[:MAX_ANSWER_CHARACTERS]


@dataclass(frozen=True, slots=True, kw_only=True)
class ScoredGroup:
    """Scored rollouts of one prompt, with why the prompt was drawn and what they are used for."""

    rollouts: Sequence[ScoredRollout]
    role: str
    """Why the prompt was drawn, e.g. `promoted` (by its score) or `uniform` (at random)."""
    score: float = math.nan
    """The sampler's score of the prompt when it was drawn; nan when it keeps none."""
    purpose: Purpose = "train"
    """What the rollouts were spent on, as far as it is decided."""

    @property
    def num_tokens(self) -> int:
        """Number of generated tokens in all rollouts of the group."""
        return sum(len(rollout.token_ids) for rollout in self.rollouts)

    def outcome(self, batch: int) -> GroupOutcome:
        """Return the group as a `GroupOutcome`, the input of prompt samplers and training gates."""
        rollouts = self.rollouts
        confidence = np.array([rollout.confidence for rollout in rollouts], dtype=np.float64)
        return GroupOutcome(
            index=rollouts[0].index,
            rewards=np.array([rollout.reward.total for rollout in rollouts]),
            verdicts=np.array([rollout.verdict.value for rollout in rollouts]),
            token_ids=[rollout.token_ids for rollout in rollouts],
            confidence=None if np.isnan(confidence).any() else confidence,
            answers=[rollout.answer for rollout in rollouts],
            purpose=self.purpose,
            batch=batch,
        )


def verify_prompt(prompt: Prompt, text: str) -> Verdict:
    """Return the verdict on a rollout: does its final answer match the prompt's reference?"""
    return verify_text(text, prompt)


def score_group(
    rollouts: Sequence[Rollout],
    *,
    index: int,
    prompt: Prompt,
    terms: Sequence[RewardTerm],
    verify: VerifyPrompt = verify_prompt,
) -> list[ScoredRollout]:
    """Return the rollouts of one prompt with verdict and reward each, computed without TRL.

    Args:
        rollouts: Of the one prompt.
        index: Its position in the pool.
        prompt: The prompt.
        terms: What their rewards are the sum of.
        verify: Says which are correct.
    """
    verdicts = [verify(prompt, rollout.text) for rollout in rollouts]
    rewards = score_rollouts(
        terms,
        prompts=[prompt] * len(rollouts),
        texts=[rollout.text for rollout in rollouts],
        token_ids=[rollout.token_ids.tolist() for rollout in rollouts],
        verdicts=verdicts,
        truncated=[rollout.truncated for rollout in rollouts],
    )
    return [
        ScoredRollout(
            index=index,
            text=rollout.text,
            token_ids=rollout.token_ids,
            verdict=verdict,
            reward=reward,
            truncated=rollout.truncated,
        )
        for rollout, verdict, reward in zip(rollouts, verdicts, rewards, strict=True)
    ]


def score_alone(
    rollout: Rollout, *, prompt: Prompt, terms: Sequence[RewardTerm]
) -> tuple[Verdict, float]:
    """Return verdict and reward of one rollout, for a trainer that needs a number for each.

    A rollout without a reward counts as unverifiable and has a reward of 0: the trainer must leave
    it out of its group's baseline.
    """
    (scored,) = score_group([rollout], index=0, prompt=prompt, terms=terms)
    verdict, total = scored.verdict, scored.reward.total
    if not math.isnan(total):
        return verdict, total
    if verdict.outcome is not Outcome.UNVERIFIABLE:
        verdict = replace(verdict, outcome=Outcome.UNVERIFIABLE, reason="a reward returned None")
    return verdict, 0.0
