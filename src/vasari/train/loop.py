"""Training loop: score prompts, draw, roll out, filter groups (arXiv:2509.21268, Algorithm 1).

It needs neither torch nor TRL: an `Engine` rolls out and scores, and trains on the groups that it
is told to keep. `trl_engine.py` is the engine for TRL; the tests have one with a scripted policy.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from typing import Any, Protocol, TypeVar

import numpy as np

from vasari.core.errors import ConfigError
from vasari.core.records import Draw, PromptIndices
from vasari.train.gated_batch import GatedBatch
from vasari.train.groups import ScoredGroup, ScoredRollout
from vasari.train.run_state import RunState
from vasari.train.screened_batch import ScreenedBatch, Slot

T = TypeVar("T")

Record = Callable[[Sequence[ScoredGroup], int], None]
"""Function that stores a batch's groups, e.g. on disk; the second argument is the batch number."""

Refresh = Callable[..., list[list[ScoredRollout]]]
"""Function that rolls out and scores prompts outside the training batch, in one process.

`refresh(trainer, indices, num_rollouts, batch=..., process=...)` returns the scored rollouts of
each prompt, in the order of `indices`. All processes call it, each with its share."""


class Engine(Protocol):
    """Interface of a trainer (generates rollouts, trains on them) that the training loop calls.

    Each process runs the loop and calls these methods with the same arguments; groups come back in
    every process.
    """

    @property
    def num_processes(self) -> int:
        """Number of processes that train together."""
        ...

    def on_main(self, decide: Callable[[], T]) -> T:
        """Call `decide` in the main process alone and return its result in every process.

        Sampler, gate and ledger are changed by such calls only.
        """
        ...

    def refresh(
        self, indices: PromptIndices, num_rollouts: int, *, batch: int
    ) -> list[list[ScoredRollout]]:
        """Roll out and score each prompt `num_rollouts` times for the sampler, not to train."""
        ...

    def roll_out(self, indices: PromptIndices, num_screening: int) -> list[list[ScoredRollout]]:
        """Roll out and score one group of rollouts per prompt, in the order of `indices`.

        A group has the size that trains, or `num_screening` rollouts where that is not 0.
        """
        ...

    def complete(self, slots: Sequence[Sequence[Slot]]) -> list[list[ScoredRollout]]:
        """Roll out in full the groups that passed screening (a few rollouts), and return them.

        Args:
            slots: For each process the groups that are its batch. The whole groups come back in
                the order of the processes and their slots.
        """
        ...

    def keep(self, places: Sequence[Sequence[int]]) -> None:
        """Make the training batch from the rolled-out groups at the positions `places`.

        Args:
            places: For each process positions in the groups that it rolled out since the last call.
        """
        ...

    def silence(self, places: Sequence[Sequence[int]]) -> None:
        """Set advantages to zero for groups that only fill up the batch and must not train.

        Args:
            places: For each process positions in its batch.
        """
        ...


@dataclass(frozen=True, slots=True, kw_only=True)
class LoopOptions:
    """Rarely needed options of `VarianceAwareGRPOTrainer`."""

    max_generations: int = 4
    """How often prompts are rolled out for one batch, at most, when the gate asks for others;
    refused groups then fill it."""
    candidates: float = 1.0
    """Prompts screened at once, as a multiple of those the batch lacks, for a gate that screens."""
    record: Record | None = None
    """Called in the main process with the groups of every batch and its number, e.g. a `GroupLog`
    that keeps them on disk."""
    refresh: Refresh | None = None
    """Rolls out the prompts that the sampler wants scored; None: TRL's own generation does."""
    essential: tuple[str, ...] = ()
    """Reward functions whose None takes a rollout out of its group's baseline, whatever the others
    return."""
    drop_zero_advantage: bool = False
    """Leave rollouts without advantage out of the forward and backward pass, where there is no KL
    term. The loss stays; entropy and clip ratios are then those of the rollouts that remain."""
    sort_by_length: bool = False
    """Put the rollouts of an update that are of like length into one micro-batch, and give the
    model no columns of padding. The loss stays, up to rounding; metrics that are a least or a
    largest of micro-batches do not, and means become means over an update's tokens."""
    reuse_log_probs: bool = False
    """Take the log-probabilities that rollouts were drawn with for those that TRL would compute in
    a second pass, in float32. They are the same up to rounding."""
    opened: str = ""
    """What the prompt already holds of every rollout, such as `<think>`: verdicts and rewards see
    it in front of the rollout's own text."""
    encode_images_once: bool = False
    """Let Qwen2.5-VL encode an image once for all rollouts of its prompt in a forward pass."""

    def __post_init__(self) -> None:
        if self.max_generations < 1:
            raise ConfigError(f"max_generations must be at least 1, got {self.max_generations}")
        if self.candidates < 1:
            raise ConfigError(f"candidates must be at least 1, got {self.candidates}")


