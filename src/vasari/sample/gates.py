"""Gates by name."""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping
from typing import Any

from vasari.core.errors import ConfigError
from vasari.core.plugins import build, resolve
from vasari.sample.gate import AllGate, Gate, MixedGate
from vasari.sample.peers.two_stage import TWO_STAGE_PRESETS, TwoStageGate, TwoStageSettings

GATES: Mapping[str, type[Gate]] = {"all": AllGate, "mixed": MixedGate, "two_stage": TwoStageGate}
"""Every gate by the name that a recipe gives it; a user's own is `package.module:attribute`."""

GATE_NAMES: tuple[str, ...] = tuple(GATES)
"""Names of our gates."""


def make_gate(name: str, **settings: Any) -> Gate:
    """The gate of that name: "all", "mixed", "two_stage", or a user's own by
    `package.module:attribute`.

    Args:
        name: One of `GATE_NAMES`, or a class or function that is called with the settings and gives
            a `Gate`.
        **settings: For "two_stage", fields of `TwoStageSettings` that change its `preset`, a name
            in `TWO_STAGE_PRESETS`; the others of ours have none.

    Raises:
        ConfigError: The name, the preset or a setting is unknown, or a value is out of range.
    """
    kind = resolve(name, GATES, kind="gate")
    if kind is TwoStageGate:
        return TwoStageGate(_two_stage_settings(**settings))
    if name in GATES:
        _refuse_unknown(
            name, set(settings) - ({"preset"} if settings.get("preset") == "default" else set()), ()
        )
        return AllGate() if kind is AllGate else MixedGate()
    made = build(kind, given={}, settings=settings, what=f"gate {name!r}")
    if not isinstance(made, Gate):
        raise ConfigError(
            f"gate {name!r} gave {type(made).__name__}, which is no vasari.sample.Gate"
        )
    return made


def _two_stage_settings(preset: str = "default", **changes: Any) -> TwoStageSettings:
    if preset not in TWO_STAGE_PRESETS:
        raise ConfigError(
            f"preset of gate 'two_stage' must be one of {', '.join(TWO_STAGE_PRESETS)}, got"
            f" {preset!r}"
        )
    known = [entry.name for entry in dataclasses.fields(TwoStageSettings)]
    _refuse_unknown("two_stage", set(changes) - set(known), known)
    return dataclasses.replace(TWO_STAGE_PRESETS[preset], **changes)


def _refuse_unknown(name: str, unknown: set[str], known: Any) -> None:
    if unknown:
        listed = ", ".join(sorted(known)) or "none"
        raise ConfigError(
            f"gate {name!r} has no setting {', '.join(map(repr, sorted(unknown)))}; it has:"
            f" {listed}"
        )
