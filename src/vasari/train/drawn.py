"""What a run drew from: how many different prompts, how evenly, and how long their rollouts are."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

from vasari.core.errors import StateError
from vasari.core.records import GroupOutcome


class DrawnPrompts:
    """Counts of how often each prompt was drawn to train, for a run's log, with any sampler."""

    def __init__(self) -> None:
        self._counts: dict[int, int] = {}
        self._last = {"mean_tokens": 0.0, "first_time_share": 0.0}

    def count(self, groups: Sequence[GroupOutcome]) -> None:
        """Count the groups of one draw, each once, before any of them is refused."""
        if not groups:
            return
        new = {group.index for group in groups} - self._counts.keys()
        for group in groups:
            self._counts[group.index] = self._counts.get(group.index, 0) + 1
        lengths = [group.num_tokens / group.num_rollouts for group in groups]
        self._last = {
            "mean_tokens": float(np.mean(lengths)),
            "first_time_share": len(new) / len(groups),
        }

    def metrics(self) -> dict[str, float]:
        """Return log metrics, `drawn/...`.

        `different_prompts` and `effective_prompts` are of all draws so far: the second is the
        number of prompts that, drawn equally often, would be as varied, (sum c)^2 / sum c^2 of the
        counts c. The rest are of the last draw: mean tokens of a rollout, share of prompts that
        were never drawn before. (The share of silent groups is `zero_variance_share`.)
        """
        if not self._counts:
            return {}
        counts = np.fromiter(self._counts.values(), dtype=np.float64)
        return {
            "drawn/different_prompts": float(counts.size),
            "drawn/effective_prompts": float(counts.sum() ** 2 / (counts**2).sum()),
            **{f"drawn/{name}": value for name, value in self._last.items()},
        }

    def state_dict(self) -> dict[str, Any]:
        """Return the counts as JSON values, to be saved."""
        return {
            "prompts": list(self._counts),
            "counts": list(self._counts.values()),
            "last": dict(self._last),
        }

    def load_state_dict(self, state: Mapping[str, Any]) -> None:
        """Load the counts that `state_dict` returned; an empty mapping begins anew.

        Raises:
            StateError: The counts are damaged.
        """
        prompts, counts = state.get("prompts", []), state.get("counts", [])
        if len(prompts) != len(counts) or any(count < 1 for count in counts):
            raise StateError("saved counts of drawn prompts are damaged")
        self._counts = {int(p): int(c) for p, c in zip(prompts, counts, strict=True)}
        last = state.get("last", {})
        self._last = {name: float(last.get(name, 0.0)) for name in self._last}
