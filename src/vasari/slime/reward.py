"""Rewards by our verifier, as slime calls reward models; means that skip the unverifiable."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from typing import Any

import numpy as np

from vasari.slime.groups import is_unverifiable, prompt_of, remember, rollout_of
from vasari.slime.settings import SlimeSettings, reward_terms, settings_of
from vasari.train.groups import score_alone

_CENTERED = ("grpo", "gspo", "cispo", "reinforce_plus_plus_baseline")
"""Estimators for which slime takes the mean of a group from its rewards."""
_SCALED = ("grpo", "gspo", "cispo")


async def reward(args: Any, sample: Any, **_: Any) -> Any:
    """Return the reward of a rollout, or of each of several (`--custom-rm-path`).

    A rollout that cannot be verified gets 0, leaves the loss (`remove_sample`) and is marked, so
    that `center_rewards` leaves it out of its group's mean and the sampler is not told that it is
    wrong.
    """
    settings = settings_of(args)
    if isinstance(sample, list):
        return list(await asyncio.gather(*(_in_a_thread(args, one, settings) for one in sample)))
    return await _in_a_thread(args, sample, settings)


async def _in_a_thread(args: Any, sample: Any, settings: SlimeSettings) -> float:
    # The verifier may take seconds over a formula, and slime's loop has requests to send meanwhile.
    return await asyncio.to_thread(_rewarded, args, sample, settings)


def _rewarded(args: Any, sample: Any, settings: SlimeSettings) -> float:
    limit = getattr(args, "rollout_max_response_len", None)
    verdict, total = score_alone(
        rollout_of(sample, settings.opened),
        prompt=prompt_of(sample),
        terms=reward_terms(settings.model_dump_json(), limit),
    )
    remember(sample, verdict)
    if is_unverifiable(sample):
        sample.remove_sample = True
    return total


def center_rewards(args: Any, samples: Sequence[Any]) -> tuple[list[float], list[float]]:
    """Return rewards and what slime trains with (`--custom-reward-post-process-path`).

    As slime does it, where all rollouts are verifiable: for estimators with a group baseline the
    mean of the group is subtracted, and with `--grpo-std-normalization` the rest divided by its
    sample deviation plus 1e-6. An unverifiable rollout counts in neither and gets 0. Groups are
    told apart by `group_index`, also where they have different sizes.
    """
    raw = [float(sample.get_reward_value(args)) for sample in samples]
    if args.advantage_estimator not in _CENTERED or not args.rewards_normalization:
        return raw, raw
    out = np.array([is_unverifiable(sample) for sample in samples])
    values = np.where(out, np.nan, raw)
    groups = np.array([sample.group_index for sample in samples])
    for number in np.unique(groups):
        own = groups == number
        known = values[own & ~out]
        if not known.size:
            continue
        values[own] -= known.mean()
        if args.advantage_estimator in _SCALED and args.grpo_std_normalization:
            spread = known.std(ddof=1) if known.size > 1 else 0.0
            values[own] /= spread + 1e-6
    return raw, np.nan_to_num(values, nan=0.0).tolist()
