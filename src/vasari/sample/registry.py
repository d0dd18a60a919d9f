"""Samplers by name."""

from __future__ import annotations

import dataclasses
from collections.abc import Iterable
from typing import Any

from vasari.errors import ConfigError
from vasari.sample.base import PromptSampler
from vasari.sample.uniform import UniformSampler
from vasari.sample.vas import VarianceAwareSampler
from vasari.sample.vas_settings import VAS_PRESETS, VarianceAwareSettings

_SAMPLERS: dict[str, type[UniformSampler] | type[VarianceAwareSampler]] = {
    "uniform": UniformSampler,
    "vas": VarianceAwareSampler,
}

SAMPLER_NAMES: tuple[str, ...] = tuple(_SAMPLERS)
"""Names that `make_sampler` knows."""


def make_sampler(
    name: str, *, num_prompts: int, seed: int, prompt_ids: Iterable[str] | None = None, **settings: Any
) -> PromptSampler:
    """The sampler of that name over a pool of `num_prompts` prompts.

    Args:
        name: "uniform" or "vas".
        num_prompts: Size of the pool.
        seed: Seed of the sampler's own generator.
        prompt_ids: One unique id a prompt, or None.
        **settings: For "vas" the fields of `VarianceAwareSettings`, and `preset`, a name of `VAS_PRESETS` whose
            settings the others change. For "uniform" none.

    Raises:
        ConfigError: The name or a setting is unknown, or a value is out of range.
    """
    if name not in _SAMPLERS:
        raise ConfigError(f"sampler must be one of {', '.join(_SAMPLERS)}, got {name!r}")
    if name == "vas":
        chosen = vas_settings(**settings)
        return VarianceAwareSampler(chosen, num_prompts=num_prompts, seed=seed, prompt_ids=prompt_ids)
    _refuse_unknown(name, settings, ())
    return UniformSampler(num_prompts=num_prompts, seed=seed, prompt_ids=prompt_ids)


def vas_settings(preset: str = "default", **changes: Any) -> VarianceAwareSettings:
    """The settings of a preset, with some of them changed.

    Raises:
        ConfigError: The preset or a setting is unknown, or a value is out of range.
    """
    if preset not in VAS_PRESETS:
        raise ConfigError(f"preset of sampler 'vas' must be one of {', '.join(VAS_PRESETS)}, got {preset!r}")
    _refuse_unknown("vas", changes, [field.name for field in dataclasses.fields(VarianceAwareSettings)])
    return dataclasses.replace(VAS_PRESETS[preset], **changes)


def _refuse_unknown(name: str, settings: Iterable[str], known: Iterable[str]) -> None:
    unknown = sorted(set(settings) - set(known))
    if unknown:
        listed = ", ".join(sorted(known)) or "none"
        raise ConfigError(f"sampler {name!r} has no setting {', '.join(map(repr, unknown))}; it has: {listed}")
