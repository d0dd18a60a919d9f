"""Generated tokens, disk and hours of a run, from its counts and from stated throughputs."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

from vasari.run.plan.division import Division, Weights
from vasari.run.plan.rollouts import Count, TrainingRollouts

_BYTES_PER_TOKEN = 2
"""Bytes of a stored rollout for each of its tokens, an assumption: four letters, compressed."""
_BYTES_PER_ROLLOUT = 200
"""Bytes of a stored rollout beside its text: an assumption."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Throughput:
    """Tokens a second of one GPU, stated by the user or measured in a calibration."""

    generated: float | None = None
    """Tokens generated a second."""
    updated: float | None = None
    """Tokens a second, prompts included, through forward and backward passes of updates."""
    completion: float | None = None
    """Tokens of a rollout on average; None: as many as it may have."""
    measured: bool = False
    """Whether a calibration measured it."""


def generated_tokens(
    rollouts: Mapping[str, Count], longest: Mapping[str, int], throughput: Throughput
) -> dict[str, float]:
    """Return the tokens to generate by purpose, at most, or as stated or measured for a rollout.

    Args:
        rollouts: By purpose.
        longest: Most tokens of a rollout, by purpose.
        throughput: Has the tokens of a rollout on average.
    """
    return {
        purpose: count.most * min(longest[purpose], throughput.completion or longest[purpose])
        for purpose, count in rollouts.items()
    }


def hours(
    tokens: Mapping[str, float],
    updated: Mapping[str, float],
    throughput: Throughput,
    *,
    num_gpus: int,
) -> dict[str, float]:
    """Return the hours by purpose at the throughputs that are known; others are left out.

    Args:
        tokens: Tokens to generate, by purpose; `evaluation` runs on one GPU, the others on all.
        updated: Tokens of training sequences, by what trains on them.
        throughput: Of one GPU.
        num_gpus: GPUs.
    """
    found = {}
    if throughput.generated is not None:
        for purpose, number in tokens.items():
            gpus = 1 if purpose == "evaluation" else num_gpus
            found[purpose] = number / throughput.generated / gpus / 3600
    if throughput.updated is not None:
        for purpose, number in updated.items():
            found[purpose] = number / throughput.updated / num_gpus / 3600
    return found


def updated_tokens(
    training: TrainingRollouts, *, prompt: float, completion: float
) -> dict[str, float]:
    """Return the tokens of the sequences that GRPO's updates compute, prompts included.

    A batch is computed once for each rollout in it, whatever the number of updates it is split
    into.
    """
    batch_rollouts = training.prompts_drawn * training.rollouts_per_prompt
    return {"updates": batch_rollouts * (prompt + completion)}


def model_bytes(weights: Weights, division: Division) -> float:
    """Return the bytes of a saved model: float32, or bfloat16 where DeepSpeed or LoRA has it."""
    if division.engine == "deepspeed" and weights.bf16:
        return 2.0 * weights.total
    return weights.frozen_bytes * weights.frozen + 4.0 * weights.trained


def checkpoint_bytes(weights: Weights, division: Division, *, adapters: bool) -> float:
    """Return the bytes of one checkpoint: weights and optimizer states.

    Args:
        weights: That are trained.
        division: DeepSpeed's optimizer states have float32 weights among them.
        adapters: Whether adapters alone are in it.
    """
    own = 4.0 * weights.trained if adapters else model_bytes(weights, division)
    master = 4 if division.engine == "deepspeed" and weights.bf16 else 0
    return own + (weights.optimizer_bytes + master) * weights.trained


def group_bytes(rollouts: Count, tokens: float) -> float:
    """Return the bytes of stored groups of rollouts, with so many tokens in all."""
    return _BYTES_PER_TOKEN * tokens + _BYTES_PER_ROLLOUT * rollouts.most
