import logging
import math

import numpy as np
import pytest

from vasari.core.errors import ConfigError
from vasari.records import GroupOutcome
from vasari.sample import VAS_PRESETS, VarianceAwareSettings, make_sampler

NAN = math.nan
SAME = [[1, 2, 3], [1, 2, 3]]
DIFFERENT = [[1, 2, 3], [4, 5, 6]]


def group(index, verdicts, *, tokens=SAME, purpose="refresh", step=None):
    verdicts = np.array(verdicts, dtype=np.float64)
    return GroupOutcome(
        index=index,
        rewards=verdicts,
        verdicts=verdicts,
        token_ids=tokens,
        purpose=purpose,
        batch=step,
    )


def vas(num_prompts=10, seed=0, **settings):
    return make_sampler("vas", num_prompts=num_prompts, seed=seed, **settings)


def test_scores_are_the_papers_formula():
    sampler = vas(4)
    sampler.observe(
        [
            group(0, [1, 0]),
            group(1, [1, 1], tokens=DIFFERENT),
            group(2, [1, 0], tokens=DIFFERENT),
            group(3, [0, 0]),
        ]
    )
    np.testing.assert_allclose(sampler.scores(), [0.2, 0.2, 0.4, 0.0], atol=1e-12)


def test_range_lets_outcome_variance_reach_alpha():
    sampler = vas(1, normalise="range")
    sampler.observe([group(0, [1, 0])])
    np.testing.assert_allclose(sampler.scores(), [0.8], atol=1e-12)


@pytest.mark.parametrize(
    ("mix_ratio", "batch", "num_promoted"),
    # floor(0.29 * 100) in floating point is 28: the float is 28.999999999999996.
    [
        (0.5, 8, 4),
        (0.5, 9, 4),
        (0.29, 100, 29),
        (0.57, 100, 57),
        (0.58, 100, 58),
        (0.0, 8, 0),
        (1.0, 8, 8),
    ],
)
def test_the_promoted_part_is_the_floor_of_its_share(mix_ratio, batch, num_promoted):
    roles = vas(200, mix_ratio=mix_ratio).draw(batch).roles
    assert roles == ("promoted",) * num_promoted + ("uniform",) * (batch - num_promoted)


def test_only_prompts_with_a_score_are_promoted_while_there_are_enough():
    sampler = vas(20)
    sampler.observe([group(index, [1, 0] if index < 5 else [0, 0]) for index in range(20)])
    promoted = [set(sampler.draw(10).indices[:5].tolist()) for _ in range(20)]
    assert promoted == [set(range(5))] * 20


def test_when_scores_run_out_the_rest_is_uniform():
    sampler = vas(20, mix_ratio=1.0)
    sampler.observe([group(index, [1, 0] if index < 2 else [0, 0]) for index in range(20)])
    draws = [sampler.draw(4).indices.tolist() for _ in range(300)]
    assert all(set(draw[:2]) == {0, 1} for draw in draws)
    others = np.bincount([index for draw in draws for index in draw[2:]], minlength=20)[2:]
    assert (
        others.min() > 0
    )  # 600 draws over 18 prompts: a miss has probability 18 * (17/18)**600 < 1e-13


def test_the_paper_draws_with_replacement():
    sampler = vas(3, preset="paper")
    sampler.observe([group(0, [1, 0]), group(1, [0, 0]), group(2, [0, 0])])
    draw = sampler.draw(40)
    assert draw.indices[:20].tolist() == [0] * 20
    assert set(draw.indices[20:].tolist()) == {0, 1, 2}


@pytest.mark.parametrize("refresh", ["full", "stale"])
def test_all_prompts_are_due_before_the_first_step(refresh):
    assert vas(5, refresh=refresh).due(0).tolist() == [0, 1, 2, 3, 4]


