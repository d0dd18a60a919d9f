"""Settings of variance-aware sampling, and the paper's by name."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

from vasari.core.bounds import NotNegative, PositiveCount, PositiveShare, Share, check_fields
from vasari.score.diversity import DiversityMetric
from vasari.score.promotion import Normalise

Refresh = Literal["full", "stale", "online"]
"""Whose scores are estimated anew, and from what."""


@dataclass(frozen=True, slots=True, kw_only=True)
class VarianceAwareSettings:
    """Settings of variance-aware sampling (Algorithm 1 of arXiv:2509.21268); the paper's numbers,
    without replacement.
    """

    mix_ratio: Share = 0.5
    """Share of each batch drawn by promotion score, in [0, 1]; the rest is uniform."""
    alpha: NotNegative = 0.8
    """Weight of outcome variance, which lives in [0, 1/4]."""
    beta: NotNegative = 0.2
    """Weight of trajectory diversity, which lives in [0, 1]; 0 leaves diversity uncomputed."""
    normalise: Normalise = "none"
    """"range" multiplies outcome variance by 4, so that both terms live in [0, 1]."""
    diversity: DiversityMetric = "self_bleu"
    """How trajectory diversity is measured."""
    num_refresh_rollouts: PositiveCount = 32
    """Rollouts of each prompt that is scored apart from training."""
    refresh: Refresh = "full"
    """"full": all prompts every `refresh_every` batches, and training groups teach nothing, as in
    the paper. "stale": the `stale_share` of the pool whose scores are oldest, and every group
    teaches. "online": no rollouts but training's."""
    refresh_every: PositiveCount = 35
    """Batches between refreshes; the first comes before batch 0."""
    stale_share: PositiveShare = 0.25
    """Share of the pool that a "stale" refresh scores, in (0, 1]; at batch 0 it scores all."""
    replacement: bool = False
    """True draws both parts of a batch with replacement, as Algorithm 1 says: a prompt can fill
    several places."""

    def __post_init__(self) -> None:
        check_fields(self)


# The paper states three settings: section 6.1, the ablation (N = 8, T = 28), and table 6 (n = 16, T
# = 56).
VAS_PRESETS: dict[str, VarianceAwareSettings] = {
    "default": VarianceAwareSettings(),
    "paper": VarianceAwareSettings(replacement=True),
    "paper-ablation": VarianceAwareSettings(
        num_refresh_rollouts=8, alpha=0.5, beta=0.5, refresh_every=28, replacement=True
    ),
    "paper-table6": VarianceAwareSettings(
        num_refresh_rollouts=16, refresh_every=56, replacement=True
    ),
}
"""Settings by the name that a recipe gives as `preset`."""
