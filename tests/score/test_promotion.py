import math

import numpy as np
import pytest

from vasari.core.errors import ConfigError
from vasari.score import promotion_score


def test_the_paper_weighs_both_terms_up_to_a_fifth():
    np.testing.assert_allclose(promotion_score([0.25, 0.0, 0.25], [0.0, 1.0, 1.0]), [0.2, 0.2, 0.4])


def test_range_brings_outcome_variance_to_one():
    np.testing.assert_allclose(promotion_score([0.25], [0.0], normalise="range"), [0.8])


def test_an_unknown_part_leaves_the_score_unknown():
    assert np.isnan(promotion_score([math.nan], [0.5]))[0]


@pytest.mark.parametrize("weights", [{"alpha": -0.1}, {"beta": math.nan}, {"beta": math.inf}])
def test_impossible_weights_are_refused(weights):
    with pytest.raises(ConfigError, match="finite and at least 0"):
        promotion_score([0.1], [0.1], **weights)


def test_unknown_normalisation_is_refused():
    with pytest.raises(ConfigError, match="none, range, got 'rank'"):
        promotion_score([0.1], [0.1], normalise="rank")
