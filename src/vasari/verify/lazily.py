"""An attribute that is computed when it is first asked for, and then kept."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, Generic, TypeVar

_Value = TypeVar("_Value")


class lazily(Generic[_Value]):  # noqa: N801 - it is written as a decorator
    """As `functools.cached_property`, without the lock that Python 3.11 takes at each first read.

    Reading twice at the same time gives the same value, so nothing needs a lock here.
    """

    def __init__(self, read: Callable[[Any], _Value]) -> None:
        self._read = read
        self._name = read.__name__
        self.__doc__ = read.__doc__

    def __get__(self, instance: Any, owner: type | None = None) -> _Value:
        if instance is None:
            return self  # type: ignore[return-value]  # Of the class: for documentation.
        value = instance.__dict__[self._name] = self._read(instance)
        return value
