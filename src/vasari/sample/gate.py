"""Gates: which groups train, decided after their rollouts."""

from __future__ import annotations

import dataclasses
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Protocol, final

import numpy as np

from vasari.errors import ConfigError
from vasari.records import Admission, GroupOutcome
from vasari.sample.two_stage import TWO_STAGE_PRESETS, TwoStageGate, TwoStageSettings

_EQUAL_WITHIN = 1e-9


class Gate(Protocol):
    """Decides which groups of a step train. Gates read rewards, where nan marks an unverifiable rollout.

    A trainer that heeds `Admission.more` serves `TwoStageGate` as well; the other gates leave it empty.
    """

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


_PLAIN: dict[str, type[AllGate] | type[MixedGate]] = {"all": AllGate, "mixed": MixedGate}

GATE_NAMES: tuple[str, ...] = (*_PLAIN, "two_stage")
"""Names that `make_gate` knows."""


def make_gate(name: str, preset: str = "default", **settings: Any) -> Gate:
    """The gate of that name: "all", "mixed" or "two_stage".

    Args:
        name: One of `GATE_NAMES`.
        preset: For "two_stage", a name in `TWO_STAGE_PRESETS`; the others have "default" only.
        **settings: For "two_stage", fields of `TwoStageSettings` that change the preset; the others have none.

    Raises:
        ConfigError: The name, the preset or a setting is unknown, or a value is out of range.
    """
    if name not in GATE_NAMES:
        raise ConfigError(f"gate must be one of {', '.join(GATE_NAMES)}, got {name!r}")
    presets = ("default",) if name in _PLAIN else tuple(TWO_STAGE_PRESETS)
    known = [] if name in _PLAIN else sorted(entry.name for entry in dataclasses.fields(TwoStageSettings))
    if preset not in presets:
        raise ConfigError(f"preset of gate {name!r} must be one of {', '.join(presets)}, got {preset!r}")
    unknown = sorted(set(settings) - set(known))
    if unknown:
        raise ConfigError(f"gate {name!r} has no setting {', '.join(map(repr, unknown))}; it has: {', '.join(known) or 'none'}")
    if name in _PLAIN:
        return _PLAIN[name]()
    return TwoStageGate(dataclasses.replace(TWO_STAGE_PRESETS[preset], **settings))
