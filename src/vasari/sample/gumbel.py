"""Draws without replacement in proportion to weights that are given as logarithms."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray


def gumbel_top(
    rng: np.random.Generator, log_weights: NDArray[np.float64], num: int
) -> NDArray[np.int64]:
    """`num` different places, one after the other in proportion to `exp(log_weights)` of those
    left; int64, in that order.

    The `num` largest of `log_weights + Gumbel` follow exactly this law (Gumbel top-k,
    arXiv:1903.06059). Logarithms keep weights apart whose exponentials would all be 0. Places of
    weight 0 (-inf) come last, uniformly.

    Args:
        rng: The caller's generator.
        log_weights: [places], finite or -inf.
        num: How many, at most the number of places.
    """
    running = np.flatnonzero(log_weights > -np.inf)
    keys = log_weights[running] + rng.gumbel(size=len(running))
    if num < len(running):
        first = np.argpartition(-keys, num - 1)[:num]
        running, keys = running[first], keys[first]
    chosen = running[np.argsort(-keys, kind="stable")]
    if len(chosen) < num:
        others = np.flatnonzero(log_weights == -np.inf)
        chosen = np.concatenate([chosen, rng.choice(others, size=num - len(chosen), replace=False)])
    return chosen.astype(np.int64)
