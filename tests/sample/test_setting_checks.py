import math

import pytest

from vasari.core.errors import ConfigError
from vasari.sample.setting_checks import check_choice, check_number, check_switch, check_whole


@pytest.mark.parametrize("value", [0, 0.5, 1])
def test_numbers_in_their_range_pass(value):
    check_number("share", value, least=0, most=1)


@pytest.mark.parametrize(
    ("value", "limits", "message"),
    [
        (1.5, {"least": 0, "most": 1}, "share must be at least 0 and at most 1, got 1.5"),
        (0, {"above": 0}, "share must be above 0, got 0"),
        (0, {"above": 0, "most": 1}, "share must be above 0 and at most 1, got 0"),
        (math.nan, {}, "share must be a finite number, got nan"),
        (math.inf, {"least": 0}, "share must be a finite number, got inf"),
        (True, {"most": 1}, "share must be a finite number, got True"),
        ("0.5", {}, "share must be a finite number, got '0.5'"),
    ],
)
def test_numbers_outside_it_are_refused_with_the_range(value, limits, message):
    with pytest.raises(ConfigError, match=message):
        check_number("share", value, **limits)


@pytest.mark.parametrize("value", [0, 2.0, True, "3"])
def test_what_is_no_whole_number_or_too_small_is_refused(value):
    check_whole("num", 1, least=1)
    with pytest.raises(ConfigError, match="num must be a whole number of at least 1, got"):
        check_whole("num", value, least=1)


def test_unknown_names_are_refused_with_the_known_ones():
    check_choice("rule", "a", ("a", "b"))
    with pytest.raises(ConfigError, match="rule must be one of a, b, got 'c'"):
        check_choice("rule", "c", ("a", "b"))


@pytest.mark.parametrize("value", [0, 1, "yes", None])
def test_what_is_neither_true_nor_false_is_refused(value):
    check_switch("part", True)
    check_switch("part", False)
    with pytest.raises(ConfigError, match="part must be true or false, got"):
        check_switch("part", value)
