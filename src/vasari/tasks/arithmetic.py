"""Short sums without a picture: part of what a base model knows before it reasons."""

from __future__ import annotations

import numpy as np


def arithmetic_facts(rng: np.random.Generator, count: int) -> list[tuple[str, str]]:
    """Questions such as "7+5" with their answers: sums to 99, differences from 0, in the wording of worked reasoning."""
    facts = []
    for _ in range(count):
        kind = rng.random()
        if kind < 0.55:
            left, right = (int(n) for n in rng.integers(0, 10, size=2))
        elif kind < 0.85:
            left, right = int(rng.integers(0, 31)), int(rng.integers(0, 31))
        else:  # minutes of a clock
            left, right = 5 * int(rng.integers(0, 20)), 5 * int(rng.integers(0, 13))
        if rng.random() < 0.5:
            facts.append((f"{left}+{right}", str(left + right)))
        else:
            high, low = max(left, right), min(left, right)
            facts.append((f"{high}-{low}", str(high - low)))
    return facts
