"""Checks of settings."""

import math
from types import SimpleNamespace

import pytest

from vasari.errors import ConfigError
from vasari.sample.bounds import check_choice, check_positive, check_share, check_whole


@pytest.mark.parametrize("value", [-0.1, 1.1, math.nan, math.inf, True, "half", None])
def test_what_is_no_share_is_refused_by_name(value):
    with pytest.raises(ConfigError, match=r"^part must be a number in \[0, 1\], got "):
        check_share(SimpleNamespace(whole=1, part=value), "whole", "part")


@pytest.mark.parametrize("value", [0, -1.0, math.nan, math.inf, False, "1"])
def test_what_is_not_above_zero_is_refused_by_name(value):
    with pytest.raises(ConfigError, match=r"^rate must be a finite number above 0, got "):
        check_positive(SimpleNamespace(rate=value), "rate")


@pytest.mark.parametrize("value", [1, 2.0, True, "2", None])
def test_what_is_no_whole_number_from_the_bound_up_is_refused_by_name(value):
    with pytest.raises(ConfigError, match=r"^count must be a whole number of at least 2, got "):
        check_whole(SimpleNamespace(count=value), count=2)


def test_an_unknown_name_is_refused_with_the_known_ones():
    with pytest.raises(ConfigError, match=r"^kind must be one of a, b, got 'c'$"):
        check_choice(SimpleNamespace(kind="c"), kind=("a", "b"))


def test_what_is_within_bounds_passes():
    settings = SimpleNamespace(share=0, top=1.0, rate=0.1, count=2, kind="b")
    check_share(settings, "share", "top")
    check_positive(settings, "rate")
    check_whole(settings, count=2)
    check_choice(settings, kind=("a", "b"))
