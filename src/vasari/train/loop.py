"""The algorithm: refresh, draw, roll out, score, observe, gate (arXiv:2509.21268, Algorithm 1, and
a gate).

Neither torch nor TRL: an `Engine` rolls out and scores, and does what it likes with the groups that
train. The binding to TRL is `trl_engine.py`; a scripted policy is an engine in the tests.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from functools import partial
from typing import Any, Protocol, TypeVar

import numpy as np

from vasari.core.records import Draw, PromptIndices
from vasari.train.gated_batch import GatedBatch
from vasari.train.groups import ScoredGroup, ScoredRollout
from vasari.train.options import LoopOptions
from vasari.train.run_state import RunState
from vasari.train.screened_batch import ScreenedBatch, Slot

T = TypeVar("T")


class Engine(Protocol):
    """What the loop needs of a trainer. All processes call it alike; a group comes back in each of
    them.
    """

    @property
    def num_processes(self) -> int:
        """Processes that train together."""
        ...

    def on_main(self, decide: Callable[[], T]) -> T:
        """What the main process decides, in every process; sampler, gate and ledger live there."""
        ...

    def refresh(
        self, indices: PromptIndices, num_rollouts: int, *, batch: int
    ) -> list[list[ScoredRollout]]:
        """So many scored rollouts of each of these prompts, in their order; nothing trains on
        them.
        """
        ...

    def roll_out(self, indices: PromptIndices, num_screening: int) -> list[list[ScoredRollout]]:
        """Whole scored groups of these prompts, in their order; of `num_screening` rollouts where
        that is not 0.
        """
        ...

    def complete(self, slots: Sequence[Sequence[Slot]]) -> list[list[ScoredRollout]]:
        """The whole groups of the screened prompts that go on, in the order of the processes and
        their slots.
        """
        ...

    def keep(self, places: Sequence[Sequence[int]]) -> None:
        """For each process, which of the groups that it rolled out are its batch."""
        ...

    def silence(self, places: Sequence[Sequence[int]]) -> None:
        """For each process, which groups of its batch are not to train: they fill it, and have no
        advantage.
        """
        ...


class Loop:
    """Makes one batch after the other: chooses prompts, has them rolled out, and says which groups
    train.
    """

    def __init__(self, run: RunState, engine: Engine, options: LoopOptions | None = None) -> None:
        """A loop that goes on from `run`: sampler, gate, ledger and batch count, which change as it
        goes on.
        """
        self.run = run
        self._engine = engine
        self._options = options or LoopOptions()

    def next_batch(self, num_prompts: int) -> Mapping[str, float]:
        """Make the next batch, of so many prompts over all processes; the engine holds it then.
        Returns its metrics.
        """
        run, engine = self.run, self._engine
        self._refresh()
        batch = self._open(num_prompts)
        while len(draw := engine.on_main(partial(batch.draw, run.sampler, batch=run.batch))):
            rollouts = engine.roll_out(draw.indices, run.gate.num_screening)
            engine.on_main(partial(self._observe, batch, draw, rollouts))
        if isinstance(batch, ScreenedBatch):
            whole = engine.complete(engine.on_main(batch.slots))
            engine.on_main(partial(self._observe_whole, batch, whole))
        else:
            engine.keep(engine.on_main(batch.filled))
        engine.silence(engine.on_main(batch.silent))
        metrics = engine.on_main(partial(self._close, batch))
        run.batch += 1
        return metrics

    def _refresh(self) -> None:
        """Roll out the prompts whose scores the sampler wants anew (Algorithm 1, lines 2-5 and
        9-11).
        """
        run, engine = self.run, self._engine
        due, num_rollouts = engine.on_main(
            lambda: (run.sampler.due(run.batch), run.sampler.num_rollouts_due)
        )
        if not len(due):
            return
        rollouts = engine.refresh(due, num_rollouts, batch=run.batch)
        groups = [ScoredGroup(rollouts=own, role="refresh", purpose="refresh") for own in rollouts]
        engine.on_main(lambda: self._keep(groups))
        engine.on_main(lambda: run.sampler.observe([group.outcome(run.batch) for group in groups]))

    def _open(self, num_prompts: int) -> GatedBatch | ScreenedBatch:
        sizes = {"num_prompts": num_prompts, "num_processes": self._engine.num_processes}
        gate, at_most = self.run.gate, self._options.max_generations
        if gate.num_screening:
            return ScreenedBatch(
                gate, **sizes, max_generations=at_most, candidates=self._options.candidates
            )
        return GatedBatch(gate, **sizes, max_generations=at_most)

    def _observe(
        self, batch: GatedBatch | ScreenedBatch, draw: Draw, rollouts: Sequence[list[ScoredRollout]]
    ) -> None:
        """Hand the groups to the gate and to the sampler: all of them, or of screenings those that
        end with it.
        """
        run = self.run
        scores = run.sampler.scores()
        told = np.full(len(draw), np.nan) if scores is None else scores[draw.indices]
        groups = [
            ScoredGroup(
                rollouts=own,
                role=role,
                score=float(score),
                purpose="screen" if run.gate.num_screening else "train",
            )
            for own, role, score in zip(rollouts, draw.roles, told, strict=True)
        ]
        run.sampler.observe(batch.offer(groups, [group.outcome(run.batch) for group in groups]))

    def _observe_whole(self, batch: ScreenedBatch, rollouts: Sequence[list[ScoredRollout]]) -> None:
        """Let the sampler observe the groups that went on, once and whole, and the screenings that
        have no place.
        """
        run = self.run
        whole = [ScoredGroup(rollouts=own, role="").outcome(run.batch) for own in rollouts]
        run.sampler.observe(
            [*whole, *(batch.groups[place].outcome(run.batch) for place in batch.surplus())]
        )
        batch.complete(rollouts, whole)

    def _close(self, batch: GatedBatch | ScreenedBatch) -> dict[str, float]:
        """Charge and keep all groups of the batch, each with its one purpose; returns the batch in
        numbers.
        """
        groups = batch.spent()
        self._keep(groups)
        return batch_metrics(self.run, groups, num_generations=batch.num_generations)

    def _keep(self, groups: Sequence[ScoredGroup]) -> None:
        for group in groups:
            self.run.ledger.charge(
                group.purpose, rollouts=len(group.rollouts), tokens=group.num_tokens
            )
        if self._options.record is not None:
            self._options.record(groups, self.run.batch)


MEANS = frozenset({"zero_variance_share", "unverifiable_share", "generations", "trained_share"})
"""Metrics of one batch, whose mean says something of several; the others count from the start, or
are of the moment."""


def batch_metrics(
    run: RunState, groups: Sequence[ScoredGroup], *, num_generations: int
) -> dict[str, float]:
    """What a log says of a batch: silent and unverifiable shares, the ledger, and the sampler's own
    numbers.
    """
    rewards = [np.array([rollout.reward.total for rollout in group.rollouts]) for group in groups]
    silent = [
        np.nanmax(own, initial=-np.inf) - np.nanmin(own, initial=np.inf) <= 1e-9 for own in rewards
    ]
    numbers: dict[str, Any] = {
        "batch": run.batch,
        "zero_variance_share": np.mean(silent),
        "unverifiable_share": np.isnan(np.concatenate(rewards)).mean(),
        "generations": num_generations,
        "trained_share": np.mean([group.purpose == "train" for group in groups]),
        **run.ledger.metrics(),
        **run.sampler.metrics(),
    }
    return {name: float(value) for name, value in numbers.items()}
