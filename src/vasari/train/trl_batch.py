"""Joining rollouts of several generations into a batch, and dropping some from a micro-batch."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import torch
from torch.nn.functional import pad

from vasari.core.errors import ConfigError
from vasari.train.trl_images import COUNT_FIELDS, IMAGES, PIXEL_FIELDS, by_rollout


@dataclass(frozen=True, slots=True)
class Padding:
    """Padding of one batch field (a row per rollout) for joining batches of unequal lengths."""

    prompt: bool = False
    """Whether the field has the prompt's columns, padded on the left."""
    completion: bool = False
    """Whether the field has the completion's columns, padded on the right."""
    fill: float | None = 0.0
    """Value of padded entries; None for the padding token."""
    optional: bool = False
    """Whether TRL leaves the field out where no prompt has an image; it is then all `fill`."""


# Log-probabilities are 0 where the completion is masked, as TRL's are, and ratios of them 1.
ROLLOUT_FIELDS: Mapping[str, Padding] = {
    "prompt_ids": Padding(prompt=True, fill=None),
    "prompt_mask": Padding(prompt=True),
    "completion_ids": Padding(completion=True, fill=None),
    "completion_mask": Padding(completion=True),
    "advantages": Padding(),
    "old_per_token_logps": Padding(completion=True),
    "ref_per_token_logps": Padding(completion=True),
    "mm_token_type_ids": Padding(prompt=True, completion=True, optional=True),
    "token_type_ids": Padding(prompt=True, completion=True, optional=True),
    "tool_mask": Padding(completion=True, fill=1.0),
    "importance_sampling_ratio": Padding(completion=True, fill=1.0),
    "sampling_per_token_logps": Padding(completion=True),
}
"""Fields of TRL's batch with one row per rollout."""

_LOSSES = ("grpo", "dr_grpo", "dapo")
"""Losses that are sums over rollouts with a divisor that is known without them."""


def with_images_by_rollout(output: Mapping[str, Any]) -> dict[str, Any]:
    """Return TRL's batch with its images as one entry a rollout, in the field `images`.

    Raises:
        ConfigError: Nobody can say which image belongs to which rollout.
    """
    images = by_rollout(output)
    told = (*PIXEL_FIELDS, *COUNT_FIELDS)
    batch = {name: value for name, value in output.items() if name not in told}
    return batch if images is None else batch | {IMAGES: images}


def join_rollouts(
    outputs: Sequence[dict[str, Any]], rows: Sequence[int], *, pad_token_id: int
) -> dict[str, Any]:
    """Join chosen rollouts of several generations into one batch.

    Advantages stay as they were computed, within the generation of their group.
    `num_items_in_batch`, the tokens of the batch over all processes, is left out: the caller counts
    them anew.

    Args:
        outputs: What each generation gave, with images by rollout.
        rows: The chosen rollouts, ascending, counted through all outputs one after the other.
        pad_token_id: Pads prompts on the left and completions on the right to the longest of the
            joined outputs.

    Raises:
        ConfigError: The model's batches have a field that cannot be joined.
    """
    parts = _chosen(outputs, rows)
    names = dict.fromkeys(name for part in parts for name in part)
    prompt, completion = (
        max(part[f"{name}_ids"].shape[1] for part in parts) for name in ("prompt", "completion")
    )
    joined: dict[str, Any] = {}
    for name in names:
        values = [part.get(name) for part in parts]
        if name == IMAGES:
            joined[name] = [
                own for part in parts for own in part.get(name, [{}] * len(part["prompt_ids"]))
            ]
            continue
        padding = ROLLOUT_FIELDS[name]
        fill = float(pad_token_id) if padding.fill is None else padding.fill
        if any(value is None for value in values) and not padding.optional:
            raise ConfigError(
                f"TRL gave {name!r} in some generations of a batch only; use grpo.gate: all, which"
                " joins none"
            )
        # One number for a whole rollout, as sequence-level ratios are, has no columns to pad.
        widths = [1 if value is None or value.ndim == 1 else value.shape[1] for value in values]
        grown = [
            _grown(
                value,
                part,
                padding,
                prompt=prompt,
                completion=completion if max(widths) > 1 else 1,
                fill=fill,
            )
            for value, part in zip(values, parts, strict=True)
        ]
        joined[name] = torch.cat(grown)
    return joined


