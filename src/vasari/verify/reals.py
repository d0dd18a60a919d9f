"""How real numbers are computed: as floats, or with sixty digits to tell near ones apart."""

from __future__ import annotations

import functools
import importlib.util
import math
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from fractions import Fraction
from typing import Any

PRECISE_DIGITS = 60

FUNCTION_NAMES = (
    "sin", "cos", "tan", "asin", "acos", "atan", "sec", "csc", "cot", "ln", "exp",
    "sinh", "cosh", "tanh",
)  # fmt: skip
"""Functions that are computed."""


@dataclass(frozen=True, slots=True)
class Reals:
    """Constants, roots, powers and functions of real numbers."""

    constants: Mapping[str, float]
    real: Callable[[Any], float]
    """Turns an exact fraction or a number of this kind into a real number."""
    functions: Mapping[str, Callable[[Any], float]]
    power: Callable[[Any, Any], float]

    def call(self, name: str, argument: Any) -> float:
        """Return a function's value.

        Raises:
            ValueError: It is not defined there, or not real.
        """
        value = self.functions[name](self.real(argument))
        if getattr(value, "imag", 0):
            raise ValueError(f"{name} is not real there")
        return value

    def alike(self, left: Any, right: Any) -> tuple[Any, Any]:
        """Return two numbers that can be added and multiplied: a fraction as a real number."""
        if isinstance(left, Fraction) is isinstance(right, Fraction) or self is FLOATS:
            return left, right
        return self.real(left), self.real(right)

    def root(self, value: Any, degree: int) -> float:
        """Return the real root of a number that is not negative."""
        if degree == 2:
            return self.functions["sqrt"](self.real(value))
        return self.power(self.real(value), self.real(1) / degree)

    def of_degrees(self, value: Any) -> float:
        """Return degrees as radians."""
        return self.real(value) * self.constants["pi"] / 180


def _reciprocals(cos: Any, sin: Any, tan: Any) -> dict[str, Callable[[Any], float]]:
    return {"sec": lambda x: 1 / cos(x), "csc": lambda x: 1 / sin(x), "cot": lambda x: 1 / tan(x)}


FLOATS = Reals(
    constants={"pi": math.pi, "e": math.e},
    real=float,
    functions={
        **{name: getattr(math, name) for name in FUNCTION_NAMES if hasattr(math, name)},
        **_reciprocals(math.cos, math.sin, math.tan),
        "ln": math.log,
        "sqrt": math.sqrt,
    },
    power=math.pow,
)
"""Numbers of the machine, of 15 digits."""


@functools.cache
def precise() -> Reals | None:
    """Return real numbers of sixty digits; None where mpmath is not installed."""
    if importlib.util.find_spec("mpmath") is None:
        return None
    import mpmath  # noqa: PLC0415 (of the extra `evaluate`)

    # A context of its own: other users of mpmath keep their precision.
    context = mpmath.mp.clone()
    context.dps = PRECISE_DIGITS

    def real(value: Any) -> Any:
        if hasattr(value, "numerator") and not isinstance(value, float):
            return context.mpf(value.numerator) / value.denominator
        return context.mpf(value)

    return Reals(
        constants={"pi": +context.pi, "e": +context.e},
        real=real,
        functions={
            **{name: getattr(context, name) for name in (*FUNCTION_NAMES, "sqrt")},
        },
        power=lambda base, exponent: context.power(real(base), real(exponent)),
    )
