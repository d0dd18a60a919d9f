"""Prompt pools of the benchmark: generated prompts, known imperfections, random rewards."""

from __future__ import annotations

import dataclasses
import hashlib
from collections.abc import Mapping, Sequence

import numpy as np

from sample_efficiency.graded import SPOILED_SHARES, shaped_draw
from vasari.core.ledger import Ledger
from vasari.records import Outcome, Prompt, Verdict
from vasari.train.groups import verify_prompt

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


def training_pool(
    stock: Sequence[Prompt], pool: str, num_prompts: int, *, seed: int
) -> list[Prompt]:
    """Draw the prompts of a training pool from the graded stock; each seed draws others."""
    rng = np.random.default_rng([seed, 0])
    shares = POOLS[pool]
    counts = {kind: round(shares.get(kind, 0.0) * num_prompts) for kind in SPOILED_SHARES}
    counts[None] = num_prompts - sum(counts.values())
    drawn = [
        prompt
        for kind, num in counts.items()
        for prompt in shaped_draw(
            [p for p in stock if p.metadata.get("imperfection") == kind], num, rng
        )
    ]
    return flip_coins(drawn, round(shares.get(COIN_FLIP, 0.0) * num_prompts), seed=seed)


def flip_coins(prompts: Sequence[Prompt], num: int, *, seed: int) -> list[Prompt]:
    """Return the prompts with `num` flawless ones marked to get random verdicts."""
    perfect = [
        place for place, prompt in enumerate(prompts) if prompt.metadata.get("imperfection") is None
    ]
    chosen = set(np.random.default_rng([seed, 1]).permutation(perfect)[:num].tolist())
    return [
        dataclasses.replace(p, metadata={**p.metadata, "imperfection": COIN_FLIP})
        if place in chosen
        else p
        for place, p in enumerate(prompts)
    ]


def held_out_prompts(stock: Sequence[Prompt], num: int) -> list[Prompt]:
    """Draw the clean prompts that measure accuracy, the same ones for all seeds."""
    return shaped_draw(stock, num, np.random.default_rng(_HELD_OUT_SEED))


class CoinFlips:
    """A verifier that gives random verdicts to rollouts of the prompts marked as coin flips.

    The coin is a digest of the seed, the prompt's id, the rollouts charged before its batch, and
    its place among the rollouts verified since: a resumed run, which knows all of these, flips the
    same.
    """

    def __init__(self, seed: int) -> None:
        self.ledger = Ledger()
        """Counts of rollouts and tokens; replaced by the run's own ledger."""
        self._seed = seed
        self._spent = -1
        self._place = 0

    def __call__(self, prompt: Prompt, text: str) -> Verdict:
        """Return the verdict on one rollout, random for a prompt marked as a coin flip."""
        spent = self.ledger.total_rollouts
        self._place = self._place + 1 if spent == self._spent else 0
        self._spent = spent
        verdict = verify_prompt(prompt, text)
        if prompt.metadata.get("imperfection") != COIN_FLIP:
            return verdict
        heads = coin(self._seed, prompt.id, spent, self._place)
        return Verdict(
            Outcome.CORRECT if heads else Outcome.INCORRECT,
            extraction=verdict.extraction,
            decided_by="coin",
        )


def coin(seed: int, prompt_id: str, spent: int, place: int) -> bool:
    """Return a pseudo-random True or False, always the same for the same arguments."""
    digest = hashlib.blake2b(f"{seed}/{spent}/{place}/{prompt_id}".encode(), digest_size=8).digest()
    return bool(digest[0] & 1)
