"""Settings of a user's own code: which fit its signature, and how errors of its own are told."""

import os

import pytest

from vasari.core.errors import ConfigError, DataError
from vasari.core.plugins import build, check_settings


def test_what_is_built_gets_what_it_names_and_its_settings():
    assert build(
        lambda seed, noise=0.1: (seed, noise),
        given={"seed": 3, "ids": ()},
        settings={"noise": 0.5},
        what="x",
    ) == (
        3,
        0.5,
    )
    assert build(lambda **rest: rest, given={"seed": 3}, settings={"noise": 0.5}, what="x") == {
        "noise": 0.5
    }


@pytest.mark.parametrize(
    ("make", "settings", "message"),
    [
        (
            lambda noise=1: noise,
            {"noize": 2},
            "sampler 'a:b' has no setting 'noize'; it has: noise",
        ),
        (lambda: 0, {"noise": 2}, "sampler 'a:b' has no setting 'noise'; it has: none"),
        (lambda seed: seed, {"seed": 2}, "sampler 'a:b' has no setting 'seed'; it has: none"),
        (lambda **rest: rest, {"seed": 2}, "sampler 'a:b' has no setting 'seed'"),
        (lambda noise: noise, {}, "sampler 'a:b' needs the setting 'noise'"),
        (os, {}, "sampler 'a:b' is a module, which cannot be called with settings"),
        (7, {}, "sampler 'a:b' is a int, which cannot be called with settings"),
    ],
    ids=["misspelt", "none", "given", "given to all", "missing", "module", "number"],
)
def test_settings_that_do_not_fit_are_named_before_anything_is_called(make, settings, message):
    with pytest.raises(ConfigError) as refused:
        check_settings(make, given=("seed",), settings=settings, what="sampler 'a:b'")
    assert message in str(refused.value)


def test_an_error_while_it_is_made_is_one_line_with_its_cause():
    def make(noise):
        raise RuntimeError("no\nnoise")

    with pytest.raises(
        ConfigError, match=r"^gate 'a:b' cannot be made: RuntimeError: no noise$"
    ) as refused:
        build(make, given={}, settings={"noise": 1}, what="gate 'a:b'")
    assert isinstance(refused.value.__cause__, RuntimeError)


def test_an_error_of_vasari_while_it_is_made_stays_what_it_is():
    def make():
        raise DataError("prompt 7 has no answer")

    with pytest.raises(DataError, match=r"^prompt 7 has no answer$"):
        build(make, given={}, settings={}, what="gate 'a:b'")
