"""One batch under a gate of two stages: whom to screen, who gets a whole group, and what fills the places left."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import final

import numpy as np

from vasari.records import Draw, GroupOutcome, Role
from vasari.sample import PromptSampler, TwoStageGate
from vasari.train.books import ScoredRollout
from vasari.train.gated_batch import ScoredGroup


@dataclass(frozen=True, slots=True)
class Slot:
    """A group's place in the batch of one process."""

    group: int
    """Which of the screened prompts has it, in their order."""
    commits: bool
    """Whether its prompt is rolled out further; else its screening fills the place, and does not train."""


@final
class ScreenedBatch:
    """Draws prompts, has them screened until enough promise variance, and gives those places; kept by the main process.

    A screening is rollouts as numbers and text, so that a prompt may go on in another process than the one that screened
    it: processes share the promising prompts evenly, and none is lost. A prompt is screened once for a batch. When
    `max_generations` are spent, or the pool is, screenings of other prompts fill the places that are left.
    """

    def __init__(
        self,
        gate: TwoStageGate,
        *,
        num_prompts: int,
        num_processes: int,
        max_generations: int,
        candidates: float = 1.0,
    ) -> None:
        """A batch of `num_prompts`, a multiple of `num_processes`; `candidates` as in `ScreeningSettings`."""
        self._gate = gate
        self._num_prompts = num_prompts
        self._num_processes = num_processes
        self._max_generations = max_generations
        self._candidates = candidates
        self._promising: list[bool] = []
        self._screened: set[int] = set()
        self._refused: list[int] = []
        self.num_generations = 0
        """How often prompts were screened for this batch."""
        self.groups: list[ScoredGroup] = []
        """All groups, in the order in which their prompts were drawn: screenings, or whole groups once completed."""

    def draw(self, sampler: PromptSampler, *, step: int) -> Draw:
        """The prompts to screen next, an equal number for each process; none when screening is over.

        Prompts that were screened already, and those that the gate does not want, are left out and others drawn in their
        place, by ever larger draws: a sampler that ranks would name the same ones again. Where the pool has too few others
        for a batch, unwanted prompts are screened.

        Args:
            sampler: Who draws.
            step: The present batch, by which the gate defers.
        """
        lacking = self._num_prompts - sum(self._promising)
        if lacking <= 0 or self.num_generations >= self._max_generations:
            return _prompts([])
        wanted = min(self._up(math.ceil(self._candidates * lacking - 1e-9)), sampler.num_prompts)
        found: list[tuple[int, Role]] = []
        unwanted: list[tuple[int, Role]] = []
        seen, asked = set(self._screened), wanted
        while True:
            draw = sampler.draw(asked)
            fine = self._gate.wanted(draw.indices, step)
            for index, role, welcome in zip(draw.indices.tolist(), draw.roles, fine.tolist(), strict=True):
                if index not in seen:
                    (found if welcome else unwanted).append((index, role))
            # Only now: a draw with replacement may hold a prompt twice, and means it.
            seen.update(draw.indices.tolist())
            if len(found) >= wanted or asked >= sampler.num_prompts:
                break
            asked = min(2 * asked, sampler.num_prompts)
        if not self.groups and len(found) < self._num_prompts:
            found += unwanted[: self._num_prompts - len(found)]
        num = min(wanted, len(found))
        taken = found[: num - num % self._num_processes]
        self._screened.update(index for index, _ in taken)
        return _prompts(taken)

    def offer(self, screenings: Sequence[ScoredGroup], outcomes: Sequence[GroupOutcome]) -> list[GroupOutcome]:
        """Ask the gate about the screenings of one generation, in the order of the draw.

        Returns:
            The groups of the prompts that it refused, for the sampler to observe: nothing will be added to them.
        """
        more = self._gate.admit(outcomes).more > 0
        self.num_generations += 1
        self.groups += screenings
        self._promising += more.tolist()
        return [group for group, goes_on in zip(outcomes, more, strict=True) if not goes_on]

    def slots(self) -> list[list[Slot]]:
        """For each process its places: first those of prompts that go on, as many in each process, then what fills."""
        going_on = self._committed()
        others = sorted(set(range(len(self.groups))) - set(going_on), key=lambda group: (self._promising[group], group))
        filling = sorted(others[: self._num_prompts - len(going_on)])
        slots: list[list[Slot]] = []
        for process in range(self._num_processes):
            own = [Slot(group, commits=True) for group in self._share(going_on, process)]
            slots.append(own + [Slot(group, commits=False) for group in self._share(filling, process)])
        return slots

    def complete(self, rollouts: Sequence[Sequence[ScoredRollout]], outcomes: Sequence[GroupOutcome]) -> None:
        """Take the whole groups of the prompts that went on, in the order of the processes and their slots."""
        admitted = self._gate.admit(outcomes).admitted
        for group, own, trains in zip(self._committed(), rollouts, admitted.tolist(), strict=True):
            self.groups[group] = replace(self.groups[group], rollouts=own)
            if not trains:
                self._refused.append(group)

    def surplus(self) -> list[int]:
        """Groups whose prompts promise variance and have no place: only the sampler can still learn from them."""
        going_on = set(self._committed())
        return [group for group, promising in enumerate(self._promising) if promising and group not in going_on]

    def screened_only(self) -> list[int]:
        """Which groups are a screening and no more, those that fill the batch too."""
        going_on = set(self._committed())
        return [group for group in range(len(self.groups)) if group not in going_on]

    def discarded(self) -> list[int]:
        """Which whole groups do not train: those with fewer than two verifiable rollouts."""
        return sorted(self._refused)

    def _committed(self) -> list[int]:
        """The prompts that go on, the earliest drawn of those that may, an equal number for each process."""
        promising = [group for group, goes_on in enumerate(self._promising) if goes_on][: self._num_prompts]
        return promising[: len(promising) - len(promising) % self._num_processes]

    def _share(self, groups: Sequence[int], process: int) -> Sequence[int]:
        size = len(groups) // self._num_processes
        return groups[process * size : (process + 1) * size]

    def _up(self, num: int) -> int:
        return -(-num // self._num_processes) * self._num_processes


def _prompts(entries: Sequence[tuple[int, Role]]) -> Draw:
    return Draw(np.array([index for index, _ in entries], dtype=np.int64), tuple(role for _, role in entries))
