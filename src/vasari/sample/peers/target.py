"""The sampler "target": draws prompts of a target difficulty (AdaRFT, DOTS without regressor)."""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, ClassVar, Literal, final

import numpy as np
from numpy.typing import NDArray

from vasari.core.bounds import Positive, Share, check_fields
from vasari.core.errors import ConfigError, DataError, StateError
from vasari.core.records import Draw, GroupOutcome
from vasari.sample.base import PromptSampler, draw_of
from vasari.sample.features import PoolFeatures
from vasari.sample.ranked import EQUAL_DECIMALS
from vasari.sample.weighted import gumbel_top

TargetRule = Literal["adarft", "dots"]
"""What is compared with the target: difficulty label ("adarft") or predicted pass rate ("dots")."""


@final
@dataclass(frozen=True, slots=True, kw_only=True)
class TargetSettings:
    """Settings of the sampler "target"; for AdaRFT its authors' values, difficulty in [0, 1]."""

    rule: TargetRule = "adarft"
    """"adarft" needs `features.difficulty`; "dots" takes it as a first guess."""
    start: Share = 0.0
    """AdaRFT's first target T, in [0, 1]; 0 begins with the easiest prompts."""
    step_size: Positive = 0.5
    """AdaRFT's eta, above 0: the farthest that T moves in one batch. The authors' 50 of 100."""
    sensitivity: Positive = 2.0
    """AdaRFT's alpha, above 0: how strongly the pass rate of a batch moves T."""
    target_rate: Share = 0.5
    """Target of the pass rate, in [0, 1]: AdaRFT's beta, and the centre of DOTS."""
    temperature: Positive = 0.1
    """DOTS' tau, above 0; towards 0 it takes the nearest only. Our choice."""
    prior_weight: Positive = 4.0
    """How many rollouts the predicted pass rate counts for beside a prompt's own, above 0
    ("dots")."""
    decay: Share = 0.5
    """Share of a prompt's counts that is kept when it is observed again, in [0, 1] ("dots")."""
    shift_rate: Share = 0.1
    """How fast the predictions follow what is observed, in [0, 1]; 0 leaves them as given
    ("dots")."""

    def __post_init__(self) -> None:
        check_fields(self)


TARGET_PRESETS: dict[str, TargetSettings] = {
    "adarft": TargetSettings(rule="adarft"),
    "dots": TargetSettings(rule="dots"),
}
"""Settings by the name that a recipe gives as `preset`."""


