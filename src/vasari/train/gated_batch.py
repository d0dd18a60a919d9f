"""One batch under a gate: which groups train, which do not, and how many prompts to draw in place
of the refused.
"""

from __future__ import annotations

from collections.abc import Collection, Sequence
from dataclasses import replace
from typing import final

import numpy as np

from vasari.core.errors import ConfigError
from vasari.core.records import Draw, GroupOutcome, Role
from vasari.sample import Gate, PromptSampler
from vasari.train.groups import ScoredGroup


@final
class GatedBatch:
    """Offers every generation of one batch to a gate until enough groups are admitted; kept by the
    main process.

    A process trains on groups that it rolled out itself, so that no tensor travels. Each has the
    same number of slots, and all roll out the same number of further prompts, as many as the
    process lacks that lacks most: on one process that is the number of refused groups, on several
    some admitted groups are more than their process has slots for, and are dropped. When
    `max_generations` are spent, refused groups fill the slots that are left, so that the batch
    keeps its size; their advantages are zero.
    """

    def __init__(
        self, gate: Gate, *, num_prompts: int, num_processes: int, max_generations: int
    ) -> None:
        self._gate = gate
        self._slots = -(-num_prompts // num_processes)
        self._num_processes = num_processes
        self._max_generations = max_generations
        self._lacking = num_prompts
        self._admitted: list[bool] = []
        self._process: list[int] = []
        self.num_generations = 0
        """How often prompts were rolled out for this batch."""
        self.groups: list[ScoredGroup] = []
        """All groups that were offered, in their order."""

    def draw(self, sampler: PromptSampler, *, batch: int) -> Draw:
        """The prompts to roll out next, an equal number for each process; none when the batch is
        complete.
        """
        return draw_wanted(sampler, self._gate, self._lacking, batch=batch)

    def offer(
        self, groups: Sequence[ScoredGroup], outcomes: Sequence[GroupOutcome]
    ) -> Sequence[GroupOutcome]:
        """Ask the gate about the groups of one generation, in the order of the processes that
        rolled them out.

        Returns:
            The groups for the sampler to observe: all of them, before any is left out.

        Raises:
            ConfigError: The gate wants more rollouts although it does not screen, or did not decide
                on each group.
        """
        admission = self._gate.admit(outcomes)
        name = type(self._gate).__name__
        if admission.more.any():
            raise ConfigError(
                f"{name} wants more rollouts of the same prompts, which only a gate does that"
                " screens; set its num_screening"
            )
        if len(admission.admitted) != len(outcomes):
            raise ConfigError(
                f"{name} decided on {len(admission.admitted)} of {len(outcomes)} groups"
            )
        self.num_generations += 1
        self.groups += groups
        self._admitted += admission.admitted.tolist()
        self._process += [
            place * self._num_processes // len(outcomes) for place in range(len(outcomes))
        ]
        lacking = max(
            self._slots - sum(self._of(process)) for process in range(self._num_processes)
        )
        done = self.num_generations >= self._max_generations
        self._lacking = 0 if done else self._num_processes * min(max(0, lacking), admission.redraw)
        return outcomes

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

    def silent(self) -> list[list[int]]:
        """For each process, the places of its batch that refused groups fill."""
        return [
            [place for place, group in enumerate(places) if not self._of(process)[group]]
            for process, places in enumerate(self.filled())
        ]

    def spent(self) -> list[ScoredGroup]:
        """All groups, each with what its rollouts were spent on: those without a slot, or refused,
        are discarded.
        """
        discarded = set(self.discarded())
        return [
            replace(group, purpose="discarded") if place in discarded else group
            for place, group in enumerate(self.groups)
        ]

    def discarded(self) -> list[int]:
        """Which groups do not train: the refused ones, those that fill the batch too, and admitted
        ones without a slot.
        """
        taken = [0] * self._num_processes
        places = []
        for place, (admitted, process) in enumerate(
            zip(self._admitted, self._process, strict=True)
        ):
            if admitted and taken[process] < self._slots:
                taken[process] += 1
            else:
                places.append(place)
        return places

    def _of(self, process: int) -> list[bool]:
        return [
            admitted
            for admitted, owner in zip(self._admitted, self._process, strict=True)
            if owner == process
        ]


def check_sizes(gate: Gate, *, num_prompts: int, num_rollouts: int, num_processes: int) -> None:
    """Refuse a gate that draws again where a group's rollouts lie on two processes, and one that
    makes other groups.

    Raises:
        ConfigError: The prompts of a batch do not divide over the processes, or the gate makes
            groups of another size than the training.
    """
    if gate.num_rollouts not in (None, num_rollouts):
        raise ConfigError(
            f"the gate makes groups of {gate.num_rollouts} rollouts and this training's have"
            f" {num_rollouts}; make it with num_rollouts={num_rollouts}"
        )
    if gate.redraws and num_prompts % num_processes:
        raise ConfigError(
            f"{type(gate).__name__} fills each process's share of a batch by itself, and"
            f" {num_prompts} prompts do not divide over {num_processes} processes; choose prompts a"
            f" batch as a multiple of {num_processes}, or the gate all"
        )


def draw_wanted(
    sampler: PromptSampler,
    gate: Gate,
    num_prompts: int,
    *,
    batch: int,
    excluded: Collection[int] = (),
    fill_to: int | None = None,
    multiple_of: int = 1,
) -> Draw:
    """So many prompts that the gate wants, none for 0; fewer where the pool has no more.

    Prompts that are excluded or not wanted are left out and others drawn in their place, by ever
    larger draws: a sampler that ranks would name the same ones again.

    Args:
        sampler: Who draws.
        gate: Whose `wanted` decides.
        num_prompts: How many.
        batch: The present batch, by which a gate defers.
        excluded: Prompts not to draw.
        fill_to: Take prompts that the gate does not want where there are fewer others than this;
            None: than `num_prompts`.
        multiple_of: The number of prompts is cut to a multiple of this.
    """
    if num_prompts <= 0:
        return _draw_of([])
    found: list[tuple[int, Role]] = []
    unwanted: list[tuple[int, Role]] = []
    seen, asked = set(excluded), num_prompts
    while True:
        draw = sampler.draw(asked)
        fine = gate.wanted(draw.indices, batch)
        for index, role, wanted in zip(
            draw.indices.tolist(), draw.roles, fine.tolist(), strict=True
        ):
            if index not in seen:
                (found if wanted else unwanted).append((index, role))
        # Only now: a draw with replacement may hold a prompt twice, and means it.
        seen.update(draw.indices.tolist())
        if len(found) >= num_prompts or asked >= sampler.num_prompts:
            break
        asked = min(2 * asked, sampler.num_prompts)
    least = num_prompts if fill_to is None else fill_to
    found += unwanted[: max(0, least - len(found))]
    num = min(num_prompts, len(found))
    return _draw_of(found[: num - num % multiple_of])


def _draw_of(entries: Sequence[tuple[int, Role]]) -> Draw:
    return Draw(
        np.array([index for index, _ in entries], dtype=np.int64),
        tuple(role for _, role in entries),
    )
