"""Gate that tries each prompt with a few rollouts before the rest (SPEED, Pilot-Commit)."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Annotated, Any, ClassVar, final

import numpy as np
from numpy.typing import ArrayLike, NDArray

from vasari.core.bounds import Bounds, Count, Share, check_fields
from vasari.core.errors import ConfigError, StateError
from vasari.core.records import Admission, GroupOutcome
from vasari.sample.gate import Gate, verifiable_rewards
from vasari.sample.pool import read_array


@dataclass(frozen=True, slots=True, kw_only=True)
class ScreeningRule:
    """Rule on a prompt's first few rollouts: whether it gets a whole group or is left out."""

    low: Share = 0.0
    """Least pass rate of a prompt's first rollouts to get a whole group (Pilot-Commit: 0.125); if
    all are wrong, it never gets one."""
    high: Share = 1.0
    """Greatest pass rate of a prompt's first rollouts to get a whole group (Pilot-Commit: 0.75); if
    all are right, it never gets one."""
    defer_batches: Count = 0
    """Batches for which a prompt that was too hard is not screened (tried) again; 0: it is screened
    whenever it is drawn."""
    evict_after: Count = 0
    """Screenings in a row, all right, after which a prompt is never screened again (Pilot-Commit:
    1); 0: never. Some solved prompts relapse (arXiv:2606.03087), and an evicted one is not
    noticed."""

    def __post_init__(self) -> None:
        check_fields(self)
        if self.low > self.high:
            raise ConfigError(f"low must be at most high, got {self.low} and {self.high}")


@final
@dataclass(frozen=True, slots=True, kw_only=True)
class TwoStageSettings(ScreeningRule):
    """Settings of `TwoStageGate` (few rollouts, then more); defaults: SPEED, arXiv:2506.09016."""

    num_screening: Annotated[int, Bounds(least=2)] = 4
    """Number of rollouts that a drawn prompt gets first."""
    num_rollouts: Annotated[int, Bounds(least=2)] = 8
    """Number of rollouts in a group that trains, the first `num_screening` included."""

    def __post_init__(self) -> None:
        ScreeningRule.__post_init__(self)
        if self.num_screening >= self.num_rollouts:
            raise ConfigError(
                "num_screening must be below num_rollouts, or there is no second stage; got"
                f" {self.num_screening} and {self.num_rollouts}"
            )


# Pilot-Commit, arXiv:2605.26606: skip above 0.75, defer below 0.125, evict when every pilot is
# right; 8 pilots, and in the authors' runs a quarter of a group.
TWO_STAGE_PRESETS: dict[str, TwoStageSettings] = {
    "default": TwoStageSettings(),
    "speed": TwoStageSettings(),
    "pilot-commit": TwoStageSettings(
        num_screening=8, num_rollouts=32, low=0.125, high=0.75, evict_after=1
    ),
}
"""Settings by name, for `make_gate("two_stage", preset=...)`."""


