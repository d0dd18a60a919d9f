"""Checks of settings: numbers within bounds, names that are known."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any

from vasari.errors import ConfigError


def check_share(settings: Any, *names: str) -> None:
    """Refuse fields that are no number in [0, 1].

    Raises:
        ConfigError: Names the first such field and its value.
    """
    for name in names:
        value = getattr(settings, name)
        if not _is_number(value) or not 0.0 <= value <= 1.0:
            raise ConfigError(f"{name} must be a number in [0, 1], got {value!r}")


def check_positive(settings: Any, *names: str) -> None:
    """Refuse fields that are no finite number above 0.

    Raises:
        ConfigError: Names the first such field and its value.
    """
    for name in names:
        value = getattr(settings, name)
        if not _is_number(value) or value <= 0:
            raise ConfigError(f"{name} must be a finite number above 0, got {value!r}")


def check_whole(settings: Any, **least: int) -> None:
    """Refuse fields that are no whole number of at least the given one.

    Raises:
        ConfigError: Names the first such field and its value.
    """
    for name, bound in least.items():
        value = getattr(settings, name)
        if isinstance(value, bool) or not isinstance(value, int) or value < bound:
            raise ConfigError(f"{name} must be a whole number of at least {bound}, got {value!r}")


def check_choice(settings: Any, **known: Sequence[str]) -> None:
    """Refuse fields that are none of the given names.

    Raises:
        ConfigError: Names the first such field and its value.
    """
    for name, choices in known.items():
        if getattr(settings, name) not in choices:
            raise ConfigError(f"{name} must be one of {', '.join(choices)}, got {getattr(settings, name)!r}")


def _is_number(value: Any) -> bool:
    return not isinstance(value, bool) and isinstance(value, int | float) and math.isfinite(value)
