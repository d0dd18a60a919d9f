"""Recipes of 0.1.0 under today's keys, so that they, and the runs that were begun with them, go
on.
"""

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

_RENAMED = (("grpo.screening", "defer_steps", "defer_batches"),)
"""Where, the old key, today's."""


def upgrade_recipe(
    content: Mapping[str, Any], *, tell: Callable[[str], object] = logger.info
) -> dict[str, Any]:
    """A recipe's content under today's keys; what has them already comes back as it is.

    Args:
        content: What YAML or JSON gave, not yet checked; it is not changed, and nothing that it
            names is imported.
        tell: Called with one line for each change.

    Raises:
        ConfigError: An old key holds what has no meaning today, or stands beside the new one; says
            what to write instead.
    """
    upgraded = dict(content)
    grpo = _opened(upgraded, "grpo")
    if grpo is not None and any(key in grpo for key in _OLD_WEIGHTS.values()):
        tell(_upgrade_rewards(grpo))
    for place, old, new in _RENAMED:
        settings = _opened(upgraded, place)
        if settings is not None and old in settings:
            if new in settings:
                raise ConfigError(
                    f"{place} has both {old} and {new}, which is its name today; leave {old} out"
                )
            settings[new] = settings.pop(old)
            tell(f"the recipe's {place}.{old}, as in 0.1.0, is read as {place}.{new}")
    return upgraded


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
    today = yaml.safe_dump(
        grpo["rewards"], default_flow_style=True, sort_keys=False, width=math.inf
    ).strip()
    return (
        f"the recipe's {old}, as in 0.1.0, {'is' if len(found) == 1 else 'are'} read as"
        f" grpo.rewards: {today}"
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


def _opened(content: dict[str, Any], place: str) -> dict[str, Any] | None:
    """The settings under these keys, copied as all on the way to them, so that they can be changed;
    None without any.
    """
    for key in place.split("."):
        if not isinstance(content.get(key), dict):
            return None
        content[key] = dict(content[key])
        content = content[key]
    return content
