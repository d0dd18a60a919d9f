"""Published variants of GRPO by name, as settings of a recipe and as arguments of TRL."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from types import MappingProxyType
from typing import Any, Literal, get_args

from vasari.core.errors import ConfigError

Algorithm = Literal["grpo", "dapo", "dr_grpo", "gspo"]
"""A variant of GRPO."""

ALGORITHMS: Mapping[Algorithm, Mapping[str, Any]] = MappingProxyType(
    {
        # arXiv:2509.21268, section 6.1: clip 0.2, k3 with coefficient 0.01.
        "grpo": {
            "loss": "grpo",
            "clip_low": 0.2,
            "clip_high": 0.2,
            "kl_coefficient": 0.01,
            "scale_advantages": "group",
        },
        # arXiv:2503.14476: clip higher, no KL, dynamic sampling, loss over tokens, punishment of
        # overlong rollouts.
        "dapo": {
            "loss": "dapo",
            "clip_low": 0.2,
            "clip_high": 0.28,
            "kl_coefficient": 0.0,
            "scale_advantages": "group",
            "gate": "mixed",
            "rewards": [{"name": "accuracy"}, {"name": "format"}, {"name": "soft_overlong"}],
        },
        # arXiv:2503.20783: neither lengths nor deviations divide.
        "dr_grpo": {
            "loss": "dr_grpo",
            "clip_low": 0.2,
            "clip_high": 0.2,
            "kl_coefficient": 0.0,
            "scale_advantages": "none",
        },
        # arXiv:2507.18071, section 5.1: ratios of whole rollouts, clipped at 3e-4 and 4e-4.
        "gspo": {
            "loss": "gspo",
            "clip_low": 3e-4,
            "clip_high": 4e-4,
            "kl_coefficient": 0.0,
            "scale_advantages": "group",
        },
    }
)
"""What each means in a recipe's `grpo`; a setting that the recipe gives itself stands."""


@dataclass(frozen=True, slots=True)
class TrlAlgorithm:
    """A variant of GRPO as arguments."""

    config: Mapping[str, Any]
    """Of `GRPOConfig`."""
    trainer: Mapping[str, Any]
    """Of `VarianceAwareGRPOTrainer`."""


def trl_algorithm(name: Algorithm) -> TrlAlgorithm:
    """The variant of that name for a script that uses TRL; rewards, such as DAPO's for overlong
    rollouts, are the script's.

    `GRPOConfig(**trl_algorithm("dapo").config, ...)` and `VarianceAwareGRPOTrainer(...,
    **trl_algorithm("dapo").trainer)`.

    Raises:
        ConfigError: There is none of that name.
    """
    if name not in ALGORITHMS:
        raise ConfigError(
            f"algorithm must be one of {', '.join(get_args(Algorithm))}, got {name!r}"
        )
    settings = ALGORITHMS[name]
    config = trl_objective(
        loss=settings["loss"],
        clip_low=settings["clip_low"],
        clip_high=settings["clip_high"],
        kl_coefficient=settings["kl_coefficient"],
        scale_advantages=settings["scale_advantages"],
    )
    return TrlAlgorithm(config, {"gate": settings.get("gate", "all")})


def trl_objective(
    *, loss: str, clip_low: float, clip_high: float, kl_coefficient: float, scale_advantages: str
) -> dict[str, Any]:
    """What TRL's `GRPOConfig` calls these settings of a recipe."""
    return {
        "loss_type": "grpo" if loss == "gspo" else loss,
        "importance_sampling_level": "sequence" if loss == "gspo" else "token",
        "epsilon": clip_low,
        "epsilon_high": clip_high,
        "beta": kl_coefficient,
        "use_bias_correction_kl": False,  # the paper's k3 estimator, without TRL's ratio
        "scale_rewards": scale_advantages,
    }
