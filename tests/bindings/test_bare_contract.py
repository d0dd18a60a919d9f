"""The recorded draws are what the bare contract of a sampler gives, also killed and resumed."""

from __future__ import annotations

import pytest
import scenario


@pytest.mark.parametrize("name", scenario.SAMPLERS)
def test_the_bare_contract_draws_what_is_recorded(name):
    assert scenario.expected_draws(name) == scenario.recorded_draws(name)


def test_samplers_that_learn_draw_otherwise_than_uniform():
    draws = [scenario.recorded_draws(name) for name in scenario.SAMPLERS]
    assert all(draws.count(own) == 1 for own in draws)
