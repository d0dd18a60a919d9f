"""Rolls out the prompts that a sampler wants scored, with a model of transformers and random
numbers of its own.
"""

from __future__ import annotations

from typing import Any

from vasari.core.progress import Tell, silent
from vasari.core.records import PromptIndices
from vasari.model.base import Decoding
from vasari.model.transformers_policy import TransformersPolicy
from vasari.train.groups import ScoredRollout
from vasari.train.scorer import RolloutScorer


class Refresher:
    """Scores the prompts that `PromptSampler.due` names (Algorithm 1, lines 2-5 and 9-11), in one
    process.
    """

    def __init__(
        self,
        scorer: RolloutScorer,
        decoding: Decoding,
        *,
        system: str,
        seed: int,
        tell: Tell = silent,
    ) -> None:
        self._scorer = scorer
        self._decoding = decoding
        self._system = system
        self._seed = seed
        self._tell = tell

    def __call__(
        self,
        model: Any,
        processor: Any,
        indices: PromptIndices,
        num_rollouts: int,
        *,
        batch: int,
        process: int,
    ) -> list[list[ScoredRollout]]:
        """So many scored rollouts of each of these prompts, in their order."""
        policy = TransformersPolicy(model, processor, system=self._system)
        decoding = self._decoding.model_copy(update={"num_rollouts": num_rollouts})
        # Own random numbers: training continues the same stream whether prompts were scored or not.
        seed = self._seed + 1_000_003 * (batch + 1) + process
        prompts = [self._scorer.prompts[int(index)] for index in indices]
        groups = policy.generate(prompts, decoding, seed=seed, tell=self._tell)
        return [
            self._scorer.score(int(index), group)
            for index, group in zip(indices, groups, strict=True)
        ]
