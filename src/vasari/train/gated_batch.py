"""One batch under a gate: which groups train, which do not, and how many prompts to draw in place of the refused."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import final

from vasari.errors import ConfigError
from vasari.records import GroupOutcome
from vasari.sample import AllGate, Gate, TwoStageGate
from vasari.train.books import ScoredRollout


@dataclass(frozen=True, slots=True)
class ScoredGroup:
    """A group with what the books say of it."""

    rollouts: Sequence[ScoredRollout]
    role: str
    """Why its prompt was drawn."""
    score: float
    """What its sampler thought of the prompt when it drew it; nan when nothing."""


@final
class GatedBatch:
    """Offers every generation of one batch to a gate until enough groups are admitted; kept by the main process.

    A process trains on groups that it rolled out itself, so that no tensor travels. Each has the same number of slots, and
    all roll out the same number of further prompts, as many as the process lacks that lacks most: on one process that is
    the number of refused groups, on several some admitted groups are more than their process has slots for, and are
    dropped. When `max_generations` are spent, refused groups fill the slots that are left, so that the batch keeps its
    size; their advantages are zero.
    """

    def __init__(self, gate: Gate, *, num_prompts: int, num_processes: int, max_generations: int) -> None:
        self._gate = gate
        self._slots = -(-num_prompts // num_processes)
        self._num_processes = num_processes
        self._max_generations = max_generations
        self._admitted: list[bool] = []
        self._process: list[int] = []
        self.num_generations = 0
        """How often prompts were rolled out for this batch."""
        self.groups: list[ScoredGroup] = []
        """All groups that were offered, in their order."""

    def offer(self, groups: Sequence[ScoredGroup], outcomes: Sequence[GroupOutcome]) -> int:
        """Ask the gate about the groups of one generation, in the order of the processes that rolled them out.

        Returns:
            How many further prompts to roll out, an equal number on each process; 0 when the batch is complete.

        Raises:
            ConfigError: The gate wants more rollouts of the same prompts, or did not decide on each group.
        """
        admission = self._gate.admit(outcomes)
        name = type(self._gate).__name__
        if admission.more.any():
            raise ConfigError(
                f"{name} wants more rollouts of the same prompts, and this trainer rolls out whole groups at once; "
                "vasari.train.two_stage_grpo.TwoStageTrainer serves a TwoStageGate"
            )
        if len(admission.admitted) != len(outcomes):
            raise ConfigError(f"{name} decided on {len(admission.admitted)} of {len(outcomes)} groups")
        self.num_generations += 1
        self.groups += groups
        self._admitted += admission.admitted.tolist()
        self._process += [place * self._num_processes // len(outcomes) for place in range(len(outcomes))]
        if self.num_generations >= self._max_generations:
            return 0
        lacking = max(self._slots - sum(self._of(process)) for process in range(self._num_processes))
        return self._num_processes * min(max(0, lacking), admission.redraw)

    def filled(self) -> list[list[int]]:
        """For each process, which of the groups that it rolled out are its batch, ascending.

        Admitted groups come before refused ones, earlier before later ones.
        """
        chosen = []
        for process in range(self._num_processes):
            own = self._of(process)
            first = sorted(range(len(own)), key=lambda place: not own[place])
            chosen.append(sorted(first[: self._slots]))
        return chosen

    def discarded(self) -> list[int]:
        """Which groups do not train: the refused ones, those that fill the batch too, and admitted ones without a slot."""
        taken = [0] * self._num_processes
        places = []
        for place, (admitted, process) in enumerate(zip(self._admitted, self._process, strict=True)):
            if admitted and taken[process] < self._slots:
                taken[process] += 1
            else:
                places.append(place)
        return places

    def _of(self, process: int) -> list[bool]:
        return [admitted for admitted, owner in zip(self._admitted, self._process, strict=True) if owner == process]


def check_gate(gate: Gate, *, num_prompts: int, num_rollouts: int, num_processes: int) -> None:
    """Refuse a gate that draws again where a group's rollouts lie on two processes, and one that makes other groups.

    Raises:
        ConfigError: The prompts of a batch do not divide over the processes, or a `TwoStageGate` makes groups of another
            size than the trainer.
    """
    if isinstance(gate, TwoStageGate) and gate.settings.num_rollouts != num_rollouts:
        raise ConfigError(
            f"the gate makes groups of {gate.settings.num_rollouts} rollouts and this training's have {num_rollouts}; "
            f"make it with num_rollouts={num_rollouts}"
        )
    if not isinstance(gate, AllGate) and num_prompts % num_processes:
        raise ConfigError(
            f"{type(gate).__name__} fills each process's share of a batch by itself, and {num_prompts} prompts do not divide "
            f"over {num_processes} processes; choose grpo.prompts_per_batch as a multiple of {num_processes}, or grpo.gate: all"
        )