@final
class TargetSampler(PromptSampler):
    """Sampler that draws prompts whose difficulty or predicted pass rate is nearest to a target.

    "adarft" (AdaRFT, arXiv:2504.05520): the batch is the prompts of smallest |d_i - T|, and each
    batch moves the target, `T <- clip(T + eta tanh(alpha (R - beta)), 0, 1)`. d_i is
    `features.difficulty`. R is here the share of correct rollouts among the verifiable ones of one
    `observe`, refreshes left out (the paper's mean reward, which is the same for 0/1 rewards;
    format rewards would move the target for ever). Equal distances, which labels of few levels make
    the rule, are drawn evenly: the least often drawn first, then at random. A prompt of unknown
    difficulty is taken for the median one.

    "dots" (DOTS, arXiv:2506.05316): `P ~ exp(-|p_i - target_rate| / tau)` without replacement. The
    paper predicts p by attention between embeddings of a prompt and of 256 reference prompts that
    are rolled out anew in each cycle. There is neither here: no regressor, no reference set, no
    rollouts but training's. Predictions of a model of one's own come in as `features.difficulty = 1
    - p`; without it they are 1/2. Then `p_i = (w clip(1 - d_i + shift, 0, 1) + s_i) / (w + n_i)`
    with w = `prior_weight`, s_i of n_i rollouts correct, both multiplied by `decay` before a new
    group of the prompt is added, and `shift <- (1 - r) shift + r mean(k / n - (1 - d))`, r =
    `shift_rate`, over the groups of one `observe`: what the reference set is for in the paper,
    following the policy's progress, is left to one number. Rollout replay, the paper's other half,
    is no matter of a sampler.

    One `observe` is one batch: hand in a batch's groups together.
    """

    name: ClassVar[str] = "target"
    saved_by_prompt: ClassVar[Mapping[str, float]] = {
        "num_drawn": 0,
        "correct": 0.0,
        "verified": 0.0,
    }
    saved = ("target", "shift", "rate")

    def __init__(
        self,
        settings: TargetSettings | None = None,
        *,
        num_prompts: int,
        seed: int,
        prompt_ids: Iterable[str] | None = None,
        features: PoolFeatures | None = None,
    ) -> None:
        """Create a sampler over a pool; "adarft" needs the difficulty in `features`.

        Raises:
            ConfigError: "adarft" without difficulty. A pool of one prompt, with which recipes are
                checked, needs none.
            DataError: The difficulty is of another pool, or unknown for every prompt.
        """
        super().__init__(num_prompts=num_prompts, seed=seed, prompt_ids=prompt_ids)
        self.settings = settings or TargetSettings()
        """Settings that this sampler was made with."""
        self._difficulty = self._known_difficulty(features)
        self._target = float(self.settings.start)
        self._num_drawn = np.zeros(self.num_prompts, dtype=np.int32)
        self._correct = np.zeros(self.num_prompts)
        self._verified = np.zeros(self.num_prompts)
        self._shift = 0.0
        self._rate = math.nan

    @property
    def target(self) -> float:
        """AdaRFT's present target difficulty T, in [0, 1], 1 = hardest."""
        return self._target

    def predicted_rates(self) -> NDArray[np.float64]:
        """Return the pass rate that "dots" predicts for each prompt: [prompts], in [0, 1]."""
        weight = self.settings.prior_weight
        prior = np.clip(1.0 - self._difficulty + self._shift, 0.0, 1.0)
        return np.asarray((weight * prior + self._correct) / (weight + self._verified))

    def metrics(self) -> Mapping[str, float]:
        """Return log metrics: target, shift of predicted pass rates, last batch's pass rate."""
        return {
            "sampler/target": (
                self._target if self.settings.rule == "adarft" else self.settings.target_rate
            ),
            "sampler/shift": self._shift,
            "sampler/pass_rate": self._rate,
        }

    def _known_difficulty(self, features: PoolFeatures | None) -> NDArray[np.float64]:
        if features is not None:
            features.check(self.num_prompts)
        if features is None or not len(features.difficulty):
            if self.settings.rule == "adarft" and self.num_prompts > 1:
                raise ConfigError(
                    "sampler 'target' with rule 'adarft' needs the difficulty of each prompt: give"
                    " the prompts a `difficulty`, pass features=PoolFeatures(difficulty=...), or"
                    " choose rule 'dots'"
                )
            return np.full(self.num_prompts, 0.5)
        known = features.difficulty[~np.isnan(features.difficulty)]
        if not known.size and self.settings.rule == "adarft":
            raise DataError(f"the difficulty of all {self.num_prompts} prompts is unknown (nan)")
        fill = float(np.median(known)) if self.settings.rule == "adarft" else 0.5
        return np.where(np.isnan(features.difficulty), fill, features.difficulty)

    def _draw(self, num_prompts: int) -> Draw:
        if self.settings.rule == "adarft":
            indices = self._rng.permutation(self._nearest(num_prompts))
        else:
            distance = np.abs(self.predicted_rates() - self.settings.target_rate)
            indices = gumbel_top(self._rng, -distance / self.settings.temperature, num_prompts)
        self._num_drawn[indices] += 1
        return draw_of(promoted=indices)

    def _nearest(self, num: int) -> NDArray[np.int64]:
        distance = np.round(np.abs(self._difficulty - self._target), EQUAL_DECIMALS)
        bound = np.partition(distance, num - 1)[num - 1]
        inside = np.flatnonzero(distance < bound)
        ties = np.flatnonzero(distance == bound)
        order = np.lexsort((self._rng.random(len(ties)), self._num_drawn[ties]))
        return np.concatenate([inside, ties[order][: num - len(inside)]]).astype(np.int64)

    def _observe(self, groups: Sequence[GroupOutcome]) -> None:
        counts = [
            (group, np.nansum(group.verdicts), (~np.isnan(group.verdicts)).sum())
            for group in groups
        ]
        counts = [entry for entry in counts if entry[2]]
        batch = [entry for entry in counts if entry[0].purpose != "refresh"]
        if batch:
            self._rate = float(
                sum(correct for _, correct, _ in batch) / sum(verified for _, _, verified in batch)
            )
            moved = self.settings.step_size * math.tanh(
                self.settings.sensitivity * (self._rate - self.settings.target_rate)
            )
            self._target = min(1.0, max(0.0, self._target + moved))
        if self.settings.rule != "dots" or not counts:
            return
        residuals = [
            correct / verified - (1.0 - self._difficulty[group.index])
            for group, correct, verified in counts
        ]
        self._shift += self.settings.shift_rate * (float(np.mean(residuals)) - self._shift)
        for group, correct, verified in counts:
            self._correct[group.index] = self.settings.decay * self._correct[group.index] + correct
            self._verified[group.index] = (
                self.settings.decay * self._verified[group.index] + verified
            )

    def _state(self) -> dict[str, Any]:
        return super()._state() | {"rate": None if math.isnan(self._rate) else self._rate}

    def _restore(self, state: Mapping[str, Any], origin: NDArray[np.int64] | None) -> None:
        rate = math.nan if state["rate"] is None else state["rate"]
        super()._restore({**state, "rate": rate}, origin)

    def _check_saved(self, found: Mapping[str, Any]) -> None:
        target, shift = found["target"], found["shift"]
        if not (0.0 <= target <= 1.0 and -1.0 <= shift <= 1.0):
            raise StateError(
                f"saved target {target} must be in [0, 1] and saved shift {shift} in [-1, 1]"
            )
        correct, verified = found["correct"], found["verified"]
        if not (
            np.isfinite(verified).all() and (correct >= 0).all() and (correct <= verified).all()
        ):
            raise StateError("saved counts must be finite, with 0 <= correct <= verified")
