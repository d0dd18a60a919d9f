"""Gates: which groups train, decided after their rollouts."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Protocol, final

import numpy as np

from vasari.errors import ConfigError
from vasari.records import Admission, GroupOutcome

_EQUAL_WITHIN = 1e-9


class Gate(Protocol):
    """Decides which groups of a step train. Gates read rewards, where nan marks an unverifiable rollout."""

    def admit(self, outcomes: Sequence[GroupOutcome]) -> Admission:
        """Which groups train, and how many prompts to draw in place of the refused ones."""
        ...


@final
@dataclass(frozen=True, slots=True)
class AllGate:
    """Admits every group with two verifiable rollouts or more, and asks for no other prompts."""

    def admit(self, outcomes: Sequence[GroupOutcome]) -> Admission:
        """Which groups train; nothing is drawn in place of the others."""
        admitted = [_rewards(group).size >= 2 for group in outcomes]
        return Admission(np.array(admitted, dtype=np.bool_))


@final
@dataclass(frozen=True, slots=True)
class MixedGate:
    """Admits groups whose rewards are not all equal, and asks for as many prompts as it refused.

    Dynamic sampling of DAPO (arXiv:2503.14476). The trainer sets how often it draws again.
    """

    def admit(self, outcomes: Sequence[GroupOutcome]) -> Admission:
        """Which groups train, and one prompt for each refused group."""
        admitted = np.zeros(len(outcomes), dtype=np.bool_)
        for place, group in enumerate(outcomes):
            rewards = _rewards(group)
            admitted[place] = rewards.size >= 2 and float(rewards.max() - rewards.min()) > _EQUAL_WITHIN
        return Admission(admitted, redraw=int((~admitted).sum()))


def _rewards(group: GroupOutcome) -> np.ndarray[tuple[int], np.dtype[np.float64]]:
    verifiable: np.ndarray[tuple[int], np.dtype[np.float64]] = group.rewards[~np.isnan(group.rewards)]
    return verifiable


_GATES: dict[str, type[AllGate] | type[MixedGate]] = {"all": AllGate, "mixed": MixedGate}


def make_gate(name: str) -> Gate:
    """The gate of that name: "all" or "mixed".

    Raises:
        ConfigError: The name is unknown.
    """
    if name not in _GATES:
        raise ConfigError(f"gate must be one of {', '.join(_GATES)}, got {name!r}")
    return _GATES[name]()
