"""Settings of the `progress` sampler, each part with a switch."""

from __future__ import annotations

import math
from dataclasses import dataclass

from vasari.errors import ConfigError


@dataclass(frozen=True, slots=True, kw_only=True)
class ProgressSettings:
    """What `progress` believes, values and distrusts; 0 or False switches a part off."""

    shared: bool = True
    """Learn what prompts share: categories and feature values."""
    prior_variance: float = 6.0
    """Variance of the logit of an unseen prompt; staleness returns to it."""
    drift: float = 0.03
    """Variance that a step without rollouts adds."""
    optimism: float = 0.5
    """Standard deviations of the value that are added for not knowing."""
    coherence: bool = True
    """Distrust verdicts that the policy's confidence does not foretell."""
    agreement: bool = True
    """Distrust a prompt on which one and the same answer was judged both right and wrong."""
    inert_guard: bool = True
    """Distrust counts that a pass rate which never moves explains better, unless they rise."""
    cost_power: float = 0.5
    """Value is divided by the relative length of rollouts to this power; 1 counts by the token."""
    sharpness: float = 16.0
    """Prompts are drawn in proportion to value to this power."""
    explore: float = 0.05
    """Share of a batch that goes to the prompts not seen for longest."""
    cooldown: int = 2
    """A prompt returns at the earliest this many steps after it was seen, as long as the pool has others."""

    def __post_init__(self) -> None:
        for name in ("prior_variance", "drift", "optimism", "cost_power", "sharpness", "explore"):
            value = getattr(self, name)
            if isinstance(value, bool) or not isinstance(value, int | float) or not math.isfinite(value) or value < 0:
                raise ConfigError(f"{name} must be a finite number of at least 0, got {value!r}")
        if self.prior_variance == 0:
            raise ConfigError("prior_variance must be positive: without it no count could change the belief")
        if self.explore > 1:
            raise ConfigError(f"explore must be in [0, 1], got {self.explore}")
        if isinstance(self.cooldown, bool) or not isinstance(self.cooldown, int) or self.cooldown < 0:
            raise ConfigError(f"cooldown must be a whole number of at least 0, got {self.cooldown!r}")
        for name in ("shared", "coherence", "agreement", "inert_guard"):
            if not isinstance(getattr(self, name), bool):
                raise ConfigError(f"{name} must be true or false, got {getattr(self, name)!r}")
