"""Two rollouts of two and one tokens, worked by hand for every loss; gradients against
differences."""

import dataclasses
import math

import numpy as np
import pytest

from vasari.core.errors import ConfigError, DataError
from vasari.score import LOSSES, LossSettings, policy_loss

# Ratios 1.5 and 0.5 in the first rollout (advantage 2), 0.7 in the second (advantage -1).
OLD = [np.array([-1.0, -2.0]), np.array([-0.5])]
NEW = [OLD[0] + np.log([1.5, 0.5]), OLD[1] + np.log([0.7])]
ADVANTAGES = [2.0, -1.0]
# Under the reference each token is 2, 1 and 1/2 times as likely: k3 = 2 - ln 2 - 1, 0, 1/2 + ln 2 -
# 1.
REFERENCE = [NEW[0] + np.log([2.0, 1.0]), NEW[1] + np.log([0.5])]
K3 = [1 - math.log(2), 0.0, math.log(2) - 0.5]

# With clip 0.2: min(1.5 * 2, 1.2 * 2) = 2.4, min(0.5 * 2, 0.8 * 2) = 1, min(-0.7, -0.8) = -0.8.
BY_HAND = {
    "grpo": -((2.4 + 1.0) / 2 - 0.8) / 2 + 0.01 * ((K3[0] + K3[1]) / 2 + K3[2]) / 2,
    # Clipped above at 1.28: 2.56; three tokens.
    "dapo": -(2.56 + 1.0 - 0.8) / 3,
    # Two rollouts of at most ten tokens.
    "dr_grpo": -(2.4 + 1.0 - 0.8) / 20,
    # Ratios sqrt(0.75) = 0.866 and 0.7: the first is not clipped for an advantage above 0, the
    # second is, at 0.9997.
    "gspo": -(math.sqrt(0.75) * 2 - 0.9997) / 2,
}


def settings_of(name):
    return dataclasses.replace(LOSSES[name], max_tokens=10) if name == "dr_grpo" else LOSSES[name]


@pytest.mark.parametrize("name", BY_HAND)
def test_each_loss_is_what_its_formula_gives_by_hand(name):
    reference = REFERENCE if name == "grpo" else None
    found = policy_loss(NEW, OLD, ADVANTAGES, settings_of(name), reference_logprobs=reference)
    assert found.loss == pytest.approx(BY_HAND[name], rel=1e-12)


def test_every_loss_is_worked_by_hand():
    assert set(BY_HAND) == set(LOSSES)


def test_shares_and_divergence_are_means_over_tokens():
    found = policy_loss(NEW, OLD, ADVANTAGES, LOSSES["grpo"], reference_logprobs=REFERENCE)
    # The first token is clipped above, the third below; the second, a ratio of 0.5 for an advantage
    # of 2, is not.
    assert (found.clipped_share, found.kl) == pytest.approx((2 / 3, sum(K3) / 3))


def test_the_first_update_of_a_batch_has_the_policy_gradient():
    # All ratios are 1: -A / (2 tokens x 2 rollouts), and -A / (1 token x 2 rollouts).
    found = policy_loss(OLD, OLD, ADVANTAGES, LossSettings())
    np.testing.assert_allclose(np.concatenate(found.gradient), [-0.5, -0.5, 0.5])
    assert (found.loss, found.clipped_share) == (-0.5, 0.0)


def test_a_rollout_without_tokens_counts_as_a_rollout_with_a_term_of_zero():
    found = policy_loss([*OLD, []], [*OLD, []], [*ADVANTAGES, 5.0], LossSettings())
    assert found.loss == pytest.approx(-1.0 / 3)
    assert [len(part) for part in found.gradient] == [2, 1, 0]


def test_nothing_is_known_of_rollouts_without_tokens():
    found = policy_loss([[]], [[]], [1.0], LossSettings(reduction="token_mean"))
    assert (found.loss, math.isnan(found.clipped_share), math.isnan(found.kl)) == (0.0, True, True)


@pytest.mark.parametrize("name", LOSSES)
def test_the_gradient_is_the_slope_of_the_loss(name):
    rng = np.random.default_rng(3)
    lengths = [4, 1, 7, 2, 3, 5, 2, 6]
    old, reference = ([-rng.exponential(size=n) for n in lengths] for _ in range(2))
    new = [row + (2e-3 if name == "gspo" else 0.3) * rng.standard_normal(len(row)) for row in old]
    chosen = dataclasses.replace(settings_of(name), kl_coefficient=0.1)
    advantages = rng.standard_normal(len(lengths))

    def found(flat):
        rows = np.split(flat, np.cumsum(lengths)[:-1])
        return policy_loss(rows, old, advantages, chosen, reference_logprobs=reference)

    flat, step = np.concatenate(new), 1e-7
    assert 0 < found(flat).clipped_share < 1
    nudges = step * np.eye(len(flat))
    slopes = [
        (found(flat + nudge).loss - found(flat - nudge).loss) / (2 * step) for nudge in nudges
    ]
    np.testing.assert_allclose(np.concatenate(found(flat).gradient), slopes, atol=1e-8)


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"ratio": "word"}, r"ratio must be one of token, sequence, got 'word'"),
        ({"reduction": "sum"}, r"reduction must be one of sequence_mean, .*, got 'sum'"),
        ({"clip_low": 1.5}, r"clip_low must be in \[0, 1\], got 1.5"),
        ({"clip_high": -0.1}, r"clip_high must be finite and at least 0"),
        ({"kl_coefficient": math.nan}, r"kl_coefficient must be finite"),
        ({"max_tokens": 0}, r"max_tokens must be at least 1"),
    ],
)
def test_impossible_settings_are_refused(changes, message):
    with pytest.raises(ConfigError, match=message):
        LossSettings(**changes)


def test_a_divergence_without_a_reference_is_refused():
    with pytest.raises(ConfigError, match=r"KL coefficient of 0.01 needs reference_logprobs"):
        policy_loss(NEW, OLD, ADVANTAGES, LOSSES["grpo"])


def test_a_constant_length_must_be_named():
    with pytest.raises(ConfigError, match=r"set it to the limit of a rollout"):
        policy_loss(NEW, OLD, ADVANTAGES, LOSSES["dr_grpo"])


def test_a_rollout_above_the_limit_is_refused():
    with pytest.raises(DataError, match=r"a rollout has 2 tokens, more than max_tokens=1"):
        policy_loss(NEW, OLD, ADVANTAGES, dataclasses.replace(LOSSES["dr_grpo"], max_tokens=1))


@pytest.mark.parametrize(
    ("new", "old", "advantages", "message"),
    [
        (np.zeros((2, 3)), np.zeros((2, 3)), [1.0, 1.0], r"padding cannot be told from tokens"),
        ([], [], [], r"logprobs holds no rollouts"),
        (
            [[0.0], [math.nan]],
            OLD,
            ADVANTAGES,
            r"logprobs of rollout 1 must be a vector of finite numbers",
        ),
        (
            NEW,
            [OLD[0], [0.0, 0.0]],
            ADVANTAGES,
            r"old_logprobs has \[2, 2\] tokens a rollout where logprobs has \[2, 1\]",
        ),
        (NEW, OLD, [1.0], r"advantages must be 2 finite numbers"),
        (NEW, OLD, [1.0, math.nan], r"advantages must be 2 finite numbers"),
    ],
)
def test_what_is_no_batch_of_rollouts_is_refused(new, old, advantages, message):
    with pytest.raises(DataError, match=message):
        policy_loss(new, old, advantages, LossSettings())
