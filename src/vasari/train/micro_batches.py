"""Rollouts of like length in one micro-batch, so that little of it is padding."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any

import torch

MicroBatch = dict[str, Any]

MEANS_OF_TOKENS = (
    "kl",
    "entropy",
    "clip_ratio/low_mean",
    "clip_ratio/high_mean",
    "clip_ratio/region_mean",
)
"""Metrics that TRL takes as a mean over the tokens of a micro-batch."""

SHARES = "shares"
"""Field of a sorted micro-batch: its tokens and its rollouts, over those of a mean micro-batch."""


def sorted_by_length(
    micro_batches: Sequence[MicroBatch],
    *,
    per_update: int,
    silent_last: bool,
    total: Callable[[torch.Tensor], torch.Tensor] = torch.clone,
) -> list[MicroBatch]:
    """Return micro-batches of which each update's are sorted by the length of their rollouts.

    The longest come first: what does not fit into memory shows at once. Each update keeps its
    rollouts, so that a loss which is a mean over them stays what it was.

    Args:
        micro_batches: Of one generation, of equal sizes, in the order of the updates.
        per_update: Micro-batches of an update; divides their number.
        silent_last: Sort rollouts without advantage behind all others: they leave the forward pass.
        total: Adds up counts over all processes.
    """
    found: list[MicroBatch] = []
    for start in range(0, len(micro_batches), per_update):
        parts = micro_batches[start : start + per_update]
        order = _order(parts, silent_last=silent_last)
        sizes = [len(part["completion_mask"]) for part in parts]
        whole = {name: _joined([part[name] for part in parts]) for name in parts[0]}
        update = [
            {name: _at(whole[name], places, len(order), part[name]) for name in part}
            for places, part in zip(torch.split(order, sizes), parts, strict=True)
        ]
        found += update
    counts = total(_counts(found, silent_last=silent_last))
    for start in range(0, len(found), per_update):
        own = counts[start : start + per_update]
        # An update of which nothing moves has no mean that another would be measured by.
        mean = own.mean(0).where(own.any(0), torch.ones_like(own[0]))
        shares = own.where(own.any(0), torch.ones_like(own)) / mean
        for part, share in zip(found[start:], shares.tolist(), strict=False):
            part[SHARES] = tuple(share)
    return found


def weight_means(
    metrics: Mapping[str, list[float]],
    since: Mapping[str, int],
    part: MicroBatch,
    *,
    by_rollout: bool,
) -> None:
    """Weight the means that TRL has logged of a micro-batch, so that their mean is the update's.

    TRL takes a mean of micro-batches, each of which is a mean over tokens; those of short rollouts
    would count as much as those of long ones.

    Args:
        metrics: TRL's, changed in place.
        since: How many values of each there were before.
        part: The micro-batch.
        by_rollout: Whether ratios, and so whether they were clipped, are of whole rollouts.
    """
    tokens, rollouts = part.get(SHARES, (1.0, 1.0))
    for name, start in since.items():
        if name not in metrics:  # TRL makes an empty one of what is only looked at
            continue
        share = rollouts if by_rollout and name.startswith("clip_ratio") else tokens
        metrics[name][start:] = [share * value for value in metrics[name][start:]]


def _counts(update: Sequence[MicroBatch], *, silent_last: bool) -> torch.Tensor:
    """[micro-batches, 2] tokens and rollouts of each that go through the model."""
    counts = []
    for part in update:
        mask = part["completion_mask"]
        if part.get("tool_mask") is not None:
            mask = mask * part["tool_mask"]
        lengths = mask.sum(1)
        seen = (part["advantages"] != 0) if silent_last else torch.ones_like(lengths).bool()
        counts.append(torch.stack([lengths[seen].sum(), seen.sum()]))
    return torch.stack(counts).float()


def _order(parts: Sequence[MicroBatch], *, silent_last: bool) -> torch.Tensor:
    lengths = torch.cat([part["completion_mask"].sum(1) for part in parts])
    if silent_last:
        moving = torch.cat([part["advantages"] for part in parts]) != 0
        lengths = lengths + moving * (lengths.max() + 1)
    return lengths.argsort(descending=True, stable=True)


def _joined(values: Sequence[Any]) -> Any:
    first = values[0]
    if isinstance(first, torch.Tensor) and first.ndim:
        return torch.cat(list(values))
    return [own for value in values for own in value] if isinstance(first, list) else first


def _at(value: Any, places: torch.Tensor, num_rows: int, own: Any) -> Any:
    """The rows at these places; what is not of rollouts stays its micro-batch's own."""
    if isinstance(value, torch.Tensor) and value.ndim and len(value) == num_rows:
        return value[places]
    if isinstance(value, list) and len(value) == num_rows:
        return [value[place] for place in places.tolist()]
    return own
