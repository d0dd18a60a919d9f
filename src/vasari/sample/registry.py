"""Registry of samplers and of gates (rules that decide which groups train), by name."""

from __future__ import annotations

import dataclasses
import inspect
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from typing import Any, Literal

import numpy as np

from vasari.core.errors import ConfigError
from vasari.core.plugins import build, resolve
from vasari.sample.base import PromptSampler
from vasari.sample.features import PoolFeatures
from vasari.sample.gate import AllGate, Gate, MixedGate
from vasari.sample.peers.arcus import ArcusSampler, ArcusSettings
from vasari.sample.peers.beta import BETA_PRESETS, BetaSampler, BetaSettings
from vasari.sample.peers.bins import BINS_PRESETS, BinsSampler, BinsSettings
from vasari.sample.peers.hmm import HMM_PRESETS, HmmSampler, HmmSettings
from vasari.sample.peers.mmr1 import Mmr1Sampler, Mmr1Settings
from vasari.sample.peers.oracle import OracleSampler, OracleSettings
from vasari.sample.peers.prioritised import PrioritisedSampler, PrioritisedSettings
from vasari.sample.peers.replay import ReplaySampler, ReplaySettings
from vasari.sample.peers.retain import RetainSampler, RetainSettings
from vasari.sample.peers.skip import SkipSampler, SkipSettings
from vasari.sample.peers.target import TARGET_PRESETS, TargetSampler, TargetSettings
from vasari.sample.peers.two_stage import TWO_STAGE_PRESETS, TwoStageGate, TwoStageSettings
from vasari.sample.progress import ProgressSampler, ProgressSettings
from vasari.sample.uniform import UniformSampler
from vasari.sample.vas import VAS_PRESETS, VarianceAwareSampler, VarianceAwareSettings
from vasari.sample.weighted_passes import WeightedPassesSampler, WeightedPassesSettings


@dataclass(frozen=True, slots=True)
class _Maker:
    """Registry entry of a sampler or gate: how to make it, its settings and its presets."""

    make: Any
    settings: Any = None
    """Its dataclass of settings, the first argument of `make`; None where it has no settings."""
    presets: Mapping[str, Any] = field(default_factory=dict)
    """Settings by name; "default" need not be listed."""
    takes_features: bool = False
    """Whether `make` has an argument `features`."""

    def chosen(self, what: str, preset: str = "default", **changes: Any) -> Any:
        """Return a preset's settings with `changes` applied; None if it takes no settings."""
        presets = {"default": self.settings and self.settings(), **self.presets}
        is_known = preset in list(presets)  # a file may hold a list here, which has no hash
        known = [entry.name for entry in dataclasses.fields(self.settings)] if self.settings else []
        if not is_known and known:
            raise ConfigError(
                f"preset of {what} must be one of {', '.join(presets)}, got {preset!r}"
            )
        unknown = {*changes} - {*known} | (set() if is_known else {"preset"})
        if unknown:
            raise ConfigError(
                f"{what} has no setting {', '.join(map(repr, sorted(unknown)))}; it has:"
                f" {', '.join(sorted(known)) or 'none'}"
            )
        return self.settings and dataclasses.replace(presets[preset], **changes)

    def made(self, what: str, settings: Mapping[str, Any], **given: Any) -> Any:
        """Make the sampler or gate from its `settings` and from the other arguments `given`."""
        chosen = self.chosen(what, **settings)
        return self.make(**given) if chosen is None else self.make(chosen, **given)


def _wrapped(wrapper: Any) -> Any:
    """Return a function that makes a wrapper around the sampler that the settings name."""

    def make(settings: Any, *, seed: int, prompt_ids: Iterable[str] | None, **given: Any) -> Any:
        ids = None if prompt_ids is None else tuple(prompt_ids)
        inner = make_sampler(
            settings.inner, seed=seed, prompt_ids=ids, **given, **settings.inner_settings
        )
        # With one seed, the wrapper and its inner sampler would draw the same numbers.
        own = int(np.random.SeedSequence([seed, *wrapper.name.encode()]).generate_state(1)[0])
        return wrapper(settings, inner=inner, seed=own, prompt_ids=ids)

    return make


SAMPLERS: Mapping[str, _Maker] = {
    "uniform": _Maker(UniformSampler),
    "weighted_passes": _Maker(WeightedPassesSampler, WeightedPassesSettings, takes_features=True),
    "vas": _Maker(VarianceAwareSampler, VarianceAwareSettings, VAS_PRESETS),
    "mmr1": _Maker(Mmr1Sampler, Mmr1Settings),
    "progress": _Maker(ProgressSampler, ProgressSettings, takes_features=True),
    "bins": _Maker(BinsSampler, BinsSettings, BINS_PRESETS, takes_features=True),
    "target": _Maker(TargetSampler, TargetSettings, TARGET_PRESETS, takes_features=True),
    "oracle": _Maker(OracleSampler, OracleSettings, takes_features=True),
    "skip": _Maker(_wrapped(SkipSampler), SkipSettings, takes_features=True),
    "retain": _Maker(_wrapped(RetainSampler), RetainSettings, takes_features=True),
    "beta": _Maker(BetaSampler, BetaSettings, BETA_PRESETS),
    "arcus": _Maker(ArcusSampler, ArcusSettings),
    "hmm": _Maker(HmmSampler, HmmSettings, HMM_PRESETS),
    "replay": _Maker(ReplaySampler, ReplaySettings),
    "prioritised": _Maker(PrioritisedSampler, PrioritisedSettings),
}
"""Every sampler by the name that a recipe gives it; a user's own is `package.module:attribute`."""

