"""Checks that settings share: a number in its range, a whole number, one of several names, a
switch.
"""

from __future__ import annotations

import math
from collections.abc import Iterable
from typing import Any

from vasari.core.errors import ConfigError


def check_number(
    name: str,
    value: Any,
    *,
    least: float = -math.inf,
    most: float = math.inf,
    above: float = -math.inf,
) -> None:
    """Return if `value` is a finite number in [least, most] and greater than `above`.

    Raises:
        ConfigError: It is not.
    """
    if isinstance(value, bool) or not isinstance(value, int | float) or not math.isfinite(value):
        raise ConfigError(f"{name} must be a finite number, got {value!r}")
    if not (least <= value <= most and value > above):
        limits = [
            f"{words} {limit:g}"
            for words, limit in (("at least", least), ("above", above))
            if limit > -math.inf
        ]
        limits += [f"at most {most:g}"] if most < math.inf else []
        raise ConfigError(f"{name} must be {' and '.join(limits)}, got {value}")


def check_whole(name: str, value: Any, *, least: int) -> None:
    """Return if `value` is a whole number of at least `least`.

    Raises:
        ConfigError: It is not.
    """
    if isinstance(value, bool) or not isinstance(value, int) or value < least:
        raise ConfigError(f"{name} must be a whole number of at least {least}, got {value!r}")


def check_choice(name: str, value: Any, known: Iterable[str]) -> None:
    """Return if `value` is one of the `known` names.

    Raises:
        ConfigError: It is not.
    """
    names = tuple(known)
    if value not in names:
        raise ConfigError(f"{name} must be one of {', '.join(names)}, got {value!r}")


def check_switch(name: str, value: Any) -> None:
    """Return if `value` is true or false.

    Raises:
        ConfigError: It is not.
    """
    if not isinstance(value, bool):
        raise ConfigError(f"{name} must be true or false, got {value!r}")