def test_full_refreshes_all_every_so_many_steps_and_at_no_other():
    sampler = vas(5, refresh_every=4)
    assert {step: len(sampler.due(step)) for step in range(10) if len(sampler.due(step))} == {
        0: 5,
        4: 5,
        8: 5,
    }


@pytest.mark.parametrize("refresh", ["full", "stale"])
def test_what_was_refreshed_at_this_step_is_due_no_more(refresh):
    sampler = vas(4, refresh=refresh)
    sampler.observe(
        [
            group(index, [NAN, NAN] if index else [1, 0], step=0)
            for index in sampler.due(0)[:3].tolist()
        ]
    )
    assert sampler.due(0).tolist() == [3]


def test_groups_without_a_step_count_for_the_step_that_asked_for_them():
    sampler = vas(4, refresh_every=5)
    sampler.observe([group(index, [1, 0]) for index in sampler.due(5).tolist()])
    assert (sampler.due(5).tolist(), len(sampler.due(10))) == ([], 4)


def test_stale_refreshes_the_share_whose_scores_are_oldest():
    sampler = vas(8, refresh="stale", refresh_every=10, stale_share=0.25)
    sampler.observe([group(index, [1, 0], step=0) for index in sampler.due(0).tolist()])
    sampler.observe([group(index, [1, 0], step=4, purpose="train") for index in (0, 1, 2)])
    assert sampler.due(10).tolist() == [3, 4]
    sampler.observe([group(index, [1, 0], step=10) for index in (3, 4)])
    assert sampler.due(10).tolist() == []
    assert sampler.due(20).tolist() == [5, 6]


def test_online_asks_for_nothing():
    sampler = vas(8, refresh="online", refresh_every=2)
    assert [len(sampler.due(step)) for step in range(6)] == [0] * 6


@pytest.mark.parametrize(
    ("refresh", "learns"), [("full", False), ("stale", True), ("online", True)]
)
@pytest.mark.parametrize("purpose", ["train", "discarded", "screen"])
def test_training_groups_teach_all_but_full(refresh, learns, purpose):
    sampler = vas(2, refresh=refresh)
    before = sampler.scores()
    sampler.observe([group(0, [0, 0], purpose=purpose)])
    assert (sampler.scores()[0] != before[0]) == learns
    assert sampler.observed_groups == int(learns)


def test_prompts_never_seen_have_the_highest_possible_score():
    sampler = vas(3, refresh="online")
    sampler.observe([group(0, [1, 0], tokens=DIFFERENT)])
    np.testing.assert_allclose(sampler.scores(), 0.4)


def test_a_prompt_that_was_never_verifiable_has_the_mean_of_the_known_scores():
    sampler = vas(4)
    sampler.observe([group(0, [1, 0]), group(1, [NAN, NAN]), group(2, [0, 0])])
    np.testing.assert_allclose(sampler.scores(), [0.2, 0.1, 0.0, 0.4], atol=1e-12)
    sampler.observe([group(2, [1, 0])])
    np.testing.assert_allclose(sampler.scores()[1], 0.2, atol=1e-12)
    sampler.observe([group(1, [0, 0])])
    np.testing.assert_allclose(sampler.scores()[1], 0.0, atol=1e-12)


def test_the_last_group_of_a_prompt_counts():
    sampler = vas(2)
    sampler.observe([group(0, [0, 0]), group(0, [1, 0]), group(1, [0, 0])])
    np.testing.assert_allclose(sampler.scores(), [0.2, 0.0], atol=1e-12)


def test_groups_without_tokens_keep_the_diversity_known_before_and_say_so(caplog):
    sampler = vas(2)
    sampler.observe([group(0, [0, 0], tokens=DIFFERENT)])
    with caplog.at_level(logging.WARNING):
        sampler.observe([group(0, [1, 0], tokens=()), group(1, [1, 0], tokens=())])
    np.testing.assert_allclose(sampler.scores(), [0.4, 0.2], atol=1e-12)
    assert sampler.metrics()["sampler/groups_without_diversity"] == 2
    assert caplog.text.count("pass token_ids") == 1


