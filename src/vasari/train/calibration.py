"""Throughput of one machine, measured by a few real steps of GRPO that leave nothing behind."""

from __future__ import annotations

import math
import tempfile
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import torch
from transformers import TrainerCallback

from vasari.core.errors import ConfigError
from vasari.core.records import Outcome, Prompt, Verdict
from vasari.sample import make_sampler
from vasari.train.group_file import read_groups
from vasari.train.run_grpo import GrpoTraining
from vasari.train.settings import GrpoSettings, RewardChoice

_UPDATES = 2
"""Updates on one batch."""
_BATCHES = 2
"""The first warms up, the second is measured."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Calibration:
    """What a few steps of GRPO took on one device."""

    rollouts: int
    """Rollouts that were generated at once; larger batches generate faster."""
    completion: float
    """Tokens of a rollout on average, those that were cut included."""
    truncated: float
    """Share of the rollouts that reached the limit of tokens."""
    generated: float
    """Tokens generated a second."""
    updated: float
    """Tokens a second, prompts included, through forward and backward passes."""
    peak_bytes: int | None
    """Most bytes of the GPU's memory that PyTorch used; None on a CPU."""
    seconds: float
    """Time that it took, loading included."""


def calibrate(training: GrpoTraining, *, prompt_tokens: float) -> Calibration:
    """Measure the throughput of a training's model by a few steps, on one process.

    Prompts, model, limits and micro-batch are the training's; its batch is as small as it can be,
    nothing is divided over devices, and verdicts alternate, so that every group has a gradient.

    Args:
        training: What would be trained; its folder is not used.
        prompt_tokens: Tokens of a prompt on average.

    Raises:
        ConfigError: There are fewer prompts than the smallest batch has, or the GPU's memory is too
            small.
    """
    started = time.monotonic()
    settings = _small(training.settings)
    prompts = training.prompts[: settings.prompts_per_batch]
    if len(prompts) < settings.prompts_per_batch:
        raise ConfigError(
            f"a calibration needs {settings.prompts_per_batch} prompts, and {len(prompts)} are at"
            " hand; lower micro_batch"
        )
    if torch.cuda.is_available():
        torch.cuda.reset_peak_memory_stats()
    with tempfile.TemporaryDirectory() as folder:
        small = replace(
            training,
            settings=settings,
            prompts=prompts,
            sampler=make_sampler("uniform", num_prompts=len(prompts), seed=0),
            out=Path(folder),
            verify=_alternating(),
        )
        try:
            clock = _run(small)
        except torch.OutOfMemoryError as error:
            raise ConfigError(
                "the calibration ran out of GPU memory; what to change is in docs/scale.md"
            ) from error
        table = read_groups(Path(folder) / "groups", ["batch", "num_tokens", "truncated"])
        rows = [row for row in table.to_pylist() if row["batch"] == _BATCHES - 1]
    lengths = [length for row in rows for length in row["num_tokens"]]
    tokens = sum(lengths)
    cut = [is_cut for row in rows for is_cut in row["truncated"]]
    return Calibration(
        rollouts=len(lengths),
        completion=tokens / len(lengths),
        truncated=sum(cut) / len(cut),
        generated=tokens / clock.generating,
        updated=(tokens + prompt_tokens * len(lengths)) / clock.updating,
        peak_bytes=torch.cuda.max_memory_allocated() if torch.cuda.is_available() else None,
        seconds=time.monotonic() - started,
    )


def _small(settings: GrpoSettings) -> GrpoSettings:
    """The settings of a training of the smallest batches that have two updates of a micro-batch."""
    size = settings.rollouts_per_prompt
    per_batch = _UPDATES * settings.micro_batch
    prompts = per_batch // math.gcd(size, per_batch)
    steps = _BATCHES * _UPDATES
    return settings.model_copy(
        update={
            "prompts_per_batch": prompts,
            "updates_per_batch": _UPDATES,
            # More than are made: TRL saves the model after the last step.
            "steps": steps + _UPDATES,
            "save_every": steps + 2 * _UPDATES,
            "max_rollouts": None,
            "max_minutes": None,
            "gate": type(settings.gate)(name="all"),
            "rewards": (RewardChoice(name="accuracy"),),
            "trl": settings.trl.model_copy(
                update={"deepspeed": None, "fsdp": None, "report_to": []}
            ),
        }
    )


def _alternating() -> Callable[[Prompt, str], Verdict]:
    """A verdict on rollouts that is right and wrong in turns."""
    seen = 0

    def verify(_prompt: Prompt, _text: str) -> Verdict:
        nonlocal seen
        seen += 1
        return Verdict(outcome=Outcome.CORRECT if seen % 2 else Outcome.INCORRECT)

    return verify


class _Clock(TrainerCallback):  # type: ignore[misc]
    """Trainer callback that measures the steps of the last batch, and ends the training."""

    def __init__(self) -> None:
        self.generating = 0.0
        self.updating = 0.0
        self._begun = 0.0
        self._generated = 0.0

    def timed(self, next_batch: Callable[[int], Mapping[str, float]]) -> Any:
        """Return the loop's `next_batch`, with its time measured."""

        def make(num_prompts: int) -> Mapping[str, float]:
            begun = time.monotonic()
            metrics = next_batch(num_prompts)
            self._generated = time.monotonic() - begun
            return metrics

        return make

    def on_step_begin(self, args: Any, state: Any, control: Any, **_: Any) -> None:
        """Start measuring a step."""
        self._begun, self._generated = time.monotonic(), 0.0

    def on_step_end(self, args: Any, state: Any, control: Any, **_: Any) -> None:
        """Add a step of the last batch; the training stops behind it."""
        if state.global_step > (_BATCHES - 1) * _UPDATES:
            self.generating += self._generated
            self.updating += time.monotonic() - self._begun - self._generated
        if state.global_step >= _BATCHES * _UPDATES:
            control.should_training_stop = True


def _run(training: GrpoTraining) -> _Clock:
    """Train two batches; return what the second took."""
    trainer = training.make_trainer()
    clock = _Clock()
    trainer.loop.next_batch = clock.timed(trainer.loop.next_batch)  # type: ignore[method-assign]
    trainer.add_callback(clock)
    trainer.train()
    return clock
