import numpy as np
import pytest

from vasari.core.errors import ConfigError
from vasari.sample import SAMPLER_NAMES, PoolFeatures, make_sampler, vas_settings


@pytest.mark.parametrize("name", SAMPLER_NAMES)
def test_a_sampler_has_the_name_it_was_made_by(name):
    features = PoolFeatures(
        difficulty=np.array([0.1, 0.5, 0.9]), pass_rates=np.array([0.9, 0.5, 0.1])
    )
    assert make_sampler(name, num_prompts=3, seed=0, features=features).name == name


@pytest.mark.parametrize("name", SAMPLER_NAMES)
def test_a_recipe_can_check_the_settings_of_a_sampler_before_the_pool_is_known(name):
    assert len(make_sampler(name, num_prompts=1, seed=0).draw(1)) == 1


@pytest.mark.parametrize(
    ("name", "settings", "message"),
    [
        ("vasari", {}, r"sampler must be one of uniform, weighted_passes, vas, .*got 'vasari'"),
        ("uniform", {"alpha": 1}, "sampler 'uniform' has no setting 'alpha'; it has: none"),
        (
            "vas",
            {"lambda_": 1, "gamma": 2},
            "has no setting 'gamma', 'lambda_'; it has: alpha, beta, diversity",
        ),
        (
            "vas",
            {"preset": "mmr1"},
            "must be one of default, paper, paper-ablation, paper-table6, got 'mmr1'",
        ),
        ("vas", {"preset": ["paper"]}, r"must be one of default, .*, got \['paper'\]"),
        (
            "vas",
            {"preset": "paper", "mix_ratio": 2},
            "mix_ratio must be at least 0 and at most 1, got 2",
        ),
    ],
)
def test_what_does_not_exist_is_refused_with_what_does(name, settings, message):
    with pytest.raises(ConfigError, match=message):
        make_sampler(name, num_prompts=3, seed=0, **settings)


def test_settings_change_a_preset():
    settings = vas_settings(preset="paper-ablation", beta=0.1)
    assert (settings.num_refresh_rollouts, settings.beta, settings.replacement) == (8, 0.1, True)
