"""Counts of rollouts and generated tokens by their purpose, e.g. training."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from vasari.core.errors import ConfigError, StateError
from vasari.core.records import PURPOSES, Purpose


class Ledger:
    """Counter of generated rollouts and tokens, by what they were generated for, e.g. `train`."""

    def __init__(self) -> None:
        self._rollouts: dict[str, int] = dict.fromkeys(PURPOSES, 0)
        self._tokens: dict[str, int] = dict.fromkeys(PURPOSES, 0)

    def charge(self, purpose: Purpose, *, rollouts: int, tokens: int) -> None:
        """Add newly generated rollouts and their tokens to the counts of a purpose, e.g. `train`.

        Raises:
            ConfigError: The purpose is unknown, or a count is negative.
        """
        if purpose not in self._rollouts:
            raise ConfigError(f"purpose must be one of {PURPOSES}, got {purpose!r}")
        if rollouts < 0 or tokens < 0:
            raise ConfigError(
                f"a charge cannot be negative, got {rollouts} rollouts and {tokens} tokens"
            )
        self._rollouts[purpose] += rollouts
        self._tokens[purpose] += tokens

    def move(self, source: Purpose, target: Purpose, *, rollouts: int, tokens: int) -> None:
        """Move rollouts and tokens from one purpose's count to another's, `train` to `discarded`.

        Raises:
            ConfigError: A purpose is unknown, or `source` has fewer rollouts or tokens.
        """
        if source not in self._rollouts:
            raise ConfigError(f"purpose must be one of {PURPOSES}, got {source!r}")
        if rollouts > self._rollouts[source] or tokens > self._tokens[source]:
            raise ConfigError(
                f"cannot move {rollouts} rollouts from {source!r}: it has {self._rollouts[source]}"
            )
        self._rollouts[source] -= rollouts
        self._tokens[source] -= tokens
        self.charge(target, rollouts=rollouts, tokens=tokens)

    @property
    def rollouts(self) -> Mapping[str, int]:
        """Number of rollouts counted so far, for each purpose."""
        return dict(self._rollouts)

    @property
    def tokens(self) -> Mapping[str, int]:
        """Number of generated tokens counted so far, for each purpose."""
        return dict(self._tokens)

    @property
    def total_rollouts(self) -> int:
        """Number of rollouts counted so far, summed over all purposes."""
        return sum(self._rollouts.values())

    def metrics(self) -> dict[str, int]:
        """Return the numbers of rollouts and tokens by log key, e.g. `ledger/rollouts/train`."""
        flat = {f"ledger/rollouts/{name}": count for name, count in self._rollouts.items()}
        return flat | {f"ledger/tokens/{name}": count for name, count in self._tokens.items()}

    def state_dict(self) -> dict[str, Any]:
        """Return the numbers of rollouts and tokens as a dict that can be saved as JSON."""
        return {"schema": 2, "rollouts": dict(self._rollouts), "tokens": dict(self._tokens)}

    def load_state_dict(self, state: Mapping[str, Any]) -> None:
        """Load the numbers of rollouts and tokens of a saved state, and count on from them.

        Raises:
            StateError: The state has another schema.
        """
        if state.get("schema") not in (1, 2):
            raise StateError(f"ledger state has schema {state.get('schema')!r}, expected 2")
        for name in PURPOSES:
            # Schema 1 called rollouts that screen a prompt probes.
            saved = "probe" if name == "screen" and state["schema"] == 1 else name
            self._rollouts[name] = int(state["rollouts"].get(saved, 0))
            self._tokens[name] = int(state["tokens"].get(saved, 0))
