"""Rewards, advantages, variances and diversity, from verdicts and tokens. NumPy only."""

from vasari.score.advantage import (
    ADVANTAGE_DENOMINATORS,
    AdvantageDenominator,
    AdvantageScale,
    group_advantages,
)
from vasari.score.check_reward import check_reward
from vasari.score.diversity import DIVERSITY_METRICS, DiversityMetric, trajectory_diversity
from vasari.score.promotion import MAX_OUTCOME_VARIANCE, Normalise, promotion_score
from vasari.score.reward import Reward, RewardTerm, score_rollouts
from vasari.score.rewards import REWARDS, make_rewards
from vasari.score.terms import format_ok
from vasari.score.value import (
    GROUP_VALUES,
    GroupValue,
    beta_information,
    expected_group_value,
    group_value,
    group_value_table,
    mixed_probability,
)
from vasari.score.variance import (
    outcome_variance,
    pass_rate,
    reward_variance,
    unbiased_outcome_variance,
)

__all__ = [
    "ADVANTAGE_DENOMINATORS",
    "AdvantageDenominator",
    "AdvantageScale",
    "DIVERSITY_METRICS",
    "DiversityMetric",
    "GROUP_VALUES",
    "GroupValue",
    "MAX_OUTCOME_VARIANCE",
    "Normalise",
    "REWARDS",
    "Reward",
    "RewardTerm",
    "beta_information",
    "check_reward",
    "expected_group_value",
    "format_ok",
    "group_advantages",
    "group_value",
    "group_value_table",
    "make_rewards",
    "mixed_probability",
    "outcome_variance",
    "pass_rate",
    "promotion_score",
    "reward_variance",
    "score_rollouts",
    "trajectory_diversity",
    "unbiased_outcome_variance",
]
