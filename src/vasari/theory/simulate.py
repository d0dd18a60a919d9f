"""Train a simulated learner with a prompt sampler and a group filter; count every rollout."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Annotated, Any, final

import numpy as np
from numpy.typing import NDArray

from vasari.core.bounds import Bounds, Count, NotNegative, PositiveCount, check_fields
from vasari.core.errors import ConfigError
from vasari.core.records import GroupOutcome, PromptIndices, Purpose
from vasari.sample import SAMPLER_NAMES, PromptSampler, make_gate, make_sampler
from vasari.sample.peers.oracle import OracleSampler
from vasari.theory.curves import Curve
from vasari.theory.learner import LinearLearner
from vasari.theory.pools import SimulatedPool
from vasari.theory.rollouts import SimulatedGroups, roll_out
from vasari.theory.variance_greedy import VarianceGreedySampler

_CHUNK = 2048


@final
@dataclass(frozen=True, slots=True, kw_only=True)
class Arm:
    """Training strategy to compare: a prompt sampler and a gate (rule for which groups train)."""

    name: str
    sampler: str = "uniform"
    """A name that `make_sampler` knows, or "variance_greedy"."""
    settings: Mapping[str, Any] = field(default_factory=dict)
    """Settings of the sampler."""
    gate: str = "all"
    """A name that `make_gate` knows."""
    gate_settings: Mapping[str, Any] = field(default_factory=dict)
    """Settings of the gate."""
    charge_refresh: bool = True
    """False does not charge the rollouts of refreshes, as the paper's plots do: a bound,
    not a strategy."""


ARMS: dict[str, Arm] = {
    arm.name: arm
    for arm in (
        Arm(name="uniform"),
        Arm(name="vas", sampler="vas", settings={"preset": "paper-ablation"}),
        Arm(
            name="vas_free",
            sampler="vas",
            settings={"preset": "paper-ablation"},
            charge_refresh=False,
        ),
        Arm(name="vas_online", sampler="vas", settings={"refresh": "online"}),
        Arm(name="variance_greedy", sampler="variance_greedy"),
        Arm(name="mixed", gate="mixed"),
        Arm(name="two_stage", gate="two_stage"),
    )
}
"""Strategies by name; `arm_of` also knows each registered sampler with its default settings."""


def arm_of(name: str) -> Arm:
    """Return the training strategy `name`: one of `ARMS`, or a sampler with default settings.

    Raises:
        ConfigError: The name is unknown.
    """
    if name in ARMS:
        return ARMS[name]
    if name not in SAMPLER_NAMES:
        raise ConfigError(
            f"arm must be one of {', '.join(dict.fromkeys([*ARMS, *SAMPLER_NAMES]))}, got {name!r}"
        )
    return Arm(name=name, sampler=name)


@final
@dataclass(frozen=True, slots=True, kw_only=True)
class SimulationSettings:
    """Settings of a simulated training run, the same for every strategy that is compared."""

    prompts_per_batch: PositiveCount = 64
    rollouts_per_prompt: Annotated[int, Bounds(least=2)] = 8
    budget: PositiveCount = 102_400
    """Charged rollouts after which a run ends; 200 steps of 64 prompts x 8 rollouts."""
    learning_rate: NotNegative = 0.03
    """Learning rate of Adam."""
    score_noise: NotNegative = 1.0
    """Deviation of the part of a rollout's score that has nothing to do with its answer, in each
    direction."""
    evaluate_every: PositiveCount = 5
    """Training steps between two measured points of the accuracy curve."""
    max_redraws: Count = 4
    """How often the gate may have more prompts drawn within a step."""

    def __post_init__(self) -> None:
        check_fields(self)


def simulate(
    arm: Arm, pool: SimulatedPool, settings: SimulationSettings | None = None, *, seed: int
) -> Curve:
    """Simulate a training run and return its curve of held-out accuracy over rollouts spent.

    The curve goes up to the budget of rollouts.

    Args:
        arm: The strategy.
        pool: Shared by the arms of a comparison.
        settings: Shared too; None for the defaults.
        seed: Shared too: prompts are rolled out with the same random numbers at the same visit, and
            updates have the same noise.

    Raises:
        ConfigError: The arm's sampler, gate or settings are unknown, or the pool is smaller than a
            batch.
    """
    return _Run(arm, pool, settings or SimulationSettings(), seed).to_the_end()


class _Run:
    """A run of one arm."""

    def __init__(
        self, arm: Arm, pool: SimulatedPool, settings: SimulationSettings, seed: int
    ) -> None:
        self._arm, self._pool, self._settings, self._seed = arm, pool, settings, seed
        self._learner = LinearLearner(
            pool, learning_rate=settings.learning_rate, score_noise=settings.score_noise
        )
        self._sampler = self._make_sampler()
        self._gate = make_gate(arm.gate, **arm.gate_settings)
        self._visits = {
            purpose: np.zeros(pool.num_prompts, dtype=np.int64) for purpose in ("train", "refresh")
        }
        self._curve = Curve(arm.name, settings.budget)
        self._step = 0
        self._drawn: list[PromptIndices] = []
        self._mixed: list[NDArray[np.bool_]] = []

    def _make_sampler(self) -> PromptSampler:
        arm, num = self._arm, self._pool.num_prompts
        if arm.sampler == VarianceGreedySampler.name:
            return VarianceGreedySampler(num_prompts=num, seed=self._seed, **arm.settings)
        known = self._valued_rates() if arm.sampler == OracleSampler.name else None
        features = self._pool.features(known)
        return make_sampler(
            arm.sampler, num_prompts=num, seed=self._seed, features=features, **arm.settings
        )

    def _valued_rates(self) -> NDArray[np.float64]:
        """[prompts] the true pass rates that an oracle knows; 0 where the verdicts are noise."""
        everything = np.arange(self._pool.num_prompts)
        return np.where(self._pool.is_noise, 0.0, self._learner.solve_rates(everything))

    def to_the_end(self) -> Curve:
        curve, budget = self._curve, self._settings.budget
        self._record()
        while curve.ledger.total_rollouts < budget:
            if self._refresh():
                self._record()
            before = curve.ledger.total_rollouts
            if before >= budget:
                break
            self._train()
            if curve.ledger.total_rollouts == before:  # a gate wants none of the prompts any more
                break
            self._step += 1
            if self._step % self._settings.evaluate_every == 0:
                self._record()
        self._record()
        return curve

    def _record(self) -> None:
        drawn = np.concatenate([np.zeros(0, dtype=np.int64), *self._drawn])
        mixed = np.concatenate([np.zeros(0, dtype=np.bool_), *self._mixed])
        self._curve.add(
            step=self._step,
            accuracy=self._learner.accuracy(),
            noise_share=float(self._pool.is_noise[drawn].mean()) if drawn.size else math.nan,
            mixed_share=float(mixed.mean()) if mixed.size else math.nan,
        )
        self._drawn, self._mixed = [], []

    def _refresh(self) -> bool:
        """Roll out the prompts that are due, and return whether there were any."""
        due = self._sampler.due(self._step)
        if not due.size:
            return False
        self._record()
        ledger = self._curve.ledger if self._arm.charge_refresh else self._curve.uncharged
        for start in range(0, len(due), _CHUNK):
            part = due[start : start + _CHUNK]
            visits = self._next_visits(part, "refresh")
            groups = self._roll_out(part, "refresh", self._sampler.num_rollouts_due, visits=visits)
            ledger.charge("refresh", rollouts=groups.verdicts.size, tokens=groups.num_tokens)
            self._sampler.observe(groups.outcomes("refresh", self._step))
        return True

    def _roll_out(
        self,
        indices: PromptIndices,
        purpose: Purpose,
        num_rollouts: int,
        *,
        visits: NDArray[np.int64],
        first: int = 0,
    ) -> SimulatedGroups:
        return roll_out(
            self._pool,
            indices,
            self._learner.solve_rates(indices),
            visits=visits,
            num_rollouts=num_rollouts,
            step=self._step,
            seed=2 * self._seed + (purpose == "refresh"),
            first=first,
        )

    def _next_visits(self, indices: PromptIndices, purpose: Purpose) -> NDArray[np.int64]:
        """[indices] how often each was rolled out before for this purpose; counts these visits."""
        counts = self._visits[purpose]
        visits = counts[indices] + _earlier(indices)
        np.add.at(counts, indices, 1)
        return visits

    def _train(self) -> None:
        """Draw, roll out, observe, admit and update; refused groups may be replaced."""
        settings, trained = self._settings, []
        if isinstance(self._sampler, OracleSampler):
            self._sampler.update_pass_rates(self._valued_rates())
        wanted = settings.prompts_per_batch
        for _ in range(settings.max_redraws + 1):
            drawn = self._sampler.draw(wanted).indices
            drawn = drawn[self._gate.wanted(drawn, self._step)]
            groups, redraw = self._admitted(drawn)
            wanted = redraw + wanted - len(drawn)
            trained.append(groups)
            if not wanted or self._curve.ledger.total_rollouts >= settings.budget:
                break
        # Groups that all were refused after a screening have fewer rollouts than those that train.
        trained = [groups for groups in trained if len(groups.indices)] or trained[:1]
        self._learner.update(
            np.concatenate([groups.indices for groups in trained]),
            np.concatenate([groups.right for groups in trained]),
            np.concatenate([groups.verdicts for groups in trained]),
            batch=settings.prompts_per_batch,
            rng=np.random.default_rng([self._seed, 1, self._step]),
        )

    def _admitted(self, indices: PromptIndices) -> tuple[SimulatedGroups, int]:
        """The groups of these prompts that train, and how many prompts to draw for the others."""
        num_screening = self._gate.num_screening
        num_first = num_screening or self._settings.rollouts_per_prompt
        refused_as: Purpose = "screen" if num_screening else "discarded"
        visits = self._next_visits(indices, "train")
        groups = self._roll_out(indices, "train", num_first, visits=visits)
        outcomes = self._observe(groups)
        self._drawn.append(indices)
        self._mixed.append(groups.verdicts.std(axis=1) > 0)
        admission = self._gate.admit(outcomes)
        kept = admission.admitted
        if admission.more.any():
            kept = admission.more > 0
        refused = groups.select(~kept)
        self._curve.ledger.move(
            "train", refused_as, rollouts=refused.verdicts.size, tokens=refused.num_tokens
        )
        groups = groups.select(kept)
        if admission.more.any():
            num_more = int(admission.more.max())
            rest = self._roll_out(
                groups.indices, "train", num_more, visits=visits[kept], first=num_first
            )
            self._observe(rest)
            groups = groups.joined(rest)
        return groups, admission.redraw

    def _observe(self, groups: SimulatedGroups) -> list[GroupOutcome]:
        """Charge the groups as `train` and show them to the sampler, before any filter."""
        self._curve.ledger.charge("train", rollouts=groups.verdicts.size, tokens=groups.num_tokens)
        outcomes = groups.outcomes("train", self._step)
        self._sampler.observe(outcomes)
        return outcomes


def _earlier(indices: PromptIndices) -> NDArray[np.int64]:
    """How often each prompt stands earlier in the batch, which may repeat prompts."""
    order = np.argsort(indices, kind="stable")
    first = np.searchsorted(indices[order], indices[order])
    earlier = np.empty(len(indices), dtype=np.int64)
    earlier[order] = np.arange(len(indices)) - first
    return earlier
