"""Rollouts of like length in one micro-batch, so that little of it is padding."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import torch

MicroBatch = dict[str, Any]


def sorted_by_length(
    micro_batches: Sequence[MicroBatch], *, per_update: int, silent_last: bool
) -> list[MicroBatch]:
    """Return micro-batches of which each update's are sorted by the length of their rollouts.

    The longest come first: what does not fit into memory shows at once. Each update keeps its
    rollouts, so that a loss which is a mean over them stays what it was.

    Args:
        micro_batches: Of one generation, of equal sizes, in the order of the updates.
        per_update: Micro-batches of an update; divides their number.
        silent_last: Sort rollouts without advantage behind all others: they leave the forward pass.
    """
    found: list[MicroBatch] = []
    for start in range(0, len(micro_batches), per_update):
        parts = micro_batches[start : start + per_update]
        order = _order(parts, silent_last=silent_last)
        sizes = [len(part["completion_mask"]) for part in parts]
        whole = {name: _joined([part[name] for part in parts]) for name in parts[0]}
        for places, part in zip(torch.split(order, sizes), parts, strict=True):
            found.append(
                {name: _at(whole[name], places, len(order), part[name]) for name in parts[0]}
            )
    return found


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
