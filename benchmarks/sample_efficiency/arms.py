"""The arms (setups that the benchmark compares): sampler, settings and gate of each."""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
from pydantic import Field

from sample_efficiency.permuted import PermutedSampler
from sample_efficiency.published import PublishedProgress
from vasari.core.errors import ConfigError
from vasari.core.settings import Settings
from vasari.records import Prompt
from vasari.sample import PromptSampler, make_gate, make_sampler, prompt_features
from vasari.sample.registry import takes_features

PUBLISHED = "published_progress"
"""Name of the sampler that is kept beside this benchmark, not in the package."""


class Arm(Settings):
    """Settings of one arm, a setup that the benchmark compares: sampler, gate and variants."""

    sampler: str
    """Name of the sampler."""
    settings: dict[str, Any] = Field(default_factory=dict)
    """Settings of the sampler."""
    gate: str = "all"
    """Name of the gate, the rule for which groups train."""
    features: bool = True
    """Whether the sampler is given the prompts' features, if it takes them and the pool has any."""
    seed_shift: int = 0
    """Added to the seed of the sampler, and to no other."""
    permuted: bool = False
    """The control: what the sampler draws and learns is moved to other prompts, anew at each
    step."""
    oracle: bool = False
    """Pass rates are measured by rollouts that are not charged, and prompts that are noise are
    known."""
    free_refresh: bool = False
    """Refreshes do not count against the budget: a bound, not a strategy."""
    static_filter: bool = False
    """Prompts that the cold start's ten rollouts never or always solved are left out, and these
    rollouts are charged."""

    @property
    def knows_features(self) -> bool:
        """Whether the pool's features can make a difference to this arm."""
        return self.features and (self.sampler == PUBLISHED or takes_features(self.sampler))


CONFIRMATORY: Mapping[str, Arm] = {
    "uniform": Arm(sampler="uniform"),
    "weighted_passes": Arm(sampler="weighted_passes"),
    PUBLISHED: Arm(sampler=PUBLISHED),
    "permuted": Arm(sampler="weighted_passes", permuted=True),
    "uniform_again": Arm(sampler="uniform", seed_shift=1_000_003),
}
"""Arms of the pre-registered comparison; the last is uniform once more, for the null."""

_VAS = {"preset": "paper-ablation"}

EXPLORATORY: Mapping[str, Arm] = {
    "vas": Arm(sampler="vas", settings=_VAS),
    "vas_online": Arm(sampler="vas", settings={**_VAS, "refresh": "online"}),
    "vas_free": Arm(sampler="vas", settings=_VAS, free_refresh=True),
    "beta": Arm(sampler="beta"),
    "arcus": Arm(sampler="arcus"),
    "skip": Arm(sampler="skip"),
    "static_filter": Arm(sampler="uniform", static_filter=True),
    "mixed_gate": Arm(sampler="uniform", gate="mixed"),
    "oracle": Arm(sampler="oracle", settings={"value": "std", "sharpness": 16.0}, oracle=True),
    "progress": Arm(sampler="progress"),
    "weighted_passes_without_features": Arm(sampler="weighted_passes", features=False),
}
"""Arms outside the pre-registered comparison; what they show is for further studies to confirm."""

ARMS: Mapping[str, Arm] = {**CONFIRMATORY, **EXPLORATORY}
"""Every arm by name."""


def chosen_arms(names: Sequence[str], defined: Sequence[str] = ()) -> dict[str, Arm]:
    """Return the arms of these names and those defined as `NAME=SAMPLER[,key=value...]`.

    Raises:
        ConfigError: An arm is unknown, or this version cannot run it.
    """
    more = dict(define(text) for text in defined)
    known = {**ARMS, **more}
    unknown = [name for name in names if name not in known]
    if unknown:
        raise ConfigError(f"there is no arm {', '.join(unknown)}; there are {', '.join(known)}")
    found = {name: known[name] for name in [*names, *more]}
    for name, arm in found.items():
        try:
            _check(arm)
        except ConfigError as error:
            raise ConfigError(f"arm {name}: {error}; leave it out with --arms") from error
    return found


def define(text: str) -> tuple[str, Arm]:
    """Make an arm (sampler setup) from `NAME=SAMPLER[,key=value...]`; values are YAML.

    Raises:
        ConfigError: The text is not of that form.
    """
    import yaml  # noqa: PLC0415

    name, equals, rest = text.partition("=")
    sampler, *pairs = rest.split(",")
    if not equals or not name or not sampler or any("=" not in pair for pair in pairs):
        raise ConfigError(f"--define takes NAME=SAMPLER[,key=value...], got {text!r}")
    settings = {
        key: yaml.safe_load(value) for key, _, value in (pair.partition("=") for pair in pairs)
    }
    return name, Arm(sampler=sampler, settings=settings)


def _check(arm: Arm) -> None:
    make_gate(arm.gate)
    if arm.sampler != PUBLISHED:
        make_sampler(arm.sampler, num_prompts=1, seed=0, **arm.settings)


def build_sampler(
    arm: Arm, prompts: Sequence[Prompt], *, seed: int, num_rollouts: int, features: bool
) -> PromptSampler:
    """Build the arm's sampler for the prompts of a pool.

    Args:
        arm: The setup.
        prompts: The pool.
        seed: Of the training run.
        num_rollouts: Rollouts of a group.
        features: Whether the pool gives the features of its prompts.
    """
    given = features and arm.features
    shared: dict[str, Any] = {"num_prompts": len(prompts), "seed": seed + arm.seed_shift}
    shared["prompt_ids"] = [prompt.id for prompt in prompts]
    sampler: PromptSampler
    if arm.sampler == PUBLISHED:
        sampler = PublishedProgress(**shared, features=prompt_features(prompts) if given else None)
    else:
        known, settings = prompt_features(prompts) if given else None, dict(arm.settings)
        if arm.oracle:
            # Placeholders: the true ones are measured before the first draw.
            known = dataclasses.replace(
                known or prompt_features(prompts), pass_rates=np.full(len(prompts), 0.5)
            )
            settings["num_rollouts"] = num_rollouts
        sampler = make_sampler(arm.sampler, **shared, features=known, **settings)
    if not arm.permuted:
        return sampler
    return PermutedSampler(sampler, seed=seed + 1, prompt_ids=shared["prompt_ids"])