def test_without_a_weight_diversity_is_not_asked_for(caplog):
    sampler = vas(1, beta=0.0)
    with caplog.at_level(logging.WARNING):
        sampler.observe([group(0, [1, 0], tokens=())])
    assert (caplog.text, sampler.metrics()["sampler/groups_without_diversity"]) == ("", 0)


def test_metrics_describe_the_scores_and_the_last_batch():
    sampler = vas(4, mix_ratio=1.0)
    sampler.observe([group(0, [1, 0]), group(1, [1, 0]), group(2, [0, 0], tokens=DIFFERENT)])
    sampler.observe([group(3, [NAN, NAN])])
    sampler.draw(4)
    metrics = sampler.metrics()
    assert metrics["sampler/vps_mean"] == pytest.approx(0.2)
    assert metrics["sampler/vps_std"] == pytest.approx(0.0)
    assert metrics["sampler/ovs_mean"] == pytest.approx(0.5 / 3)
    assert metrics["sampler/tds_mean"] == pytest.approx(1 / 3)
    assert metrics["sampler/promoted_mixed_share"] == pytest.approx(2 / 3)
    assert metrics["sampler/scored_share"] == 0.75
    assert metrics["sampler/prompts_unverifiable"] == 1
    assert sum(metrics[f"sampler/vps_histogram_{place}"] for place in range(10)) == 3


def test_metrics_of_a_fresh_sampler_are_numbers():
    assert all(isinstance(value, float) for value in vas(3, alpha=0.0, beta=0.0).metrics().values())


def test_weights_of_zero_draw_uniformly():
    sampler = vas(6, alpha=0.0, beta=0.0)
    sampler.observe([group(0, [1, 0])])
    assert len(set(sampler.draw(6).indices.tolist())) == 6


@pytest.mark.parametrize(
    ("preset", "expected"),
    # N, lambda, alpha, beta, T, replacement: arXiv:2509.21268, section 6.1, the ablation, and table
    # 6.
    [
        ("paper", (32, 0.5, 0.8, 0.2, 35, True)),
        ("paper-ablation", (8, 0.5, 0.5, 0.5, 28, True)),
        ("paper-table6", (16, 0.5, 0.8, 0.2, 56, True)),
        ("default", (32, 0.5, 0.8, 0.2, 35, False)),
    ],
)
def test_presets_are_the_papers(preset, expected):
    s = VAS_PRESETS[preset]
    assert (
        s.num_refresh_rollouts,
        s.mix_ratio,
        s.alpha,
        s.beta,
        s.refresh_every,
        s.replacement,
    ) == expected
    assert (s.refresh, s.diversity, s.normalise) == ("full", "self_bleu", "none")


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        ({"mix_ratio": 1.5}, "mix_ratio must be at least 0 and at most 1, got 1.5"),
        ({"mix_ratio": "half"}, "mix_ratio must be a finite number, got 'half'"),
        ({"alpha": -1}, "alpha must be at least 0"),
        ({"beta": NAN}, "beta must be a finite number"),
        ({"stale_share": 0.0}, "stale_share must be above 0 and at most 1, got 0"),
        ({"refresh_every": 0}, "refresh_every must be a whole number of at least 1"),
        ({"num_refresh_rollouts": 2.5}, "num_refresh_rollouts must be a whole number"),
        ({"refresh": "never"}, "refresh must be one of full, stale, online, got 'never'"),
        ({"diversity": "bleu"}, "diversity must be one of self_bleu"),
        ({"normalise": "rank"}, "normalise must be one of none, range"),
        ({"replacement": "yes"}, "replacement must be true or false"),
    ],
)
def test_impossible_settings_are_refused(settings, message):
    with pytest.raises(ConfigError, match=message):
        VarianceAwareSettings(**settings)
