"""The sampler "progress": draws prompts by what their next group is expected to teach."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import ClassVar, final

import numpy as np
from numpy.typing import NDArray

from vasari.core.bounds import Count, NotNegative, Share
from vasari.core.records import Draw
from vasari.sample.base import draw_of
from vasari.sample.prompt_values import At
from vasari.sample.ranked import highest
from vasari.sample.valuing import ValueSettings, ValuingSampler
from vasari.sample.weighted import gumbel_top

_MOST_COMPARED = 2**18
"""Prompts of a larger pool that are valued for a batch, drawn at random."""
COOLDOWN_PENALTY = 1e9
"""Amount by which a prompt's log weight is lowered in its cooldown: it is drawn after all other
prompts, and among prompts in cooldown in proportion to its weight."""


@dataclass(frozen=True, slots=True, kw_only=True)
class ProgressSettings(ValueSettings):
    """Settings of the sampler "progress"; 0 or False switches a field's mechanism off."""

    optimism: NotNegative = 0.5
    """How many standard deviations of a prompt's uncertain value are added to its mean."""
    cost_power: NotNegative = 0.5
    """A prompt's weight is divided by the relative length of its rollouts to this power; 1 counts
    by the token."""
    sharpness: NotNegative = 4.0
    """Prompts are drawn in proportion to value to this power; trust and cost count once."""
    explore: Share = 0.05
    """Share of a batch that goes to the prompts not seen for longest."""
    cooldown: Count = 2
    """A prompt returns at the earliest this many batches after it was seen, as long as the pool has
    others."""


@final
class ProgressSampler(ValuingSampler):
    """Sampler that draws prompts by what their next group of rollouts is expected to teach.

    The value of a prompt is E[V_n(p)] + optimism * sd[V_n(p)], relative to V_n(1/2), under the
    belief about its pass rate p (`PromptValues`), where V_n is the expected standard deviation of
    a group's verdicts (`group_value`). All but a share `explore` of a batch is drawn without
    replacement in proportion to value ** `sharpness` times the trust (`NoiseEvidence`), divided by
    the relative length to `cost_power`; the rest are the prompts not seen for longest, so that
    every prompt returns.

    After the tracker of BOTS and GPS (arXiv:2510.26374 and 2602.01970: a belief in place of
    refreshes); the noise detectors by coherence and by agreement are ours. Prompts whose variance
    looks like noise are in `given_up`: likely wrong labels, for people to look at. It narrows the
    pool; "weighted_passes" does not.
    """

    name: ClassVar[str] = "progress"
    settings_class = ProgressSettings
    settings: ProgressSettings

    def scores(self) -> NDArray[np.float64]:
        """Return what each prompt's next group is expected to teach: [prompts], above 0.

        Value times trust, divided by the relative length to `cost_power`.
        """
        return self._hoped() * self._factors()

    def _draw(self, num_prompts: int) -> Draw:
        num_explored = math.ceil(self.settings.explore * num_prompts - 1e-9)
        num_promoted = num_prompts - num_explored
        age, unseen = self._values.age(), self._values.seen_at < 0
        among: At = slice(None)
        if self.num_prompts > max(_MOST_COMPARED, num_prompts):
            among = self._rng.choice(self.num_prompts, size=_MOST_COMPARED, replace=False)
        log_weights = self.settings.sharpness * np.log(self._hoped(among))
        log_weights += np.log(self._factors(among))
        resting = ~unseen[among] & (age[among] < self.settings.cooldown)
        log_weights[resting] -= COOLDOWN_PENALTY
        promoted = gumbel_top(self._rng, log_weights, num_promoted)
        promoted = promoted if isinstance(among, slice) else among[promoted]
        waited = np.where(unseen, np.inf, age)
        waited[promoted] = -np.inf
        explored = highest(waited, num_explored, self._rng)
        self._picked = promoted
        return draw_of(promoted=promoted, revisit=explored)

    def _hoped(self, at: At = slice(None)) -> NDArray[np.float64]:
        found = self._values.means(at).astype(np.float64)
        if self.settings.optimism:
            found += self.settings.optimism * self._values.deviations(at)
        return found

    def _factors(self, at: At = slice(None)) -> NDArray[np.float64]:
        """Return the factors on a prompt's weight that are not raised to `sharpness`."""
        found = self._values.noise.trust(at).trust
        if self.settings.cost_power:
            relative = self._values.relative_lengths()[at] ** self.settings.cost_power
            found /= np.clip(relative, 1 / 3, 3.0)
        return found
