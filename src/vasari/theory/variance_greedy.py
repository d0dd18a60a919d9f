"""A sampler that takes the prompts of highest outcome variance, for comparisons only."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from typing import Any, ClassVar, final

import numpy as np

from vasari.core.records import Draw, GroupOutcome
from vasari.sample.base import PromptSampler, draw_of
from vasari.score import MAX_OUTCOME_VARIANCE, pass_rate

_KEPT = 0.5


@final
class VarianceGreedySampler(PromptSampler):
    """Prompt sampler that draws unseen prompts first, then prompts of highest outcome variance.

    The variance is p (1 - p), with p a running mean of pass rates.

    Greedy prioritised replay (arXiv:2601.02648) without its retests. It learns from training groups
    and pays nothing else, and a coin flip, whose variance never ends, never leaves its batches.
    """

    name: ClassVar[str] = "variance_greedy"
    saved_by_prompt: ClassVar[Mapping[str, float]] = {"rates": np.nan}

    def __init__(
        self, *, num_prompts: int, seed: int, prompt_ids: Iterable[str] | None = None
    ) -> None:
        super().__init__(num_prompts=num_prompts, seed=seed, prompt_ids=prompt_ids)
        self._rates = np.full(self.num_prompts, np.nan)

    def metrics(self) -> Mapping[str, float]:
        """Return the metric `sampler/seen_share`: share of prompts whose pass rate was measured."""
        return {"sampler/seen_share": float((~np.isnan(self._rates)).mean())}

    def _draw(self, num_prompts: int) -> Draw:
        variance = np.where(
            np.isnan(self._rates), 2.0 * MAX_OUTCOME_VARIANCE, self._rates * (1.0 - self._rates)
        )
        # Ties are broken at random, by less than one step of the rounded variance.
        keys = np.round(variance * 1e9) + self._rng.random(self.num_prompts) * 0.5
        taken = np.argpartition(-keys, num_prompts - 1)[:num_prompts].astype(np.int64)
        return draw_of(promoted=taken)

    def _observe(self, groups: Sequence[GroupOutcome]) -> None:
        for group in groups:
            found, before = pass_rate(group.verdicts), self._rates[group.index]
            if not np.isnan(found):
                self._rates[group.index] = (
                    found if np.isnan(before) else _KEPT * before + (1.0 - _KEPT) * found
                )

    def _check_saved(self, found: Mapping[str, Any]) -> None:
        if ((found["rates"] < 0) | (found["rates"] > 1)).any():
            raise ValueError("a saved pass rate lies outside [0, 1]")
