"""GRPO under a gate of two stages: prompts get a few rollouts, and the rest of their group where these promise variance.

The screenings of a batch are generated alone. Then TRL is given the batch once, in whole groups, and where it asks for
rollouts it gets those of the screening beside new ones: log-probabilities, rewards and advantages are TRL's own, of whole
groups under one policy (docs/decisions/gates-in-training.md).
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from itertools import islice
from typing import Any

from accelerate.utils import gather_object
from trl import prepare_multimodal_messages

from vasari.records import Draw
from vasari.sample import TwoStageGate
from vasari.train.books import ScoredRollout, outcome
from vasari.train.gated_batch import ScoredGroup
from vasari.train.grpo import VarianceAwareTrainer, prompt_scores
from vasari.train.screened_batch import ScreenedBatch, Slot


@dataclass(frozen=True, slots=True)
class Pilot:
    """One rollout of a screening."""

    rollout: ScoredRollout
    logprobs: Sequence[float] | None
    """Of its tokens under the policy that sampled, where the backend says them (vLLM)."""


class TwoStageTrainer(VarianceAwareTrainer):
    """A `VarianceAwareTrainer` that screens prompts, and gives whole groups to those that its `TwoStageGate` lets go on."""

    gate: TwoStageGate
    num_generations: int

    def __init__(self, *, gate: TwoStageGate, candidates: float = 1.0, **rest: Any) -> None:
        """As `VarianceAwareTrainer`; `candidates` as in `ScreeningSettings`."""
        self._candidates = candidates
        self._known: list[Pilot | None] | None = None
        super().__init__(gate=gate, **rest)

    def _rolled_out_batch(self, num_rows: int) -> dict[str, Any]:
        world, rank = self.accelerator.num_processes, self.accelerator.process_index
        batch = ScreenedBatch(
            self.gate,
            num_prompts=num_rows * world // self.num_generations,
            num_processes=world,
            max_generations=self._max_generations,
            candidates=self._candidates,
        )
        screenings: list[list[Pilot]] = []
        while len(draw := self._from_main(lambda: batch.draw(self.prompt_sampler, step=self.batch))):
            screened = self._screen(draw)
            screenings += screened
            if self.accelerator.is_main_process:
                self._offer(screened, draw, batch)
        slots: list[list[Slot]] = self._from_main(batch.slots)
        output = self._complete([(screenings[slot.group], slot.commits) for slot in slots[rank]])
        everyone = iter(self._everyones_rollouts(output))
        groups = [(slot, list(islice(everyone, self.num_generations))) for process in slots for slot in process]
        if self.accelerator.is_main_process:
            self._conclude(batch, [rollouts for slot, rollouts in groups if slot.commits])
        return output

    # The first stage.

    def _screen(self, draw: Draw) -> list[list[Pilot]]:
        """The screenings of the drawn prompts, of all processes, in the order of the draw; in every process."""
        size = self.gate.settings.num_screening
        rows = self._own_rows(draw, size)
        # As TRL does: it takes images in the messages, where any prompt has some.
        with_images = any(row["images"] for row in rows)
        prompts = [
            prepare_multimodal_messages(row["prompt"], images=row["images"]) if with_images else row["prompt"] for row in rows
        ]
        with self._group_size(size):
            _, completion_ids, _, completions, logprobs, *_ = super()._generate(prompts)
        scored = self._score_rows(rows, completions, completion_ids)
        own = [Pilot(rollout, None if logprobs is None else logprobs[row]) for row, rollout in enumerate(scored)]
        everyone: list[Pilot] = gather_object(own)
        return [everyone[start : start + size] for start in range(0, len(everyone), size)]

    def _offer(self, screened: Sequence[Sequence[Pilot]], draw: Draw, batch: ScreenedBatch) -> None:
        """Ask the gate, and let the sampler observe what it refused."""
        scores = prompt_scores(self.prompt_sampler, draw.indices)
        groups = [
            ScoredGroup([pilot.rollout for pilot in pilots], role, score)
            for pilots, role, score in zip(screened, draw.roles, scores, strict=True)
        ]
        outcomes = [outcome(group.rollouts, purpose="screen", batch=self.batch) for group in groups]
        self.prompt_sampler.observe(batch.offer(groups, outcomes))

    # The second stage: TRL's batch, with rollouts that are known already.

    def _complete(self, screenings: Sequence[tuple[Sequence[Pilot], bool]]) -> dict[str, Any]:
        """TRL's batch of whole groups of these prompts; those that do not go on repeat their screening without advantage."""
        size = self.num_generations
        known: list[Pilot | None] = []
        for pilots, commits in screenings:
            repeated = [pilots[place % len(pilots)] for place in range(size)]
            known += [*pilots, *[None] * (size - len(pilots))] if commits else repeated
        rows = self._rows([pilots[0].rollout.index for pilots, _ in screenings for _ in range(size)])
        self._known = known
        try:
            output = self._trl_batch(rows)
        finally:
            self._known = None
        for place, (_, commits) in enumerate(screenings):
            if not commits:
                output["advantages"][place * size : (place + 1) * size] = 0.0
        return output

    def _generate(self, prompts: list[Any]) -> Any:
        """As TRL's, but only rollouts that are not known already are generated."""
        if self._known is None:
            return super()._generate(prompts)
        size, known = self.num_generations, self._known
        new = [row for row, pilot in enumerate(known) if pilot is None]
        # All processes have something to generate or none has: TRL gathers what it counts.
        generated: tuple[Any, ...] = ([], [], None, [], None)
        if new:
            with self._group_size(size - self.gate.settings.num_screening):
                generated = super()._generate([prompts[row] for row in new])
        _, new_ids, _, new_completions, new_logprobs, *_ = generated
        # Prompts are read once more, each once: TRL gave those of the new rollouts only.
        ids, images, _ = self._tokenize_prompts(prompts[::size])
        place = {row: position for position, row in enumerate(new)}
        has_logprobs = new_logprobs is not None or any(pilot is not None and pilot.logprobs is not None for pilot in known)
        return (
            [own for own in ids for _ in range(size)],
            [new_ids[place[row]] if pilot is None else list(pilot.rollout.token_ids) for row, pilot in enumerate(known)],
            None,
            [
                new_completions[place[row]] if pilot is None else [{"role": "assistant", "content": pilot.rollout.text}]
                for row, pilot in enumerate(known)
            ],
            [new_logprobs[place[row]] if pilot is None else pilot.logprobs for row, pilot in enumerate(known)]
            if has_logprobs
            else None,
            {},
            images if images is None else [own for own in images for _ in range(size)],
            [],
        )

    def _score_rows(self, rows: Any, completions: Any, completion_ids: Any) -> list[ScoredRollout]:
        """The rollouts of these rows, verified once: a verdict that fell in the screening stands."""
        known = self._known or [None] * len(rows)
        new = [row for row, pilot in enumerate(known) if pilot is None]
        parts = ([values[row] for row in new] for values in (rows, completions, completion_ids))
        scored = iter(super()._score_rows(*parts))
        return [next(scored) if pilot is None else pilot.rollout for pilot in known]

    @contextmanager
    def _group_size(self, num_rollouts: int) -> Iterator[None]:
        """Let TRL's generation know how many rollouts of a prompt follow each other: vLLM takes such a prompt once."""
        whole = self.num_generations
        self.num_generations = num_rollouts
        try:
            yield
        finally:
            self.num_generations = whole

    def _conclude(self, batch: ScreenedBatch, rollouts: Sequence[Sequence[ScoredRollout]]) -> None:
        """Let the sampler observe whole groups and what has no place, ask the gate for the last time, and book the batch."""
        whole = [outcome(own, purpose="train", batch=self.batch) for own in rollouts]
        surplus = [outcome(batch.groups[group].rollouts, purpose="screen", batch=self.batch) for group in batch.surplus()]
        self.prompt_sampler.observe([*whole, *surplus])
        batch.complete(rollouts, whole)
        self._book(batch.groups, discarded=batch.discarded(), screened_only=batch.screened_only(), num_generations=batch.num_generations)
