"""Groups that slime gave back unfinished, as values that can be saved without pickle."""

from __future__ import annotations

import json
import logging
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

logger = logging.getLogger(__name__)

_OF_THE_POOL = ("prompt", "label", "multimodal_inputs", "multimodal_train_inputs")
"""Fields of a sample that its prompt in the pool has, or that slime computes from it."""
_ABOUT_ITS_PLACE = ("group_index", "index", "metadata")
"""What is kept of a sample that begins anew."""


def saved_group(group: Sequence[Any], index: int) -> dict[str, Any]:
    """Return a group of samples as JSON values and plain arrays.

    Samples that hold what is neither, such as tensors of routed experts, begin anew when they are
    restored.

    Args:
        group: Samples of one prompt.
        index: Its position in the pool.
    """
    return {"prompt": index, "samples": [_saved(sample) for sample in group]}


def restored_group(saved: Mapping[str, Any], samples: Sequence[Any]) -> list[Any]:
    """Return the samples that `saved_group` returned.

    Args:
        saved: From `saved_group`.
        samples: New ones of the same prompt, one for each.
    """
    return [
        type(fresh).from_dict(fresh.to_dict() | {k: _read(v) for k, v in own.items()})
        for own, fresh in zip(saved["samples"], samples, strict=True)
    ]


def _saved(sample: Any) -> dict[str, Any]:
    fields = {k: v for k, v in sample.to_dict().items() if k not in _OF_THE_POOL}
    try:
        return {name: _plain(value) for name, value in fields.items()}
    except (TypeError, ValueError):
        logger.warning(
            "sample %s was begun and cannot be saved as it is; it begins anew when resumed",
            sample.index,
        )
        return {name: fields[name] for name in _ABOUT_ITS_PLACE}


def _plain(value: Any) -> Any:
    """A value as it can be saved: long lists of numbers become arrays."""
    if isinstance(value, list) and value and all(type(one) is int for one in value):
        return np.array(value, dtype=np.int64)
    if isinstance(value, list) and value and all(type(one) is float for one in value):
        return np.array(value, dtype=np.float64)
    return json.loads(json.dumps(value))


def _read(value: Any) -> Any:
    return value.tolist() if isinstance(value, np.ndarray) else value