SAMPLER_NAMES: tuple[str, ...] = tuple(SAMPLERS)
"""Names of the built-in samplers."""


GATES: Mapping[str, _Maker] = {
    "all": _Maker(AllGate),
    "mixed": _Maker(MixedGate),
    "two_stage": _Maker(TwoStageGate, TwoStageSettings, TWO_STAGE_PRESETS),
}
"""Every gate by the name that a recipe gives it; a user's own is `package.module:attribute`."""

GATE_NAMES: tuple[str, ...] = tuple(GATES)
"""Names of the built-in gates."""


def make_sampler(
    name: str,
    *,
    num_prompts: int,
    seed: int,
    prompt_ids: Iterable[str] | None = None,
    features: PoolFeatures | None = None,
    **settings: Any,
) -> PromptSampler:
    """Build the sampler called `name` over a pool of `num_prompts` prompts.

    Args:
        name: One of `SAMPLER_NAMES`, or `package.module:attribute` of a class or function of one's
            own; it is called with those of `num_prompts`, `seed`, `prompt_ids` and `features` that
            it names, and with the settings.
        num_prompts: Size of the pool.
        seed: Seed of the sampler's own generator.
        prompt_ids: One unique id a prompt, or None.
        features: What is known of the prompts beforehand (`prompt_features`), for the samplers that
            use it.
        **settings: Fields of that sampler's settings, and `preset`, the name of settings that the
            others change.

    Raises:
        ConfigError: The name or a setting is unknown, or a value is out of range.
        DataError: The features are of a pool of another size.
    """
    if features is not None:
        features.check(num_prompts)
    given: dict[str, Any] = {"num_prompts": num_prompts, "seed": seed, "prompt_ids": prompt_ids}
    if name not in SAMPLERS or SAMPLERS[name].takes_features:
        given["features"] = features
    made: PromptSampler = _made(
        name, SAMPLERS, PromptSampler, kind="sampler", given=given, settings=settings
    )
    return made


def make_gate(name: str, **settings: Any) -> Gate:
    """Build the gate (rule that decides which groups train) called `name`.

    Args:
        name: One of `GATE_NAMES`, or `package.module:attribute` of a class or function of one's own
            that is called with the settings and gives a `Gate`.
        **settings: For "two_stage", fields of `TwoStageSettings` that change its `preset`, a name
            in `TWO_STAGE_PRESETS`; the others of ours have none.

    Raises:
        ConfigError: The name, the preset or a setting is unknown, or a value is out of range.
    """
    made: Gate = _made(name, GATES, Gate, kind="gate", given={}, settings=settings)
    return made


def _made(
    name: str,
    ours: Mapping[str, _Maker],
    wanted: type,
    *,
    kind: Literal["sampler", "gate"],
    given: Mapping[str, Any],
    settings: Mapping[str, Any],
) -> Any:
    """Build the sampler or gate called `name`, built-in or a user's."""
    what = f"{kind} {name!r}"
    found = resolve(name, ours, kind=kind)
    if isinstance(found, _Maker):
        made = found.made(what, settings, **given)
    else:
        made = build(found, given=given, settings=settings, what=what)
    if not isinstance(made, wanted):
        raise ConfigError(
            f"{what} gave {type(made).__name__}, which is no vasari.sample.{wanted.__name__}"
        )
    return made


def takes_features(name: str) -> bool:
    """Whether the sampler called `name`, built-in or a user's, takes features of prompts."""
    found = resolve(name, SAMPLERS, kind="sampler")
    if isinstance(found, _Maker):
        return found.takes_features
    return callable(found) and "features" in inspect.signature(found).parameters


def name_of_settings(settings: Any) -> str:
    """Return the name of the built-in sampler to which a settings object belongs.

    Raises:
        ConfigError: They are no sampler's.
    """
    for name, maker in SAMPLERS.items():
        if maker.settings is type(settings):
            return name
    raise ConfigError(
        f"{type(settings).__name__} are the settings of no sampler; there are {', '.join(SAMPLERS)}"
    )


def vas_settings(preset: str = "default", **changes: Any) -> VarianceAwareSettings:
    """Return the settings of a preset of the sampler "vas", with `changes` applied.

    Raises:
        ConfigError: The preset or a setting is unknown, or a value is out of range.
    """
    chosen: VarianceAwareSettings = SAMPLERS["vas"].chosen("sampler 'vas'", preset, **changes)
    return chosen
