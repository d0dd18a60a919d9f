"""A batch whose prompts get a few rollouts first, and a full group only if these are promising."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import final

from vasari.core.records import Draw, GroupOutcome, Purpose
from vasari.sample import Gate, PromptSampler
from vasari.train.gated_batch import draw_for_gate
from vasari.train.groups import ScoredGroup, ScoredRollout


@dataclass(frozen=True, slots=True)
class Slot:
    """Position in one process's batch, with the index of the rollout group that fills it."""

    group: int
    """Index of the group among all screened groups."""
    commits: bool
    """Whether its prompt gets its remaining rollouts; otherwise its first rollouts only fill the
    position, and do not train."""


@final
class ScreenedBatch:
    """Batch whose prompts get a few rollouts first (screening), and a full group if promising.

    It is kept in the main process. A screening is rollouts as numbers and text, so that a prompt
    may go on in another process than the one that screened it: processes share the promising
    prompts evenly, and none is lost. A prompt is screened once for a batch. When `max_generations`
    are spent, or the pool is, screenings of other prompts fill the places that are left.
    """

    def __init__(
        self,
        gate: Gate,
        *,
        num_prompts: int,
        num_processes: int,
        max_generations: int,
        candidates: float = 1.0,
    ) -> None:
        """Make an empty batch.

        Args:
            gate: Decides which prompts go on.
            num_prompts: Groups of the batch, a multiple of `num_processes`.
            num_processes: Processes that train together.
            max_generations: How often prompts are screened, at most.
            candidates: Prompts screened at once, as a multiple of those that the batch lacks.
        """
        self._gate = gate
        self._num_prompts = num_prompts
        self._num_processes = num_processes
        self._max_generations = max_generations
        self._candidates = candidates
        self._promising: list[bool] = []
        self._screened: set[int] = set()
        self._refused: list[int] = []
        self.num_generations = 0
        """Number of times that prompts were drawn and screened for this batch."""
        self.groups: list[ScoredGroup] = []
        """All groups, in the order in which their prompts were drawn: screenings, or whole groups
        once completed."""

    def draw(self, sampler: PromptSampler, *, batch: int) -> Draw:
        """Draw the next prompts to screen (roll out a few times); empty once screening is over.

        Every process gets equally many. Where the pool has too few that the gate wants for a batch,
        others are screened too.
        """
        lacking = self._num_prompts - sum(self._promising)
        if lacking <= 0 or self.num_generations >= self._max_generations:
            return draw_for_gate(sampler, self._gate, 0, batch=batch)
        num = math.ceil(self._candidates * lacking - 1e-9)
        drawn = draw_for_gate(
            sampler,
            self._gate,
            min(-(-num // self._num_processes) * self._num_processes, sampler.num_prompts),
            batch=batch,
            excluded=self._screened,
            fill_to=0 if self.groups else self._num_prompts,
            multiple_of=self._num_processes,
        )
        self._screened.update(drawn.indices.tolist())
        return drawn

    def offer(
        self, groups: Sequence[ScoredGroup], outcomes: Sequence[GroupOutcome]
    ) -> list[GroupOutcome]:
        """Ask the gate which screened prompts get more rollouts; return the other groups.

        Args:
            groups: The screenings, in the order of the draw.
            outcomes: The same groups, as gates and samplers see them.

        Returns:
            The groups for the sampler to observe: those of prompts that do not go on.
        """
        more = self._gate.admit(outcomes).more > 0
        self.num_generations += 1
        self.groups += groups
        self._promising += more.tolist()
        return [group for group, goes_on in zip(outcomes, more, strict=True) if not goes_on]

    def slots(self) -> list[list[Slot]]:
        """Return each process's batch: groups to roll out in full, then groups as mere filling."""
        going_on = self.committed()
        others = sorted(
            set(range(len(self.groups))) - set(going_on),
            key=lambda group: (self._promising[group], group),
        )
        filling = sorted(others[: self._num_prompts - len(going_on)])
        slots: list[list[Slot]] = []
        for process in range(self._num_processes):
            own = [Slot(group, commits=True) for group in self._share(going_on, process)]
            slots.append(
                own + [Slot(group, commits=False) for group in self._share(filling, process)]
            )
        return slots

    def complete(
        self, rollouts: Sequence[Sequence[ScoredRollout]], outcomes: Sequence[GroupOutcome]
    ) -> None:
        """Store groups that now have all their rollouts, and ask the gate which groups train."""
        admitted = self._gate.admit(outcomes).admitted
        for group, own, trains in zip(self.committed(), rollouts, admitted.tolist(), strict=True):
            self.groups[group] = replace(self.groups[group], rollouts=own)
            if not trains:
                self._refused.append(group)

    def silent(self) -> list[list[int]]:
        """Return, for each process, the batch positions of groups that do not train.

        These have only screening rollouts, or the gate refused them.
        """
        return [
            [
                place
                for place, slot in enumerate(slots)
                if not slot.commits or slot.group in self._refused
            ]
            for slots in self.slots()
        ]

    def surplus(self) -> list[int]:
        """Indices of groups that passed screening but are not rolled out in full in this batch.

        Only the sampler learns from them.
        """
        going_on = set(self.committed())
        return [
            group
            for group, promising in enumerate(self._promising)
            if promising and group not in going_on
        ]

    def spent(self) -> list[ScoredGroup]:
        """Return all groups of this batch, each marked as `train`, `screen` or `discarded`."""
        purposes: list[Purpose] = ["train"] * len(self.groups)
        for place in self.screened_only():
            purposes[place] = "screen"
        for place in self.discarded():
            purposes[place] = "discarded"
        return [replace(own, purpose=p) for own, p in zip(self.groups, purposes, strict=True)]

    def screened_only(self) -> list[int]:
        """Indices of groups that have only their first few (screening) rollouts."""
        going_on = set(self.committed())
        return [group for group in range(len(self.groups)) if group not in going_on]

    def discarded(self) -> list[int]:
        """Indices of completed groups that the gate refused, so that they do not train."""
        return sorted(self._refused)

    def committed(self) -> list[int]:
        """Indices of the groups to roll out in full: the first that passed screening.

        Every process gets equally many.
        """
        promising = [group for group, goes_on in enumerate(self._promising) if goes_on][
            : self._num_prompts
        ]
        return promising[: len(promising) - len(promising) % self._num_processes]

    def _share(self, groups: Sequence[int], process: int) -> Sequence[int]:
        size = len(groups) // self._num_processes
        return groups[process * size : (process + 1) * size]
