"""A batch filled with the groups that a gate (rule that decides which groups train) admits."""

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
    """Batch filled with the groups that a gate (rule that decides which groups train) admits.

    It is kept in the main process. A process trains on groups that it rolled out itself, so that no
    tensor travels. Each has the same number of slots, and all roll out the same number of further
    prompts, as many as the process lacks that lacks most: on one process that is the number of
    refused groups, on several some admitted groups are more than their process has slots for, and
    are dropped. When `max_generations` are spent, refused groups fill the slots that are left, so
    that the batch keeps its size; their advantages are zero.
    """

    def __init__(
        self, gate: Gate, *, num_prompts: int, num_processes: int, max_generations: int
    ) -> None:
        self._gate = gate
        self._slots = -(-num_prompts // num_processes)
        self._max_generations = max_generations
        self._lacking = num_prompts
        self._admitted: list[bool] = []
        self._of_process: list[list[int]] = [[] for _ in range(num_processes)]
        """For each process the groups that it rolled out, as places in `groups`."""
        self.num_generations = 0
        """Number of times that prompts were drawn and rolled out for this batch."""
        self.groups: list[ScoredGroup] = []
        """All groups that the gate has seen, in their order."""

    def draw(self, sampler: PromptSampler, *, batch: int) -> Draw:
        """Draw the next prompts to roll out for this batch; none once the batch is complete."""
        return draw_for_gate(sampler, self._gate, self._lacking, batch=batch)

    def offer(
        self, groups: Sequence[ScoredGroup], outcomes: Sequence[GroupOutcome]
    ) -> Sequence[GroupOutcome]:
        """Ask the gate which newly rolled-out groups train; return them all for the sampler.

        Args:
            groups: In the order of the processes that rolled them out.
            outcomes: The same groups, as gates and samplers see them.

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
        num = len(outcomes)
        if len(admission.admitted) != num:
            raise ConfigError(f"{name} decided on {len(admission.admitted)} of {num} groups")
        num_processes = len(self._of_process)
        for place in range(num):
            self._of_process[place * num_processes // num].append(len(self.groups) + place)
        self.num_generations += 1
        self.groups += groups
        self._admitted += admission.admitted.tolist()
        lacking = self._slots - min(len(self._admitted_of(own)) for own in self._of_process)
        done = self.num_generations >= self._max_generations
        self._lacking = 0 if done else num_processes * min(max(0, lacking), admission.redraw)
        return outcomes

    def filled(self) -> list[list[int]]:
        """Return, for each process, which of the groups that it rolled out form its batch.

        Admitted groups come before refused ones, earlier before later ones.
        """
        filled = []
        for own in self._of_process:
            refused = [not self._admitted[place] for place in own]
            filled.append(sorted(np.argsort(refused, kind="stable")[: self._slots].tolist()))
        return filled

    def silent(self) -> list[list[int]]:
        """Return, for each process, the batch positions of groups that must not train."""
        return [
            [place for place, n in enumerate(filled) if not self._admitted[own[n]]]
            for filled, own in zip(self.filled(), self._of_process, strict=True)
        ]

    def spent(self) -> list[ScoredGroup]:
        """Return all groups rolled out for this batch, each marked as `train` or `discarded`."""
        discarded = set(self.discarded())
        return [
            replace(group, purpose="discarded") if place in discarded else group
            for place, group in enumerate(self.groups)
        ]

    def discarded(self) -> list[int]:
        """Indices of groups that do not train: refused by the gate, or beyond the batch size."""
        train = {p for own in self._of_process for p in self._admitted_of(own)[: self._slots]}
        return [place for place in range(len(self.groups)) if place not in train]

    def _admitted_of(self, places: Sequence[int]) -> list[int]:
        return [place for place in places if self._admitted[place]]


def check_sizes(gate: Gate, *, num_prompts: int, num_rollouts: int, num_processes: int) -> None:
    """Raise an error if a gate (picks groups to train) does not fit group size or processes.

    Raises:
        ConfigError: The gate makes groups of another size than the training, or draws again while
            the prompts of a batch do not divide over the processes.
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


def draw_for_gate(
    sampler: PromptSampler,
    gate: Gate,
    num_prompts: int,
    *,
    batch: int,
    excluded: Collection[int] = (),
    fill_to: int | None = None,
    multiple_of: int = 1,
) -> Draw:
    """Draw up to `num_prompts` prompts from the sampler, without those the gate holds back now.

    Prompts that are excluded or not wanted are left out and others drawn in their place, by ever
    larger draws: a sampler that ranks would name the same ones again.

    Args:
        sampler: Draws the prompts.
        gate: Its `wanted` says which.
        num_prompts: How many; may be 0.
        batch: The present batch, by which a gate defers.
        excluded: Prompts not to draw.
        fill_to: Take prompts that the gate does not want where there are fewer others than this;
            None: than `num_prompts`.
        multiple_of: The number of prompts is cut to a multiple of this.
    """
    found: list[tuple[int, Role]] = []
    unwanted: list[tuple[int, Role]] = []
    seen, num_drawn = set(excluded), num_prompts
    while num_prompts > 0:
        draw = sampler.draw(num_drawn)
        wanted = gate.wanted(draw.indices, batch).tolist()
        for index, role, is_wanted in zip(draw.indices.tolist(), draw.roles, wanted, strict=True):
            if index not in seen:
                (found if is_wanted else unwanted).append((index, role))
        # Only now: a draw with replacement may hold a prompt twice, and means it.
        seen.update(draw.indices.tolist())
        if len(found) >= num_prompts or num_drawn >= sampler.num_prompts:
            break
        num_drawn = min(2 * num_drawn, sampler.num_prompts)
    least = num_prompts if fill_to is None else fill_to
    found += unwanted[: max(0, least - len(found))]
    num = min(num_prompts, len(found))
    taken = found[: num - num % multiple_of]
    indices = np.array([index for index, _ in taken], dtype=np.int64)
    return Draw(indices, tuple(role for _, role in taken))
