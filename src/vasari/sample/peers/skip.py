"""GRESO: prompts whose last groups had no variance are skipped at random."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, ClassVar, final

import numpy as np
from numpy.typing import NDArray

from vasari.core.bounds import PositiveCount, PositiveShare, Share
from vasari.core.errors import StateError
from vasari.core.records import Draw, GroupOutcome, Role
from vasari.sample.base import PromptSampler
from vasari.sample.gate import has_variance, verifiable_rewards
from vasari.sample.peers.wrapper import SamplerWrapper, WrapperSettings


@final
@dataclass(frozen=True, slots=True, kw_only=True)
class SkipSettings(WrapperSettings):
    """Settings of the sampler "skip" (GRESO, arXiv:2506.02177)."""

    start: Share = 0.5
    """First value of rho_easy and rho_hard, in [0, 1]. Our choice."""
    step: Share = 0.01
    """How far each rho moves at an `observe`, at least 0."""
    least_keep: PositiveShare = 0.01
    """Least chance that a prompt is kept, in (0, 1]."""
    target: Share = 0.25
    """Share of zero-variance groups that is aimed at, in [0, 1]: a third of it easy, two thirds
    hard."""
    max_rounds: PositiveCount = 20
    """How often the inner sampler is asked again for the skipped places of a batch, at least 1."""


@final
class SkipSampler(SamplerWrapper):
    """Sampler wrapper that skips at random prompts whose last groups had rewards without variance.

    Each prompt of the inner sampler is skipped with chance `1 - max(rho^z, 0.01)`, and another is
    drawn in its place. z is how many of the prompt's last groups in a row had rewards
    without variance; rho is `rho_easy` where the last of them was solved, else `rho_hard`. At each
    `observe` of training groups a rho falls by 0.01 where the share of such groups in it exceeds
    its target (25 %: a third easy, two thirds hard), and rises by 0.01 otherwise, within [0, 1]
    (GRESO, arXiv:2506.02177). The paper goes on until a batch of mixed groups is full: that is the
    gate "mixed".

    Variance is of the rewards, as the learner sees them; "solved" is a pass rate of at least 1/2. A
    group with fewer than two verifiable rewards changes nothing. Groups of purpose `refresh` change
    z, but no rho.

    A skipped prompt does not come back within the batch, unless `max_rounds` or the pool is
    exhausted: then the skipped ones fill the batch, first skipped first. One that the inner sampler
    names twice for a batch, as at the end of a pass, loses the second visit.
    """

    name: ClassVar[str] = "skip"
    saved_by_prompt: ClassVar[Mapping[str, float]] = {"visits": 0, "easy": 0}
    saved = ("rho_easy", "rho_hard", "skipped_share")

    def __init__(
        self,
        settings: SkipSettings | None = None,
        *,
        inner: PromptSampler,
        seed: int,
        prompt_ids: Iterable[str] | None = None,
    ) -> None:
        super().__init__(inner=inner, seed=seed, prompt_ids=prompt_ids)
        self.settings = settings or SkipSettings()
        """Settings that this sampler was made with; the inner sampler is the argument `inner`."""
        self._visits = np.zeros(self.num_prompts, dtype=np.int32)
        self._easy = np.zeros(self.num_prompts, dtype=np.bool_)
        self._rho_easy = self._rho_hard = float(self.settings.start)
        self._skipped_share = 0.0

    def keep_chances(self) -> NDArray[np.float64]:
        """Return the chance that a prompt is kept when the inner sampler draws it: [prompts]."""
        return self._chances(np.arange(self.num_prompts))

    def _chances(self, indices: NDArray[np.int64]) -> NDArray[np.float64]:
        rho = np.where(self._easy[indices], self._rho_easy, self._rho_hard)
        return np.maximum(rho ** self._visits[indices], self.settings.least_keep)

    def metrics(self) -> Mapping[str, float]:
        """Return the inner sampler's metrics, easy and hard prompts' keep rates, share skipped."""
        return {
            **self.inner.metrics(),
            "sampler/skip_rho_easy": self._rho_easy,
            "sampler/skip_rho_hard": self._rho_hard,
            "sampler/skipped_share": self._skipped_share,
            "sampler/zero_variance_prompts": float((self._visits > 0).sum()),
        }

    def _draw(self, num_prompts: int) -> Draw:
        kept: dict[int, Role] = {}
        skipped: dict[int, Role] = {}
        for _ in range(self.settings.max_rounds):
            draw = self.inner.draw(num_prompts - len(kept))
            stays = self._rng.random(len(draw)) < self._chances(draw.indices)
            for index, role, stay in zip(
                draw.indices.tolist(), draw.roles, stays.tolist(), strict=True
            ):
                if index not in kept and index not in skipped:
                    (kept if stay else skipped)[index] = role
            if len(kept) == num_prompts or len(kept) + len(skipped) == self.num_prompts:
                break
        self._skipped_share = len(skipped) / (len(kept) + len(skipped))
        # The first round alone named `num_prompts` different prompts, so that the two suffice.
        filling = list(skipped.items())[: num_prompts - len(kept)]
        batch = [*kept.items(), *filling]
        return Draw(
            np.array([index for index, _ in batch], dtype=np.int64),
            tuple(role for _, role in batch),
        )

    def _observe(self, groups: Sequence[GroupOutcome]) -> None:
        super()._observe(groups)
        num_groups = num_easy = num_hard = 0
        for group in groups:
            if verifiable_rewards(group).size < 2:
                continue
            counts = group.purpose != "refresh"
            num_groups += counts
            if has_variance(group):
                self._visits[group.index] = 0
                continue
            verdicts = group.verdicts[~np.isnan(group.verdicts)]
            easy = bool(verdicts.size) and float(verdicts.mean()) >= 0.5
            self._visits[group.index] += 1
            self._easy[group.index] = easy
            num_easy += counts and easy
            num_hard += counts and not easy
        if num_groups:
            self._rho_easy = self._moved(
                self._rho_easy, num_easy / num_groups, self.settings.target / 3
            )
            self._rho_hard = self._moved(
                self._rho_hard, num_hard / num_groups, self.settings.target * 2 / 3
            )

    def _moved(self, rho: float, share: float, target: float) -> float:
        step = -self.settings.step if share > target else self.settings.step
        return min(1.0, max(0.0, rho + step))

    def _check_saved(self, found: Mapping[str, Any]) -> None:
        rho_easy, rho_hard = found["rho_easy"], found["rho_hard"]
        if not (0.0 <= rho_easy <= 1.0 and 0.0 <= rho_hard <= 1.0) or (found["visits"] < 0).any():
            raise StateError(
                f"saved rho_easy {rho_easy} and rho_hard {rho_hard} must be in [0, 1], and visits"
                " at least 0"
            )