class Loop:
    """Training loop that makes each batch: which prompts to roll out, which groups to train on."""

    def __init__(self, run: RunState, engine: Engine, options: LoopOptions | None = None) -> None:
        """Make a loop that continues from `run` and updates its sampler, gate and counts."""
        self.run = run
        self._engine = engine
        self._options = options or LoopOptions()

    def next_batch(self, num_prompts: int) -> Mapping[str, float]:
        """Make the next training batch, leave it in the trainer (`Engine`), and return its metrics.

        Args:
            num_prompts: Groups of the batch, over all processes.
        """
        run, engine = self.run, self._engine
        self._refresh()
        batch = self._new_batch(num_prompts)
        while len(draw := engine.on_main(partial(batch.draw, run.sampler, batch=run.batch))):
            rollouts = engine.roll_out(draw.indices, run.gate.num_screening)
            engine.on_main(partial(self._observe, batch, draw, rollouts))
        if isinstance(batch, ScreenedBatch):
            whole = engine.complete(engine.on_main(batch.slots))
            engine.on_main(partial(self._observe_whole, batch, whole))
        else:
            engine.keep(engine.on_main(batch.filled))
        engine.silence(engine.on_main(batch.silent))
        metrics = engine.on_main(partial(self._finish, batch))
        run.batch += 1
        return metrics

    def _refresh(self) -> None:
        """Score the prompts that the sampler wants scored (Algorithm 1, lines 2-5 and 9-11)."""
        run, engine = self.run, self._engine
        due, num_rollouts = engine.on_main(
            lambda: (run.sampler.due(run.batch), run.sampler.num_rollouts_due)
        )
        if not len(due):
            return
        rollouts = engine.refresh(due, num_rollouts, batch=run.batch)
        groups = [ScoredGroup(rollouts=own, role="refresh", purpose="refresh") for own in rollouts]
        engine.on_main(lambda: self._charge_and_record(groups))
        engine.on_main(lambda: run.sampler.observe([group.outcome(run.batch) for group in groups]))

    def _new_batch(self, num_prompts: int) -> GatedBatch | ScreenedBatch:
        """An empty batch for the gate of this run."""
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
        """Show the groups to the gate and then to the sampler.

        The sampler observes all of them; of screenings only those that do not go on, since the
        others come whole.
        """
        run = self.run
        scores = run.sampler.scores_of(draw.indices)
        known = np.full(len(draw), np.nan) if scores is None else scores
        groups = [
            ScoredGroup(
                rollouts=own,
                role=role,
                score=float(score),
                purpose="screen" if run.gate.num_screening else "train",
            )
            for own, role, score in zip(rollouts, draw.roles, known, strict=True)
        ]
        outcomes = [group.outcome(run.batch) for group in groups]
        run.drawn.count(outcomes)
        run.sampler.observe(batch.offer(groups, outcomes))

    def _observe_whole(self, batch: ScreenedBatch, rollouts: Sequence[list[ScoredRollout]]) -> None:
        """Show the completed groups to the sampler, and then to the gate.

        With them come promising screenings that found no place in the batch.
        """
        run = self.run
        whole = [ScoredGroup(rollouts=own, role="").outcome(run.batch) for own in rollouts]
        run.sampler.observe(
            [*whole, *(batch.groups[place].outcome(run.batch) for place in batch.surplus())]
        )
        batch.complete(rollouts, whole)

    def _finish(self, batch: GatedBatch | ScreenedBatch) -> dict[str, float]:
        """Charge and record all groups of the batch, and return its metrics."""
        groups = batch.spent()
        self._charge_and_record(groups)
        return batch_metrics(self.run, groups, num_generations=batch.num_generations)

    def _charge_and_record(self, groups: Sequence[ScoredGroup]) -> None:
        self.run.charge(groups)
        if self._options.record is not None:
            self._options.record(groups, self.run.batch)


MEANS = frozenset(
    {
        "zero_variance_share",
        "unverifiable_share",
        "generations",
        "trained_share",
        "drawn/mean_tokens",
        "drawn/first_time_share",
        "sampler/log_loss",
        "sampler/log_loss_constant",
    }
)
"""Metrics averaged over the batches of a log line; of other metrics, the last value is logged."""


def batch_metrics(
    run: RunState, groups: Sequence[ScoredGroup], *, num_generations: int
) -> dict[str, float]:
    """Return metrics of a batch and of its sampler, e.g. the share of groups with equal rewards.

    The shares are of groups with equal rewards, unverifiable rollouts, and groups that train.
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
        **run.drawn.metrics(),
        **run.sampler.metrics(),
    }
    return {name: float(value) for name, value in numbers.items()}
