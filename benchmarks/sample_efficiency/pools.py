"""The pools of the benchmark: generated prompts with known imperfections, and rewards that are coin flips."""

from __future__ import annotations

import dataclasses
import hashlib
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from sample_efficiency.graded import SPOILED_SHARES, shaped_draw
from vasari.records import GroupOutcome, Outcome, Prompt, Verdict
from vasari.score.reward import RewardSettings, format_ok, reward_of
from vasari.train.books import RolloutBooks, ScoredRollout

COIN_FLIP = "coin_flip"
"""`imperfection` of a prompt whose verdict is a coin flip."""

NOISE = (COIN_FLIP, "wrong_label")
"""Imperfections of prompts that teach nothing that is true."""

POOLS: Mapping[str, Mapping[str, float]] = {
    "clean": {},
    "realistic": {"wrong_label": 0.1},
    "noisy": {"wrong_label": 0.1, "guessable": 0.1, COIN_FLIP: 0.1},
}
"""Share of prompts with each imperfection, by pool."""

_HELD_OUT_SEED = 7


def training_pool(stock: Sequence[Prompt], pool: str, num_prompts: int, *, seed: int) -> list[Prompt]:
    """The prompts of a pool, drawn from the graded stock; another seed gives other prompts and other coin flips."""
    rng = np.random.default_rng([seed, 0])
    shares = POOLS[pool]
    counts = {kind: round(shares.get(kind, 0.0) * num_prompts) for kind in SPOILED_SHARES}
    counts[None] = num_prompts - sum(counts.values())
    drawn = [
        prompt
        for kind, num in counts.items()
        for prompt in shaped_draw([p for p in stock if p.metadata.get("imperfection") == kind], num, rng)
    ]
    return flip_coins(drawn, round(shares.get(COIN_FLIP, 0.0) * num_prompts), seed=seed)


def flip_coins(prompts: Sequence[Prompt], num: int, *, seed: int) -> list[Prompt]:
    """The prompts, with `num` of the perfect ones marked as coin flips."""
    perfect = [place for place, prompt in enumerate(prompts) if prompt.metadata.get("imperfection") is None]
    chosen = set(np.random.default_rng([seed, 1]).permutation(perfect)[:num].tolist())
    return [
        dataclasses.replace(p, metadata={**p.metadata, "imperfection": COIN_FLIP}) if place in chosen else p
        for place, p in enumerate(prompts)
    ]


def held_out_prompts(stock: Sequence[Prompt], num: int) -> list[Prompt]:
    """Clean prompts that measure accuracy, of the same shape: the same for all seeds."""
    return shaped_draw(stock, num, np.random.default_rng(_HELD_OUT_SEED))


class CoinFlipBooks(RolloutBooks):
    """Books in which the verdict on some prompts is a coin flip.

    The coin is a digest of the seed, the prompt's id, the rollouts charged before its batch, and its place among the
    rollouts scored since: a resumed run, which knows all of these, flips the same.
    """

    def __init__(self, prompts: Sequence[Prompt], *, folder: Path, rewards: RewardSettings, seed: int) -> None:
        super().__init__(prompts, folder=folder, rewards=rewards, keep_texts=False)
        self._seed = seed
        self._kept_rewards = rewards
        self._place = 0

    def score(self, index: int, text: str, token_ids: Sequence[int], *, truncated: bool = False) -> ScoredRollout:
        """Verify one rollout of prompt `index`, or flip its coin."""
        scored = super().score(index, text, token_ids, truncated=truncated)
        place, self._place = self._place, self._place + 1
        prompt = self.prompts[index]
        if prompt.metadata.get("imperfection") != COIN_FLIP:
            return scored
        heads = coin(self._seed, prompt.id, self.ledger.total_rollouts, place)
        verdict = Verdict(
            Outcome.CORRECT if heads else Outcome.INCORRECT, extraction=scored.verdict.extraction, decided_by="coin"
        )
        reward = reward_of(verdict, format_ok(text), self._kept_rewards)
        return dataclasses.replace(scored, verdict=verdict, reward=reward)

    def record(self, groups: Sequence[Sequence[ScoredRollout]], **facts: Any) -> list[GroupOutcome]:
        """As `RolloutBooks.record`; the next batch counts its rollouts from 0."""
        self._place = 0
        return super().record(groups, **facts)


def coin(seed: int, prompt_id: str, spent: int, place: int) -> bool:
    """Heads or tails, the same for the same arguments."""
    digest = hashlib.blake2b(f"{seed}/{spent}/{place}/{prompt_id}".encode(), digest_size=8).digest()
    return bool(digest[0] & 1)