@final
class TwoStageGate(Gate):
    """Gate that gives a prompt a whole group only if its first rollouts' pass rate is not extreme.

    A group of `num_rollouts` is admitted; one of fewer is a screening. With p the pass rate of its
    verifiable rollouts, the prompt goes on when `low <= p <= high` and neither all are right nor
    all wrong: SPEED (arXiv:2506.09016) goes on with 0 < p < 1; Pilot-Commit (arXiv:2605.26606)
    skips p > 0.75, defers p < 0.125, and evicts a prompt whose pilots are all right. It reads
    verdicts, unlike the other gates: thresholds on a pass rate mean nothing for graded rewards. A
    screening without two verifiable rollouts is refused, and neither defers nor evicts.

    What a trainer does with it, in each batch (`vasari.train.loop` does):

    1. Ask `wanted` about the drawn prompts, leave out those it does not want, and draw others in
        their place.
    2. Roll out `settings.num_screening` times, charge `train`, and call `admit`.
    3. A group that is neither admitted nor asked for more rollouts is refused: move its rollouts in
       the ledger from `train` to `screen`, as nothing trains on them, and let the sampler observe
       the group with purpose `screen`. `Admission.redraw` prompts may be drawn in the place of the
       refused ones, and begin at 1.
    4. `Admission.more` says how many rollouts of the same prompt to add to each other group, with
       the same policy and before any update. Charge them `train`, join old and new rollouts into
       one group, let the sampler observe *the joined group, once* (a prompt's halves apart would
       count as two visits), and call `admit` again: now it trains.

    Deferral and eviction are remembered by position in the pool, so that a saved state belongs to
    one pool; the sampler's state beside it refuses another. A loop that never asks `wanted` has
    neither.
    """

    name: ClassVar[str] = "two_stage"

    def __init__(self, settings: TwoStageSettings | None = None) -> None:
        self.settings = settings or TwoStageSettings()
        """Settings that this gate was made with."""
        self._batch = 0
        self._solved: dict[int, int] = {}
        self._deferred: dict[int, int] = {}

    def wanted(self, indices: ArrayLike, batch: int) -> NDArray[np.bool_]:
        """Return a boolean mask of the prompts to try now: not put off for a while, not evicted.

        Args:
            indices: [prompts] positions in the pool.
            batch: The present batch, by the clock of `GroupOutcome.batch`.
        """
        self._batch = batch
        self._deferred = {index: until for index, until in self._deferred.items() if until >= batch}
        evicted = self.evicted
        return np.array(
            [i not in self._deferred and i not in evicted for i in np.asarray(indices).tolist()],
            dtype=np.bool_,
        )

    @property
    def num_screening(self) -> int:
        """Number of rollouts that a drawn prompt gets first."""
        return self.settings.num_screening

    @property
    def num_rollouts(self) -> int:
        """Number of rollouts in a whole group, the first `num_screening` included."""
        return self.settings.num_rollouts

    @property
    def evicted(self) -> frozenset[int]:
        """Pool indices of prompts never tried again, as all their first rollouts were correct."""
        least = self.settings.evict_after
        return frozenset(index for index, count in self._solved.items() if least and count >= least)

    @property
    def deferred(self) -> Mapping[int, int]:
        """Last batch in which each deferred prompt is not to be drawn, by its index in the pool."""
        return dict(self._deferred)

    def admit(self, outcomes: Sequence[GroupOutcome]) -> Admission:
        """Decide which groups train, which get their remaining rollouts, how many to replace."""
        admitted = np.zeros(len(outcomes), dtype=np.bool_)
        more = np.zeros(len(outcomes), dtype=np.int64)
        redraw = 0
        for place, group in enumerate(outcomes):
            if group.num_rollouts >= self.settings.num_rollouts:
                admitted[place] = verifiable_rewards(group).size >= 2
            elif self._promises(group):
                more[place] = self.settings.num_rollouts - group.num_rollouts
            else:
                redraw += 1
        return Admission(admitted, redraw=redraw, more=more)

    def _promises(self, group: GroupOutcome) -> bool:
        """Whether first rollouts earn a whole group; also records deferral and eviction."""
        verdicts = group.verdicts[~np.isnan(group.verdicts)]
        if verdicts.size < 2:
            return False
        rate = float(verdicts.mean())
        if rate == 1.0:
            self._solved[group.index] = self._solved.get(group.index, 0) + 1
        else:
            self._solved.pop(group.index, None)
        if (rate == 0.0 or rate < self.settings.low) and self.settings.defer_batches:
            now = self._batch if group.batch is None else group.batch
            self._deferred[group.index] = now + self.settings.defer_batches
        return 0.0 < rate < 1.0 and self.settings.low <= rate <= self.settings.high

    def _state(self) -> dict[str, Any]:
        solved, deferred = (sorted(known.items()) for known in (self._solved, self._deferred))
        return {
            "batch": self._batch,
            "solved": np.array([index for index, _ in solved], dtype=np.int64),
            "num_solved": np.array([count for _, count in solved], dtype=np.int64),
            "deferred": np.array([index for index, _ in deferred], dtype=np.int64),
            "deferred_until": np.array([until for _, until in deferred], dtype=np.int64),
        }

    def _restore(self, state: Mapping[str, Any]) -> None:
        batch = int(state["batch"])
        solved = _table(state, "solved", "num_solved")
        deferred = _table(state, "deferred", "deferred_until")
        self._batch, self._solved, self._deferred = batch, solved, deferred


def _table(state: Mapping[str, Any], key: str, value: str) -> dict[int, int]:
    """Return a saved table as a dict from prompt index to number."""
    indices, values = (read_array(state, name, dtype=np.int64) for name in (key, value))
    if (
        len(indices) != len(values)
        or (indices < 0).any()
        or len(set(indices.tolist())) < len(indices)
    ):
        raise StateError(
            "gate state is damaged: it must hold one number for each of some different prompts"
        )
    return dict(zip(indices.tolist(), values.tolist(), strict=True))
