"""RECALL: mastered prompts are drawn again after a while, to see whether they stay solved."""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, ClassVar, final

import numpy as np
from numpy.typing import NDArray

from vasari.core.bounds import PositiveCount, PositiveShare, Share
from vasari.core.errors import StateError
from vasari.core.records import Draw, GroupOutcome, Role
from vasari.sample.base import PromptSampler
from vasari.sample.peers.wrapper import SamplerWrapper, WrapperSettings

_REVIEW: Role = "revisit"


@final
@dataclass(frozen=True, slots=True, kw_only=True)
class RetainSettings(WrapperSettings):
    """Settings of the sampler "retain" (RECALL, arXiv:2606.03087); the defaults are our choice."""

    share: Share = 0.1
    """Largest share of a batch that reviews of mastered prompts take, in [0, 1]."""
    repair_window: PositiveCount = 50
    """Batches after which a mastered prompt is to be checked again, at least 1."""
    mastery: PositiveShare = 1.0
    """Pass rate from which a prompt counts as mastered, in (0, 1]."""


@final
class RetainSampler(SamplerWrapper):
    """Sampler wrapper that fills part of each batch with mastered prompts not checked for long.

    Up to `floor(share * B)` of a batch's B prompts are replaced by them.
    A prompt is mastered when the pass rate of its last group, of two verifiable rollouts or more,
    is at least `mastery`. It is due for review when its last such group is more than
    `repair_window` batches old; the longest unchecked come first, ties at random, with role
    `revisit`. One that fails its review is mastered no more, and left to the inner sampler.
    (RECALL, arXiv:2606.03087: solved prompts regress, and the sooner that is seen the less it costs
    to repair.)

    Reviews replace places of the inner sampler's batch at random, before any rollout, so that they
    cost none: a due prompt that the inner sampler drew itself counts among them, and one that lost
    its place loses that visit. A batch is the clock of `due`, as for `GroupOutcome.batch`.
    """

    name: ClassVar[str] = "retain"
    saved_by_prompt: ClassVar[Mapping[str, float]] = {"mastered": 0, "checked_at": -1}
    saved = ("num_reviews", "num_relapses")

    def __init__(
        self,
        settings: RetainSettings | None = None,
        *,
        inner: PromptSampler,
        seed: int,
        prompt_ids: Iterable[str] | None = None,
    ) -> None:
        super().__init__(inner=inner, seed=seed, prompt_ids=prompt_ids)
        self.settings = settings or RetainSettings()
        """Settings that this sampler was made with; the inner sampler is the argument `inner`."""
        self._mastered = np.zeros(self.num_prompts, dtype=np.bool_)
        self._checked_at = np.full(self.num_prompts, -1, dtype=np.int32)
        self._num_reviews = 0
        self._num_relapses = 0

    def overdue(self) -> NDArray[np.int64]:
        """Return mastered prompts unchecked for over `repair_window` batches: int64, ascending."""
        age = self._batch - self._checked_at
        return np.flatnonzero(self._mastered & (age > self.settings.repair_window)).astype(np.int64)

    def metrics(self) -> Mapping[str, float]:
        """Return the inner sampler's metrics and counts of mastered, reviewed, relapsed prompts."""
        return {
            **self.inner.metrics(),
            "sampler/mastered": float(self._mastered.sum()),
            "sampler/reviews_due": float(len(self.overdue())),
            "sampler/reviews_last": float(self._num_reviews),
            "sampler/relapses": float(self._num_relapses),
        }

    def _draw(self, num_prompts: int) -> Draw:
        draw = self.inner.draw(num_prompts)
        overdue = self.overdue()
        among = np.isin(draw.indices, overdue)
        # The small addend keeps floor(0.29 * 100) at 29.
        num = math.floor(self.settings.share * num_prompts + 1e-9) - int(among.sum())
        waiting = overdue[~np.isin(overdue, draw.indices)]
        num = max(0, min(num, len(waiting)))
        age = self._batch - self._checked_at[waiting] + self._rng.random(len(waiting))
        reviewed = waiting[np.argsort(-age, kind="stable")[:num]]
        places = self._rng.permutation(np.flatnonzero(~among))[:num]
        indices, roles = draw.indices.copy(), list(draw.roles)
        indices[places] = reviewed
        for place in (*places.tolist(), *np.flatnonzero(among).tolist()):
            roles[place] = _REVIEW
        self._num_reviews = num + int(among.sum())
        return Draw(indices, tuple(roles))

    def _observe(self, groups: Sequence[GroupOutcome]) -> None:
        super()._observe(groups)
        for group in groups:
            verdicts = group.verdicts[~np.isnan(group.verdicts)]
            if verdicts.size < 2:
                continue
            mastered = float(verdicts.mean()) >= self.settings.mastery
            self._num_relapses += bool(self._mastered[group.index]) and not mastered
            self._mastered[group.index] = mastered
            self._checked_at[group.index] = self._batch if group.batch is None else group.batch

    def _check_saved(self, found: Mapping[str, Any]) -> None:
        if (found["checked_at"] < -1).any():
            raise StateError("saved batches of the last checks must be at least 0, or -1 for none")
