"""Allowed ranges of settings, in their types: `Annotated[float, Bounds(least=0, most=1)]`."""

from __future__ import annotations

import math
import numbers
import types
from dataclasses import dataclass, fields
from typing import Annotated, Any, Literal, Union, get_args, get_origin, get_type_hints

from vasari.core.errors import ConfigError


@dataclass(frozen=True, slots=True, kw_only=True)
class Bounds:
    """Allowed range of a number: at least `least`, greater than `above`, at most `most`."""

    least: float = -math.inf
    above: float = -math.inf
    most: float = math.inf

    def hold(self, number: Any) -> bool:
        """Whether a number lies within these bounds; nan does not."""
        return bool(self.least <= number <= self.most and number > self.above)

    def __str__(self) -> str:
        limits = (("at least", self.least), ("above", self.above), ("at most", self.most))
        return " and ".join(f"{word} {limit:g}" for word, limit in limits if math.isfinite(limit))


Share = Annotated[float, Bounds(least=0, most=1)]
"""A number in [0, 1]."""

PositiveShare = Annotated[float, Bounds(above=0, most=1)]
"""A number in (0, 1]."""

Positive = Annotated[float, Bounds(above=0)]
"""A number above 0."""

NotNegative = Annotated[float, Bounds(least=0)]
"""A number of at least 0."""

PositiveCount = Annotated[int, Bounds(least=1)]
"""A whole number of at least 1."""

Count = Annotated[int, Bounds(least=0)]
"""A whole number of at least 0."""


def check_fields(settings: Any, *, of: str = "") -> None:
    """Check that each field of a dataclass holds a value of its type; used in `__post_init__`.

    A `float` is a finite number and an `int` a whole one, each within its `Bounds` and neither a
    `bool`; a `bool` is true or false, a `str` a text, a `Literal` one of its values, and `X | None`
    may be None. Fields of other types are not checked. A pydantic model with such a dataclass as a
    field calls its constructor, so that a recipe is held to the same bounds.

    Args:
        settings: An instance of a dataclass.
        of: What the settings are of, for the error message.

    Raises:
        ConfigError: A field holds something else; names each such field, what it must be, and what
            came.
    """
    kinds = get_type_hints(type(settings), include_extras=True)
    wrong = []
    for name in (field.name for field in fields(settings)):
        value = getattr(settings, name)
        if expected := _unmet(value, kinds[name]):
            wrong.append(f"{name} must be {expected}, got {value!r}")
    if wrong:
        raise ConfigError(f"{of}: {'; '.join(wrong)}" if of else "; ".join(wrong))


def _unmet(value: Any, kind: Any, bounds: Bounds | None = None) -> str:
    """What a value of this type must be, in words; empty where it is."""
    bounds = bounds or Bounds()
    if get_origin(kind) is Annotated:
        kind, *marks = get_args(kind)
        return _unmet(value, kind, next((mark for mark in marks if isinstance(mark, Bounds)), None))
    if get_origin(kind) in (Union, types.UnionType):
        unmet = [_unmet(value, one, bounds) for one in get_args(kind)]
        return " or ".join(unmet) if all(unmet) else ""
    if get_origin(kind) is Literal:
        known = get_args(kind)
        return "" if value in known else f"one of {', '.join(map(str, known))}"
    if kind is type(None):
        return "" if value is None else "None"
    if kind is bool:
        return "" if isinstance(value, bool) else "true or false"
    if kind is str:
        return "" if isinstance(value, str) else "a text"
    if kind not in (int, float):
        return ""
    wanted: Any = numbers.Integral if kind is int else numbers.Real
    is_number = isinstance(value, wanted) and not isinstance(value, bool)
    if kind is int:
        limits = f" of {bounds}" if str(bounds) else ""
        return "" if is_number and bounds.hold(value) else f"a whole number{limits}"
    if not is_number or not -math.inf < value < math.inf:
        return "a finite number"
    return "" if bounds.hold(value) else str(bounds)
