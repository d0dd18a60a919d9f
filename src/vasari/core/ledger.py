"""Counts of rollouts and generated tokens by purpose."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from vasari.core.errors import ConfigError, StateError
from vasari.core.records import PURPOSES, Purpose


class Ledger:
    """Counts rollouts and tokens by purpose; curves and tables use the counts as their x-axis."""

    def __init__(self) -> None:
        self._rollouts: dict[str, int] = dict.fromkeys(PURPOSES, 0)
        self._tokens: dict[str, int] = dict.fromkeys(PURPOSES, 0)

    def charge(self, purpose: Purpose, *, rollouts: int, tokens: int) -> None:
        """Add rollouts that were just generated to the counts of a purpose.

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
        """Move counts to another purpose, e.g. `train` to `discarded` after a gate refused a group.

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
        """Rollouts by purpose."""
        return dict(self._rollouts)

    @property
    def tokens(self) -> Mapping[str, int]:
        """Generated tokens by purpose."""
        return dict(self._tokens)

    @property
    def total_rollouts(self) -> int:
        """Number of rollouts of all purposes."""
        return sum(self._rollouts.values())

    def metrics(self) -> dict[str, int]:
        """Counts under log keys: `ledger/rollouts/train`, `ledger/tokens/refresh`, ..."""
        flat = {f"ledger/rollouts/{name}": count for name, count in self._rollouts.items()}
        return flat | {f"ledger/tokens/{name}": count for name, count in self._tokens.items()}

    def state_dict(self) -> dict[str, Any]:
        """The counts as JSON-able state."""
        return {"schema": 2, "rollouts": dict(self._rollouts), "tokens": dict(self._tokens)}

    def load_state_dict(self, state: Mapping[str, Any]) -> None:
        """Continue counting from a saved state.

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
