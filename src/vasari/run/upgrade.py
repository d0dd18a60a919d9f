"""Conversion of recipes with old keys, so that old recipes and their runs still work."""

from __future__ import annotations

import logging
import math
from collections.abc import Callable, Mapping
from typing import Any

import yaml

from vasari.core.errors import ConfigError

logger = logging.getLogger(__name__)

_OLD_WEIGHTS = {"accuracy": "accuracy_reward", "format": "format_reward"}
"""Reward term -> the key under `grpo` that held its weight; a key that was not there meant 1."""

_SHARED_TRL_NAMES = {
    "learning_rate": "learning_rate",
    "warmup": "warmup_steps",
    "weight_decay": "weight_decay",
    "max_grad_norm": "max_grad_norm",
    "bf16": "bf16",
    "gradient_checkpointing": "gradient_checkpointing",
    "report_to": "report_to",
    "deepspeed": "deepspeed",
}
_TRL_NAMES = {
    "sft": {**_SHARED_TRL_NAMES, "workers": "dataloader_num_workers"},
    "grpo": {
        **_SHARED_TRL_NAMES,
        "schedule": "lr_scheduler_type",
        "kl_coefficient": "beta",
        "clip_low": "epsilon",
        "clip_high": "epsilon_high",
        "loss": "loss_type",
        "scale_advantages": "scale_rewards",
        "temperature": "temperature",
        "top_p": "top_p",
        "max_tokens": "max_completion_length",
    },
}
"""Section -> old key -> TRL's name of the setting, which stands under `trl` today."""

_WITHOUT_EFFECT = {"sft": ("save_every",), "grpo": ("workers",)}
"""Keys that were accepted and changed nothing."""


def upgrade_recipe(
    content: Mapping[str, Any], *, tell: Callable[[str], object] = logger.info
) -> dict[str, Any]:
    """Return a recipe's content with outdated keys replaced by the current ones.

    Args:
        content: What YAML or JSON gave, not yet checked; it is not changed, and nothing that it
            names is imported.
        tell: Called with one line for each change.

    Raises:
        ConfigError: An old key holds what has no meaning today, or stands beside the new one; says
            what to write instead.
    """
    upgraded = dict(content)
    grpo = _copy_of(upgraded, "grpo")
    if grpo is not None and any(key in grpo for key in _OLD_WEIGHTS.values()):
        tell(_upgrade_rewards(grpo))
    screening = None if grpo is None else _copy_of(grpo, "screening")
    if screening is not None and "defer_steps" in screening:
        _refuse_both("grpo.screening", "defer_steps", "defer_batches", screening)
        screening["defer_batches"] = screening.pop("defer_steps")
        tell(
            "the recipe's grpo.screening.defer_steps, as in 0.1.0, is read as"
            " grpo.screening.defer_batches"
        )
    for section in _TRL_NAMES:
        settings = _copy_of(upgraded, section)
        if settings is not None:
            _move_to_trl(section, settings, tell)
    return upgraded


def _move_to_trl(section: str, settings: dict[str, Any], tell: Callable[[str], object]) -> None:
    """Move what is only passed to TRL under `trl`, and drop what had no effect."""
    useless = [key for key in _WITHOUT_EFFECT[section] if settings.pop(key, None) is not None]
    if useless:
        tell(f"the recipe's {section}.{useless[0]} is left out: it had no effect")
    old = [key for key in _TRL_NAMES[section] if key in settings]
    if not old or not isinstance(settings.get("trl", {}), dict):
        return
    trl = settings["trl"] = dict(settings.get("trl", {}))
    moved: dict[str, Any] = {}
    for key in old:
        values = _values_for_trl(section, key, settings.pop(key))
        for name in values:
            _refuse_both(section, key, name, trl, under="trl.")
        moved |= values
    if "epsilon" in moved and not settings.get("algorithm"):
        # The two ratios were settings of their own.
        moved.setdefault("epsilon_high", trl.get("epsilon_high", 0.2))
    trl |= moved
    found = ", ".join(f"{section}.{key}" for key in old)
    tell(f"the recipe's {found}, as before 0.2.0, are read as {section}.trl: {_as_yaml(moved)}")


def _values_for_trl(section: str, key: str, value: Any) -> dict[str, Any]:
    """What an old key's value is in TRL's words, by TRL's names."""
    name = _TRL_NAMES[section][key]
    if key == "loss":
        sequence = value == "gspo"
        return {
            "loss_type": "grpo" if sequence else value,
            "importance_sampling_level": "sequence" if sequence else "token",
        }
    if key == "schedule" and value == "constant":
        return {name: "constant_with_warmup"}
    if key == "warmup" and isinstance(value, int | float) and not 0 <= value < 1:
        raise ConfigError(
            f"{section}.warmup was a share of the steps, at least 0 and below 1, got {value!r};"
            f" give {section}.trl.warmup_steps, a share or a number of steps"
        )
    return {name: value}


def _refuse_both(
    place: str, old: str, new: str, settings: Mapping[str, Any], *, under: str = ""
) -> None:
    if new in settings:
        raise ConfigError(
            f"{place} has both {old} and {under}{new}, which is its name today; leave {old} out"
        )


def _upgrade_rewards(grpo: dict[str, Any]) -> str:
    """Put a list of terms in the place of the two weights, and return the line that says so."""
    found = [key for key in _OLD_WEIGHTS.values() if key in grpo]
    old = " and ".join(f"grpo.{key}" for key in found)
    if "rewards" in grpo:
        raise ConfigError(
            f"{old} cannot stand beside grpo.rewards, which holds their weights today; leave"
            f" {found[0]} out"
        )
    weights = {name: _weight(grpo.pop(key, 1.0), key) for name, key in _OLD_WEIGHTS.items()}
    grpo["rewards"] = [
        {"name": name, "weight": weight} for name, weight in weights.items() if weight
    ]
    if not grpo["rewards"]:
        raise ConfigError(
            f"{old} are 0, and nothing would be rewarded; name the terms in grpo.rewards: [{{name:"
            " accuracy}]"
        )
    return (
        f"the recipe's {old}, as in 0.1.0, {'is' if len(found) == 1 else 'are'} read as"
        f" grpo.rewards: {_as_yaml(grpo['rewards'])}"
    )


def _weight(value: Any, key: str) -> float:
    try:
        weight = float(value)
    except (TypeError, ValueError):
        weight = math.nan
    if not (math.isfinite(weight) and weight >= 0):
        raise ConfigError(
            f"grpo.{key} must be a number, at least 0, got {value!r}; today it is a weight in"
            " grpo.rewards"
        )
    return weight


def _as_yaml(value: Any) -> str:
    """The value in one line of YAML."""
    line: str = yaml.safe_dump(value, default_flow_style=True, sort_keys=False, width=math.inf)
    return line.strip()


def _copy_of(content: dict[str, Any], key: str) -> dict[str, Any] | None:
    """The settings under this key, replaced by a copy that can be changed; None without any."""
    if not isinstance(content.get(key), dict):
        return None
    content[key] = dict(content[key])
    return content[key]  # type: ignore[no-any-return]
