"""Samplers by name."""

from __future__ import annotations

import dataclasses
import inspect
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from typing import Any

import numpy as np

from vasari.core.errors import ConfigError
from vasari.core.plugins import build, resolve
from vasari.sample.base import PromptSampler
from vasari.sample.features import PoolFeatures
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
from vasari.sample.progress import ProgressSampler
from vasari.sample.progress_settings import ProgressSettings
from vasari.sample.uniform import UniformSampler
from vasari.sample.vas import VarianceAwareSampler
from vasari.sample.vas_settings import VAS_PRESETS, VarianceAwareSettings


@dataclass(frozen=True, slots=True)
class _Kind:
    """How a sampler of one name is made."""

    sampler: Any
    settings: Any = None
    """Its dataclass of settings, the sampler's first argument; None for a sampler without
    settings."""
    presets: Mapping[str, Any] = field(default_factory=dict)
    """Settings by name; "default" need not be listed."""
    takes_features: bool = False
    """Whether the sampler has an argument `features`."""


def _wrapped(wrapper: Any) -> Any:
    """What makes a wrapper around the sampler that its settings name."""

    def make(
        settings: Any,
        *,
        num_prompts: int,
        seed: int,
        prompt_ids: Iterable[str] | None,
        features: PoolFeatures | None,
    ) -> PromptSampler:
        ids = None if prompt_ids is None else tuple(prompt_ids)
        given: dict[str, Any] = {
            "num_prompts": num_prompts,
            "seed": seed,
            "prompt_ids": ids,
            "features": features,
        }
        inner = make_sampler(settings.inner, **given, **settings.inner_settings)
        # With one seed, the wrapper and its inner sampler would draw the same numbers.
        own = int(np.random.SeedSequence([seed, *wrapper.name.encode()]).generate_state(1)[0])
        made: PromptSampler = wrapper(settings, inner=inner, seed=own, prompt_ids=ids)
        return made

    return make


SAMPLERS: Mapping[str, _Kind] = {
    "uniform": _Kind(UniformSampler),
    "vas": _Kind(VarianceAwareSampler, VarianceAwareSettings, VAS_PRESETS),
    "mmr1": _Kind(Mmr1Sampler, Mmr1Settings),
    "progress": _Kind(ProgressSampler, ProgressSettings, takes_features=True),
    "bins": _Kind(BinsSampler, BinsSettings, BINS_PRESETS, takes_features=True),
    "target": _Kind(TargetSampler, TargetSettings, TARGET_PRESETS, takes_features=True),
    "oracle": _Kind(OracleSampler, OracleSettings, takes_features=True),
    "skip": _Kind(_wrapped(SkipSampler), SkipSettings, takes_features=True),
    "retain": _Kind(_wrapped(RetainSampler), RetainSettings, takes_features=True),
    "beta": _Kind(BetaSampler, BetaSettings, BETA_PRESETS),
    "hmm": _Kind(HmmSampler, HmmSettings, HMM_PRESETS),
    "replay": _Kind(ReplaySampler, ReplaySettings),
    "prioritised": _Kind(PrioritisedSampler, PrioritisedSettings),
}
"""Every sampler by the name that a recipe gives it; a user's own is `package.module:attribute`."""

SAMPLER_NAMES: tuple[str, ...] = tuple(SAMPLERS)
"""Names of our samplers."""


def make_sampler(
    name: str,
    *,
    num_prompts: int,
    seed: int,
    prompt_ids: Iterable[str] | None = None,
    features: PoolFeatures | None = None,
    **settings: Any,
) -> PromptSampler:
    """The sampler of that name over a pool of `num_prompts` prompts.

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
    kind = resolve(name, SAMPLERS, kind="sampler")
    given: dict[str, Any] = {"num_prompts": num_prompts, "seed": seed, "prompt_ids": prompt_ids}
    if not isinstance(kind, _Kind):
        own = build(
            kind, given={**given, "features": features}, settings=settings, what=f"sampler {name!r}"
        )
        if not isinstance(own, PromptSampler):
            raise ConfigError(
                f"sampler {name!r} gave {type(own).__name__}, which is no"
                " vasari.sample.PromptSampler"
            )
        return own
    if kind.takes_features:
        given["features"] = features
    chosen = sampler_settings(name, **settings)
    made: PromptSampler = kind.sampler(**given) if chosen is None else kind.sampler(chosen, **given)
    return made


def takes_features(name: str) -> bool:
    """Whether the sampler of that name, ours or a user's, is made with what is known of the prompts
    beforehand.
    """
    kind = resolve(name, SAMPLERS, kind="sampler")
    return (
        kind.takes_features
        if isinstance(kind, _Kind)
        else callable(kind) and "features" in inspect.signature(kind).parameters
    )


def sampler_settings(name: str, preset: str = "default", **changes: Any) -> Any:
    """The settings of a sampler's preset, with some of them changed; None for a sampler without
    settings.

    Raises:
        ConfigError: The preset or a setting is unknown, or a value is out of range.
    """
    kind = SAMPLERS[name]
    if kind.settings is None:
        _refuse_unknown(name, changes if preset == "default" else {"preset": preset, **changes}, ())
        return None
    presets = {"default": kind.settings(), **kind.presets}
    if preset not in presets:
        raise ConfigError(
            f"preset of sampler {name!r} must be one of {', '.join(presets)}, got {preset!r}"
        )
    _refuse_unknown(name, changes, [entry.name for entry in dataclasses.fields(kind.settings)])
    return dataclasses.replace(presets[preset], **changes)


def name_of_settings(settings: Any) -> str:
    """The name of the sampler whose settings these are.

    Raises:
        ConfigError: They are no sampler's.
    """
    for name, kind in SAMPLERS.items():
        if kind.settings is type(settings):
            return name
    raise ConfigError(
        f"{type(settings).__name__} are the settings of no sampler; there are {', '.join(SAMPLERS)}"
    )


def vas_settings(preset: str = "default", **changes: Any) -> VarianceAwareSettings:
    """The settings of a preset of "vas", with some of them changed.

    Raises:
        ConfigError: The preset or a setting is unknown, or a value is out of range.
    """
    chosen: VarianceAwareSettings = sampler_settings("vas", preset, **changes)
    return chosen


def _refuse_unknown(name: str, settings: Iterable[str], known: Iterable[str]) -> None:
    unknown = sorted(set(settings) - set(known))
    if unknown:
        listed = ", ".join(sorted(known)) or "none"
        raise ConfigError(
            f"sampler {name!r} has no setting {', '.join(map(repr, unknown))}; it has: {listed}"
        )
