"""The arms (setups that the benchmark compares): sampler, settings and gate of each."""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
from pydantic import Field

from sample_efficiency.permuted import PermutedSampler
from vasari.core.errors import ConfigError
from vasari.core.settings import Settings
from vasari.records import Prompt
from vasari.sample import PromptSampler, make_sampler, prompt_features
from vasari.train.settings import GrpoSettings


class Arm(Settings):
    """Settings of one arm, a setup that the benchmark compares: sampler, gate and variants."""

    sampler: str
    """Name of the sampler."""
    settings: dict[str, Any] = Field(default_factory=dict)
    """Settings of the sampler."""
    gate: str = "all"
    """Name of the gate, the rule for which groups train."""
    permuted: bool = False
    """The control: what the sampler draws and learns is moved to other prompts, anew at each
    step."""
    oracle: bool = False
    """Pass rates are measured by rollouts that are not charged, and prompts that are noise are
    known."""
    free_refresh: bool = False
    """Refreshes do not count against the budget: a bound, not a strategy."""
    parent: str | None = None
    """Arm whose learning rate this one takes when none was tuned for it."""


def _progress(**settings: Any) -> Arm:
    return Arm(sampler="progress", settings=settings, parent="progress")


ARMS: Mapping[str, Arm] = {
    "uniform": Arm(sampler="uniform"),
    "vas": Arm(sampler="vas", settings={"preset": "paper-ablation"}),
    "beta": Arm(sampler="beta"),
    "mixed": Arm(sampler="uniform", gate="mixed"),
    "progress": Arm(sampler="progress"),
    "progress-permuted": Arm(sampler="progress", permuted=True, parent="progress"),
    # Value and sharpness of `progress`: what remains between the two is what `progress` does not
    # know.
    "oracle": Arm(
        sampler="oracle",
        settings={"value": "std", "sharpness": 16.0},
        oracle=True,
        parent="progress",
    ),
    "vas-free": Arm(
        sampler="vas", settings={"preset": "paper-ablation"}, free_refresh=True, parent="vas"
    ),
    "vas-online": Arm(
        sampler="vas", settings={"preset": "paper-ablation", "refresh": "online"}, parent="vas"
    ),
    "hmm": Arm(sampler="hmm", parent="beta"),
    "skip": Arm(sampler="skip", parent="uniform"),
    "progress-no-shared": _progress(shared=False),
    "progress-no-coherence": _progress(coherence=False),
    "progress-no-agreement": _progress(agreement=False),
    "progress-no-inert-guard": _progress(inert_guard=False),
    "progress-no-optimism": _progress(optimism=0.0),
    "progress-no-cost": _progress(cost_power=0.0),
    "progress-no-explore": _progress(explore=0.0),
}
"""Every arm by name."""

REQUIRED: tuple[str, ...] = (
    "uniform",
    "vas",
    "beta",
    "mixed",
    "progress",
    "progress-permuted",
    "oracle",
)
"""Arms that are run unless others are asked for."""


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
    return name, Arm(
        sampler=sampler, settings=settings, parent=sampler if sampler in ARMS else None
    )


def missing_part(arm: Arm) -> str | None:
    """Return what this version lacks to run the arm; None if it can be run."""
    if arm.gate != "all":
        if "gate" not in GrpoSettings.model_fields:
            return "grpo has no setting `gate`"
        try:
            GrpoSettings.model_validate({"gate": arm.gate})
        except ValueError as error:
            return str(error)
    try:
        make_sampler(arm.sampler, num_prompts=1, seed=0, **arm.settings)
    except ConfigError as error:
        return str(error)
    return None


def build_sampler(
    arm: Arm, prompts: Sequence[Prompt], *, seed: int, num_rollouts: int
) -> PromptSampler:
    """Build the arm's sampler for the prompts of a pool."""
    ids = [prompt.id for prompt in prompts]
    features = prompt_features(prompts)
    settings = dict(arm.settings)
    if arm.oracle:
        # Placeholders: the true ones are measured before the first draw.
        features = dataclasses.replace(features, pass_rates=np.full(len(prompts), 0.5))
        settings["num_rollouts"] = num_rollouts
    sampler = make_sampler(
        arm.sampler,
        num_prompts=len(prompts),
        seed=seed,
        prompt_ids=ids,
        features=features,
        **settings,
    )
    return PermutedSampler(sampler, seed=seed + 1, prompt_ids=ids) if arm.permuted else sampler
