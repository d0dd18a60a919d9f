"""Settings of the `progress` sampler, each part with a switch."""

from __future__ import annotations

from dataclasses import dataclass

from vasari.core.bounds import Count, NotNegative, Positive, Share, check_fields


@dataclass(frozen=True, slots=True, kw_only=True)
class ProgressSettings:
    """What `progress` believes, values and distrusts; 0 or False switches a part off."""

    shared: bool = True
    """Learn what prompts share: categories and feature values."""
    prior_variance: Positive = 6.0
    """Variance of the logit of an unseen prompt, above 0, or no count could change the belief;
    staleness returns to it."""
    drift: NotNegative = 0.03
    """Variance that a batch without rollouts adds."""
    optimism: NotNegative = 0.5
    """Standard deviations of the value that are added for not knowing."""
    coherence: bool = True
    """Distrust verdicts that the policy's confidence does not foretell."""
    agreement: bool = True
    """Distrust a prompt on which one and the same answer was judged both right and wrong, or whose
    majority answer is refused again and again."""
    inert_guard: bool = True
    """Distrust counts that a pass rate which never moves explains better, unless they rise."""
    cost_power: NotNegative = 0.5
    """Value is divided by the relative length of rollouts to this power; 1 counts by the token."""
    sharpness: NotNegative = 16.0
    """Prompts are drawn in proportion to value to this power."""
    explore: Share = 0.05
    """Share of a batch that goes to the prompts not seen for longest."""
    cooldown: Count = 2
    """A prompt returns at the earliest this many batches after it was seen, as long as the pool has
    others."""

    def __post_init__(self) -> None:
        check_fields(self)