def _chosen(outputs: Sequence[dict[str, Any]], rows: Sequence[int]) -> list[dict[str, Any]]:
    """The chosen rollouts of each generation that has any."""
    parts = []
    start = 0
    for output in outputs:
        size = len(output["completion_ids"])
        own = [row - start for row in rows if start <= row < start + size]
        start += size
        if not own:
            continue
        part = {}
        for name, value in output.items():
            if name == "num_items_in_batch" or value is None:
                continue
            if name in ROLLOUT_FIELDS:
                part[name] = value[own]
            elif name == IMAGES:
                part[name] = [value[row] for row in own]
            else:
                raise ConfigError(
                    f"rollouts of this model cannot be joined over generations: {name!r}; use"
                    " grpo.gate: all"
                )
        parts.append(part)
    return parts


def _grown(
    value: torch.Tensor | None,
    part: dict[str, Any],
    padding: Padding,
    *,
    prompt: int,
    completion: int,
    fill: float,
) -> torch.Tensor:
    own_prompt, own_completion = part["prompt_ids"].shape[1], part["completion_ids"].shape[1]
    if value is None:
        # Only in text: a generation without an image.
        ids = part["prompt_ids"]
        return torch.full((len(ids), prompt + completion), fill, dtype=ids.dtype, device=ids.device)
    left = prompt - own_prompt if padding.prompt else 0
    right = completion - min(own_completion, value.shape[1]) if padding.completion else 0
    return pad(value, (left, right), value=fill) if left or right else value


def why_not_droppable(config: Any) -> str | None:
    """Return why zero-advantage rollouts must stay in the loss (KL aside); None if they need not.

    Args:
        config: A `GRPOConfig`.
    """
    if config.loss_type not in _LOSSES:
        return f"is for the losses {', '.join(_LOSSES)}, and loss_type is {config.loss_type!r}"
    if config.top_entropy_quantile < 1.0:
        return "cannot go with top_entropy_quantile, which ranks all tokens; set one of them off"
    if config.entropy_coef != 0.0 or config.use_adaptive_entropy:
        return "cannot go with an entropy bonus, which is of all rollouts; set one of them off"
    return None


def check_droppable(trainer: Any, option: str) -> None:
    """Raise an error if the loss is no sum over rollouts (KL aside), as `option` needs it to be.

    Raises:
        ConfigError: It has a term that is not, or one of rollouts without advantage.
    """
    reason = why_not_droppable(trainer.args)
    if reason is None and trainer.aux_loss_enabled:
        reason = (
            "cannot go with a router loss, which is of all rollouts; set router_aux_loss_coef to 0"
        )
    if reason is not None:
        raise ConfigError(f"{option} {reason}")


def drop_zero_advantage_rollouts(
    inputs: dict[str, Any], *, at_least: int = 1
) -> tuple[dict[str, Any], float]:
    """Return a micro-batch without its zero-advantage rollouts, and the share of rollouts kept.

    Their loss times the share is the loss of the whole micro-batch when it is a mean over rollouts,
    since the others' terms are zero.

    Args:
        inputs: A micro-batch as TRL's `_compute_loss` takes it, with images by rollout.
        at_least: So many rollouts stay, without advantage if need be; never none, so that every
            process takes part in the backward pass.
    """
    advantages = inputs["advantages"]
    moving = advantages != 0
    num_kept = min(len(advantages), max(1, at_least, int(moving.sum())))
    # Those with an advantage first, and all in their old order: a sum depends on the order of its
    # terms.
    keep = torch.argsort(~moving, stable=True)[:num_kept].sort().values
    if len(keep) == len(advantages):
        return inputs, 1.0
    kept = dict(inputs)
    for name in ROLLOUT_FIELDS:
        if isinstance(inputs.get(name), torch.Tensor):
            kept[name] = inputs[name][keep]
    if IMAGES in inputs:
        kept[IMAGES] = [inputs[IMAGES][row] for row in keep.tolist()]
    return kept, len(keep) / len(advantages)
