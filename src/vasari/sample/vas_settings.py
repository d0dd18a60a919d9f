"""Settings of variance-aware sampling, and the paper's by name."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Literal, get_args

from vasari.errors import ConfigError
from vasari.score.diversity import DIVERSITY_METRICS, DiversityMetric
from vasari.score.promotion import Normalise, check_weights

Refresh = Literal["full", "stale", "online"]
"""Whose scores are estimated anew, and from what."""


@dataclass(frozen=True, slots=True, kw_only=True)
class VarianceAwareSettings:
    """Settings of variance-aware sampling (Algorithm 1 of arXiv:2509.21268); the paper's numbers, without replacement."""

    mix_ratio: float = 0.5
    """Share of each batch drawn by promotion score, in [0, 1]; the rest is uniform."""
    alpha: float = 0.8
    """Weight of outcome variance, which lives in [0, 1/4]."""
    beta: float = 0.2
    """Weight of trajectory diversity, which lives in [0, 1]; 0 leaves diversity uncomputed."""
    normalise: Normalise = "none"
    """"range" multiplies outcome variance by 4, so that both terms live in [0, 1]."""
    diversity: DiversityMetric = "self_bleu"
    """How trajectory diversity is measured."""
    num_refresh_rollouts: int = 32
    """Rollouts of each prompt that is scored apart from training."""
    refresh: Refresh = "full"
    """"full": all prompts every `refresh_every` steps, and training groups teach nothing, as in the paper. "stale": the
    `stale_share` of the pool whose scores are oldest, and every group teaches. "online": no rollouts but training's."""
    refresh_every: int = 35
    """Steps between refreshes; the first comes before step 0."""
    stale_share: float = 0.25
    """Share of the pool that a "stale" refresh scores, in (0, 1]; at step 0 it scores all."""
    replacement: bool = False
    """True draws both parts of a batch with replacement, as Algorithm 1 says: a prompt can fill several places."""

    def __post_init__(self) -> None:
        for name in ("mix_ratio", "alpha", "beta", "stale_share"):
            value = getattr(self, name)
            if isinstance(value, bool) or not isinstance(value, int | float) or not math.isfinite(value):
                raise ConfigError(f"{name} must be a finite number, got {value!r}")
        for name in ("num_refresh_rollouts", "refresh_every"):
            value = getattr(self, name)
            if isinstance(value, bool) or not isinstance(value, int) or value < 1:
                raise ConfigError(f"{name} must be a whole number of at least 1, got {value!r}")
        if not 0.0 <= self.mix_ratio <= 1.0:
            raise ConfigError(f"mix_ratio must be in [0, 1], got {self.mix_ratio}")
        if not 0.0 < self.stale_share <= 1.0:
            raise ConfigError(f"stale_share must be in (0, 1], got {self.stale_share}")
        check_weights(self.alpha, self.beta, self.normalise)
        for name, value, known in (
            ("diversity", self.diversity, DIVERSITY_METRICS),
            ("refresh", self.refresh, get_args(Refresh)),
        ):
            if value not in known:
                raise ConfigError(f"{name} must be one of {', '.join(known)}, got {value!r}")
        if not isinstance(self.replacement, bool):
            raise ConfigError(f"replacement must be true or false, got {self.replacement!r}")


# The paper states three settings: section 6.1, the ablation (N = 8, T = 28), and table 6 (n = 16, T = 56).
VAS_PRESETS: dict[str, VarianceAwareSettings] = {
    "default": VarianceAwareSettings(),
    "paper": VarianceAwareSettings(replacement=True),
    "paper-ablation": VarianceAwareSettings(num_refresh_rollouts=8, alpha=0.5, beta=0.5, refresh_every=28, replacement=True),
    "paper-table6": VarianceAwareSettings(num_refresh_rollouts=16, refresh_every=56, replacement=True),
}
"""Settings by the name that a recipe gives as `preset`."""
