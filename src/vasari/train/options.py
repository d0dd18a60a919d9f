"""What of a training is seldom changed: how far a gate may go, what is kept, what is spared."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any, Protocol

from vasari.core.errors import ConfigError
from vasari.core.records import PromptIndices
from vasari.train.groups import ScoredGroup, ScoredRollout

Record = Callable[[Sequence[ScoredGroup], int], None]
"""Keeps the groups of a batch, whose number is the second argument, e.g. on disk; called in the
main process."""


class Refresh(Protocol):
    """Rolls out and scores prompts outside the training batch, in one process."""

    def __call__(
        self,
        model: Any,
        processor: Any,
        indices: PromptIndices,
        num_rollouts: int,
        *,
        batch: int,
        process: int,
    ) -> list[list[ScoredRollout]]:
        """So many scored rollouts of each of these prompts, in their order."""
        ...


@dataclass(frozen=True, slots=True, kw_only=True)
class LoopOptions:
    """Options of `VarianceAwareGRPOTrainer` that a script seldom needs."""

    max_generations: int = 4
    """How often prompts are rolled out for one batch, at most, when the gate asks for others;
    refused groups then fill it."""
    candidates: float = 1.0
    """Prompts that a gate with screenings screens at once, as a multiple of those a batch lacks."""
    record: Record | None = None
    """Called in the main process with the groups of every batch and its number, e.g. a `GroupLog`
    that keeps them on disk."""
    refresh: Refresh | None = None
    """Rolls out the prompts that the sampler wants scored; None: TRL's own generation does."""
    essential: tuple[str, ...] = ()
    """Reward functions whose None takes a rollout out of its group's baseline, whatever the others
    say."""
    drop_zero_advantage: bool = False
    """Leave rollouts without advantage out of the forward and backward pass, where there is no KL
    term. The loss stays; entropy and clip ratios are then those of the rollouts that remain."""
    encode_images_once: bool = False
    """Let Qwen2.5-VL encode an image once for all rollouts of its prompt in a forward pass."""

    def __post_init__(self) -> None:
        if self.max_generations < 1:
            raise ConfigError(f"max_generations must be at least 1, got {self.max_generations}")
        if self.candidates < 1:
            raise ConfigError(f"candidates must be at least 1, got {self.candidates}")
