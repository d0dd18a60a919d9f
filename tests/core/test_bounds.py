"""Settings that are held to the bounds in their types, at construction and by pydantic."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Annotated, Any, Literal

import numpy as np
import pytest
from pydantic import ValidationError

from vasari.core.bounds import Bounds, check_fields
from vasari.core.errors import ConfigError
from vasari.core.settings import Settings


@dataclass(frozen=True, slots=True, kw_only=True)
class Example:
    share: Annotated[float, Bounds(least=0, most=1)] = 0.5
    rate: Annotated[float, Bounds(above=0)] = 1.0
    part: Annotated[float, Bounds(above=0, most=1)] = 1.0
    free: float = 0.0
    num: Annotated[int, Bounds(least=1)] = 1
    few: Annotated[int, Bounds(least=1, most=3)] = 1
    whole: int = 0
    limit: Annotated[int, Bounds(least=1)] | None = None
    rule: Literal["a", "b"] = "a"
    ddof: Literal[0, 1] = 0
    switch: bool = True
    name: str = "x"
    other: Mapping[str, Any] = field(default_factory=dict)

    def __post_init__(self) -> None:
        check_fields(self)


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("share", 0),
        ("share", 1),
        ("share", 0.5),
        ("share", np.float64(0.5)),
        ("share", np.float32(0.5)),
        ("free", -3),
        ("free", np.int64(7)),
        ("num", 1),
        ("num", np.int64(3)),
        ("few", 3),
        ("whole", -1),
        ("limit", None),
        ("limit", 2),
        ("rule", "b"),
        ("ddof", 1),
        ("switch", False),
        ("name", ""),
        ("other", 3),
    ],
)
def test_what_lies_in_its_bounds_passes(name, value):
    assert getattr(Example(**{name: value}), name) is value


@pytest.mark.parametrize(
    ("name", "value", "message"),
    [
        ("share", 1.5, "share must be at least 0 and at most 1, got 1.5"),
        ("rate", 0, "rate must be above 0, got 0"),
        ("part", 0, "part must be above 0 and at most 1, got 0"),
        ("free", math.nan, "free must be a finite number, got nan"),
        ("share", math.nan, "share must be a finite number, got nan"),
        ("share", np.float64("nan"), "share must be a finite number, got"),
        ("rate", math.inf, "rate must be a finite number, got inf"),
        ("share", True, "share must be a finite number, got True"),
        ("share", "0.5", "share must be a finite number, got '0.5'"),
        ("share", None, "share must be a finite number, got None"),
        ("share", 10**400, "share must be at least 0 and at most 1, got 1000"),
        *[
            ("num", value, "num must be a whole number of at least 1, got")
            for value in (0, 2.0, True, "3", None, math.nan, [1])
        ],
        ("few", 4, "few must be a whole number of at least 1 and at most 3, got 4"),
        ("whole", 0.5, "whole must be a whole number, got 0.5"),
        ("limit", 0, "limit must be a whole number of at least 1 or None, got 0"),
        ("rule", "c", "rule must be one of a, b, got 'c'"),
        ("rule", None, "rule must be one of a, b, got None"),
        ("rule", ["a"], "rule must be one of a, b, got"),
        ("ddof", 2, "ddof must be one of 0, 1, got 2"),
        *[("switch", value, "switch must be true or false, got") for value in (0, 1, "yes", None)],
        ("name", 5, "name must be a text, got 5"),
    ],
)
def test_what_does_not_is_refused_with_what_was_expected_and_what_came(name, value, message):
    with pytest.raises(ConfigError, match=message.replace("[", r"\[")):
        Example(**{name: value})


def test_the_message_says_whose_setting_it_is():
    example = Example()
    object.__setattr__(example, "share", 2)
    with pytest.raises(ConfigError, match="sampler 'x': share must be at least 0"):
        check_fields(example, of="sampler 'x'")


class Recipe(Settings):
    example: Example = Example()


@pytest.mark.parametrize(
    ("content", "where", "message"),
    [
        ({"share": 2}, ("example",), "share must be at least 0 and at most 1, got 2"),
        ({"shares": 0.5}, ("example", "shares"), "Unexpected keyword argument"),
        ({"num": "many"}, ("example", "num"), "valid integer"),
        ({"rule": "c"}, ("example", "rule"), "'a' or 'b'"),
    ],
)
def test_a_recipe_is_held_to_the_same_bounds(content, where, message):
    assert Recipe.model_validate({"example": {"share": 0.25}}).example == Example(share=0.25)
    with pytest.raises(ValidationError, match=message) as caught:
        Recipe.model_validate({"example": content})
    assert caught.value.errors()[0]["loc"] == where


def test_each_wrong_field_is_named():
    with pytest.raises(ConfigError, match=r"share must be .*, got 2; switch must be .*, got 3"):
        Example(share=2, switch=3)
