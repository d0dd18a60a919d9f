"""Counts of steps and rollouts of a run by purpose, from a recipe's settings and pool sizes."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass

from vasari.evaluate.settings import EvaluateSettings
from vasari.sample import PromptSampler
from vasari.train.settings import GrpoSettings


@dataclass(frozen=True, slots=True, kw_only=True)
class Count:
    """Number of rollouts, or its range where a gate decides on them during training."""

    least: int
    most: int

    def __add__(self, other: Count) -> Count:
        return Count(least=self.least + other.least, most=self.most + other.most)


@dataclass(frozen=True, slots=True, kw_only=True)
class TrainingRollouts:
    """Steps and rollouts of one GRPO run."""

    steps: int
    """Optimizer updates, fewer than the recipe's where its budget of rollouts ends them."""
    batches: int
    """Batches of rollouts."""
    prompts_drawn: int
    """Prompts drawn for the batches, each as often as it is drawn."""
    rollouts_per_prompt: int
    """Rollouts of a group that trains."""
    train: Count
    """Rollouts of the batches, with those that a gate discards or only screens."""
    refresh: Count | None
    """Rollouts that only re-estimate scores; None where the pool's size is not known."""
    refreshes: tuple[int, ...]
    """Batches before which prompts are scored."""
    rollouts_due: int
    """Rollouts of a prompt in a refresh; 0 without refreshes."""
    refresh_cycle: int
    """Rollouts of the last refresh."""
    validation: Count | None
    """Rollouts on validation prompts; None where their number is not known."""

    @property
    def refresh_ratio(self) -> float:
        """Rollouts of all refreshes, for each rollout of the batches (its most)."""
        assert self.refresh is not None  # noqa: S101  (the caller knows the pool)
        return self.refresh.most / self.train.most


def training_rollouts(
    settings: GrpoSettings,
    sampler: PromptSampler,
    *,
    num_validation: int | None,
    knows_pool: bool = True,
) -> TrainingRollouts:
    """Count the rollouts of a GRPO run by asking its sampler which prompts are due, batch by batch.

    No group is observed, so the count of a sampler whose refreshes depend on what it learnt is an
    estimate; that of ours is exact.

    Args:
        settings: Of the run.
        sampler: A fresh one over the pool; it is used up.
        num_validation: Validation prompts; None: not known.
        knows_pool: False where the pool's size is not known, and with it what a refresh takes.
    """
    batch = _rollouts_of_a_batch(settings)
    budget = math.inf if settings.max_rollouts is None else settings.max_rollouts
    train = refresh = Count(least=0, most=0)
    refreshes: list[int] = []
    cycle = num_batches = 0
    for number in range(settings.steps // settings.updates_per_batch):
        if train.least + refresh.least >= budget:
            break
        due = len(sampler.due(number)) * sampler.num_rollouts_due
        if due:
            refreshes.append(number)
            cycle = due
        refresh += Count(least=due, most=due)
        train += batch
        num_batches += 1
    steps = num_batches * settings.updates_per_batch
    measured = num_validations(settings, steps=steps) * settings.validation_rollouts
    measured *= num_validation or 0
    return TrainingRollouts(
        steps=steps,
        batches=num_batches,
        prompts_drawn=num_batches * settings.prompts_per_batch,
        rollouts_per_prompt=settings.rollouts_per_prompt,
        train=train,
        refresh=refresh if knows_pool or not refreshes else None,
        refreshes=tuple(refreshes),
        rollouts_due=sampler.num_rollouts_due if refreshes else 0,
        refresh_cycle=cycle if knows_pool else 0,
        validation=None if num_validation is None else Count(least=measured, most=measured),
    )


def num_validations(settings: GrpoSettings, *, steps: int) -> int:
    """Return how often validation is measured: at the start, every few steps, and at the end."""
    return 1 + steps // settings.validate_every + (steps % settings.validate_every > 0)


def _rollouts_of_a_batch(settings: GrpoSettings) -> Count:
    """Rollouts made for one batch, least and most."""
    gate, prompts = settings.make_gate(), settings.prompts_per_batch
    whole = prompts * settings.rollouts_per_prompt
    if not gate.redraws:
        return Count(least=whole, most=whole)
    if not gate.num_screening:
        return Count(least=whole, most=whole * settings.max_generations)
    screened = math.ceil(settings.screening.candidates * prompts - 1e-9) * gate.num_screening
    rest = prompts * (settings.rollouts_per_prompt - gate.num_screening)
    return Count(
        least=min(screened + rest, settings.max_generations * screened),
        most=settings.max_generations * screened + rest,
    )


def evaluation_rollouts(
    settings: EvaluateSettings, sets: Mapping[str, tuple[int, int]], *, num_models: int
) -> Count:
    """Count the rollouts of an evaluation of several models.

    Args:
        settings: Of the evaluation.
        sets: Prompts of each test set, and how many of them have images.
        num_models: Models evaluated: the base, the cold start, the best weights.
    """
    total = 0
    for prompts, with_images in sets.values():
        num = min(prompts, settings.limit or prompts)
        shown = num if prompts == 0 else round(num * with_images / prompts)
        for name, decoding in settings.decodings().items():
            total += (shown if name == "blind" else num) * decoding.num_rollouts
    return Count(least=total * num_models, most=total * num_models)
