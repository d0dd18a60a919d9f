"""Spare the forward and backward pass of rollouts that cannot move the weights."""

from __future__ import annotations

from typing import Any

import torch

from vasari.core.errors import ConfigError
from vasari.train.join import ROLLOUT_FIELDS

_LOSSES = ("grpo", "dr_grpo", "dapo")
"""Losses that are sums over rollouts with a divisor that is known without them."""


def why_not_droppable(config: Any) -> str | None:
    """Why a loss needs rollouts without advantage, apart from a KL term; None where it does not.

    Args:
        config: A `GRPOConfig`.
    """
    if config.loss_type not in _LOSSES:
        return f"is for the losses {', '.join(_LOSSES)}, and loss_type is {config.loss_type!r}"
    if config.top_entropy_quantile < 1.0:
        return "leaves out rollouts whose tokens top_entropy_quantile ranks; set one of them off"
    if config.entropy_coef != 0.0 or config.use_adaptive_entropy:
        return "leaves out rollouts that an entropy bonus needs; set one of them off"
    return None


def check_droppable(trainer: Any) -> None:
    """Raise if leaving out rollouts without advantage would change what a trainer learns.

    Raises:
        ConfigError: Its loss has a term of them that is not KL.
    """
    reason = why_not_droppable(trainer.args)
    if reason is None and trainer.aux_loss_enabled:
        reason = "leaves out rollouts that a router loss needs; set router_aux_loss_coef to 0"
    if reason is not None:
        raise ConfigError(f"drop_zero_advantage {reason}")


def drop_zero_advantage_rollouts(
    inputs: dict[str, Any], *, at_least: int = 1
) -> tuple[dict[str, Any], float]:
    """The rollouts of a micro-batch whose advantage is not zero, and the share of the micro-batch
    that they are.

    Their loss times the share is the loss of the whole micro-batch when it is a mean over rollouts,
    since the others' terms are zero. A batch whose images cannot be told apart by rollout stays
    whole.

    Args:
        inputs: A micro-batch as TRL's `_compute_loss` takes it.
        at_least: So many rollouts stay, without advantage if need be; never none, so that every
            process takes part in the backward pass.
    """
    advantages = inputs["advantages"]
    moving = advantages != 0
    num_kept = min(len(advantages), max(1, at_least, int(moving.sum())))
    # Those with an advantage first, and all in their old order: a sum depends on the order of its
    # terms.
    keep = torch.argsort(~moving, stable=True)[:num_kept].sort().values
    images = inputs.get("pixel_values") is not None
    if len(keep) == len(advantages) or (images and inputs.get("image_grid_thw") is None):
        return inputs, 1.0
    kept = dict(inputs)
    for name in ROLLOUT_FIELDS:
        if isinstance(inputs.get(name), torch.Tensor):
            kept[name] = inputs[name][keep]
    if inputs.get("num_images") is not None:
        kept |= _images_of(inputs, keep.tolist())
    return kept, len(keep) / len(advantages)


def _images_of(inputs: dict[str, Any], keep: list[int]) -> dict[str, Any]:
    counts = list(inputs["num_images"])
    if inputs.get("image_grid_thw") is None:
        return {"num_images": [counts[row] for row in keep]}
    first = [sum(counts[:row]) for row in range(len(counts))]
    images = [image for row in keep for image in range(first[row], first[row] + counts[row])]
    grid = inputs["image_grid_thw"]
    if not images:
        return {"pixel_values": None, "image_grid_thw": None, "num_images": None}
    patches = torch.split(inputs["pixel_values"], grid.prod(-1).tolist())
    return {
        "pixel_values": torch.cat([patches[i] for i in images]),
        "image_grid_thw": grid[images],
        "num_images": [counts[row] for row in keep],
    }
