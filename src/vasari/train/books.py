"""The books of a run: what each rollout earned, what it was spent on, and every group kept on disk."""

from __future__ import annotations

import math
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from vasari.ledger import Ledger
from vasari.records import GroupOutcome, Prompt, Purpose, Verdict
from vasari.rundir import write_groups
from vasari.score.reward import Reward, RewardSettings, format_ok, reward_of
from vasari.verify import verify_answer

MAX_STORED_CHARACTERS = 20_000
"""Longest text of one rollout that is kept in the group files."""


@dataclass(frozen=True, slots=True, kw_only=True)
class ScoredRollout:
    """One rollout with its verdict and reward; plain values, so that processes can exchange it."""

    index: int
    text: str
    token_ids: tuple[int, ...]
    verdict: Verdict
    reward: Reward
    truncated: bool = False
    confidence: float = math.nan


class RolloutBooks:
    """Scores rollouts, and keeps account of all of them."""

    def __init__(self, prompts: Sequence[Prompt], *, folder: Path, rewards: RewardSettings, keep_texts: bool = True) -> None:
        self.prompts = prompts
        self.ledger = Ledger()
        self._folder = folder
        self._rewards = rewards
        self._keep_texts = keep_texts

    def score(self, index: int, text: str, token_ids: Sequence[int], *, truncated: bool = False) -> ScoredRollout:
        """Verify one rollout of prompt `index` and give it its reward."""
        prompt = self.prompts[index]
        verdict = verify_answer(text, prompt.answer, choices=prompt.choices, kind=prompt.kind)
        reward = reward_of(verdict, format_ok(text), self._rewards)
        return ScoredRollout(
            index=index, text=text, token_ids=tuple(token_ids), verdict=verdict, reward=reward, truncated=truncated
        )

    def record(
        self,
        groups: Sequence[Sequence[ScoredRollout]],
        *,
        batch: int,
        step: int,
        purpose: Purpose,
        roles: Sequence[str],
        scores: Sequence[float],
        discarded: Collection[int] = (),
        screened_only: Collection[int] = (),
    ) -> list[GroupOutcome]:
        """Charge the groups, keep them on disk in their order, and return them as a sampler sees them.

        Args:
            groups: Rolled out for one purpose.
            batch: The batch that they belong to.
            step: Optimizer updates before it.
            purpose: What they were rolled out for.
            roles: Why each prompt was drawn.
            scores: What its sampler thought of each prompt; nan when nothing.
            discarded: Places of the groups that a gate left out; they are charged and kept as `discarded`.
            screened_only: Places of the groups that were screened only; they are charged and kept as `screen`.
        """
        charged = [purpose] * len(groups)
        for place in discarded:
            charged[place] = "discarded"
        for place in screened_only:
            charged[place] = "screen"
        for group, spent_on in zip(groups, charged, strict=True):
            tokens = sum(len(rollout.token_ids) for rollout in group)
            self.ledger.charge(spent_on, rollouts=len(group), tokens=tokens)
        rows = [
            self._row(group, batch=batch, step=step, purpose=spent_on, role=role, score=score)
            for group, spent_on, role, score in zip(groups, charged, roles, scores, strict=True)
        ]
        write_groups(self._folder, batch, purpose, rows)
        # The sampler's clock counts batches, as `due` does.
        return [outcome(group, purpose=purpose, batch=batch) for group in groups]

    def _row(self, group: Sequence[ScoredRollout], *, score: float, **facts: Any) -> Mapping[str, Any]:
        index = group[0].index
        return {
            **facts,
            "prompt_index": index,
            "prompt_id": self.prompts[index].id,
            "rewards": [r.reward.total for r in group],
            "accuracy_rewards": [r.reward.breakdown["accuracy"] for r in group],
            "format_rewards": [r.reward.breakdown["format"] for r in group],
            "verdicts": [r.verdict.value for r in group],
            "decided_by": [r.verdict.decided_by for r in group],
            "extractions": [_short(r.verdict.extraction) for r in group],
            "confidence": [r.confidence for r in group],
            "num_tokens": [len(r.token_ids) for r in group],
            "truncated": [r.truncated for r in group],
            "score": score,
            "texts": [r.text[:MAX_STORED_CHARACTERS] for r in group] if self._keep_texts else None,
        }


def outcome(group: Sequence[ScoredRollout], *, purpose: Purpose, batch: int) -> GroupOutcome:
    """A group as a sampler sees it."""
    confidence = np.array([r.confidence for r in group])
    return GroupOutcome(
        index=group[0].index,
        rewards=np.array([r.reward.total for r in group]),
        verdicts=np.array([r.verdict.value for r in group]),
        token_ids=[np.asarray(r.token_ids, dtype=np.int32) for r in group],
        confidence=None if np.isnan(confidence).any() else confidence,
        answers=[_short(r.verdict.extraction) for r in group],
        purpose=purpose,
        batch=batch,
    )


def _short(text: str | None) -> str | None:
    return None if text is None else text[:500]
