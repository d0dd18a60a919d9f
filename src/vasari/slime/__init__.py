"""Variance-aware sampling for slime: what its launch flags name. See docs/slime.md.

The framework is https://github.com/THUDM/slime; the package `slime` on PyPI is another project.
"""

from vasari.slime.data_source import VarianceAwareDataSource
from vasari.slime.reward import center_rewards, reward
from vasari.slime.rollout import generate_rollout, observe_groups
from vasari.slime.settings import SlimeSettings

__all__ = [
    "SlimeSettings",
    "VarianceAwareDataSource",
    "center_rewards",
    "generate_rollout",
    "observe_groups",
    "reward",
]
