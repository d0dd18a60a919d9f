"""Effects of whitening and clipping on policy gradients (arXiv:2509.21268, 4.4 and A.4)."""

from __future__ import annotations

import math
from typing import Literal

import numpy as np
from numpy.typing import NDArray

from vasari.core.errors import ConfigError
from vasari.theory.softmax_policy import SoftmaxPrompt


def group_factor(
    pass_rate: float,
    num_rollouts: int,
    *,
    scale: Literal["none", "std"] = "std",
    ddof: int = 0,
    epsilon: float = 0.0,
) -> float:
    """Return the exact ratio of GRPO's expected group gradient to the true policy gradient.

    It is w in E[group gradient] = w grad J_x, for 0/1 rewards and no stale policy.

    The estimator is the mean over the group of A_i g_i. Given k passes of n, right rollouts have
    mean score grad J / p and wrong ones -grad J / (1 - p), whatever the policy, so its mean is k/n
    (1 - k/n) / (s_k + epsilon) grad J / (p (1 - p)), averaged here over the binomial k. Hence:

    * `scale="none"` gives (n - 1) / n, not 1: a group's own mean as baseline is biased.
    * `scale="std"` (ddof 0, epsilon 0) gives E[s_k] / (p (1 - p)), positive, at most sqrt((n - 1) /
      n / (p (1 - p))) and close to it in large groups: a factor that differs between prompts.

    So whitening keeps the direction of one prompt's gradient and changes the weights of prompts
    against each other.

    Raises:
        ConfigError: A rate outside (0, 1), fewer than two rollouts, or an unknown scale.
    """
    if (
        not 0.0 < pass_rate < 1.0
        or num_rollouts < 2
        or ddof not in (0, 1)
        or scale not in ("none", "std")
    ):
        raise ConfigError(
            "needs a pass rate inside (0, 1), 2 rollouts, ddof 0 or 1 and scale none or std; got"
            f" {pass_rate}, {num_rollouts}, {ddof} and {scale!r}"
        )
    passes = np.arange(1, num_rollouts)
    spread = passes / num_rollouts * (1.0 - passes / num_rollouts)
    logs = [
        math.lgamma(num_rollouts + 1) - math.lgamma(k + 1) - math.lgamma(num_rollouts - k + 1)
        for k in passes
    ]
    chances = np.exp(
        np.array(logs)
        + passes * math.log(pass_rate)
        + (num_rollouts - passes) * math.log1p(-pass_rate)
    )
    divisor = np.ones(num_rollouts - 1)
    if scale == "std":
        divisor = np.sqrt(spread * num_rollouts / (num_rollouts - ddof)) + epsilon
    return float(chances @ (spread / divisor)) / (pass_rate * (1.0 - pass_rate))


def whitened_gain_rate(squared_gradient: float, variance: float) -> float:
    """Return first-order reward gain / step size, for a gradient divided by the reward's deviation.

    With the local c it is |grad J|^2 / sd = c sd: linear in the standard deviation and not in the
    variance, so that a step of fixed size prefers high variance less than REINFORCE's. 0 where
    there is no variance.
    """
    return squared_gradient / math.sqrt(variance) if variance > 0 else 0.0


def clipped_gradient(
    prompt: SoftmaxPrompt,
    theta: NDArray[np.float64],
    theta_old: NDArray[np.float64],
    *,
    clip: float = 0.2,
) -> NDArray[np.float64]:
    """Return the gradient [dims] of PPO's clipped objective at the policy parameters `theta`.

    The objective is E_old[min(rho A, clip(rho, 1 - clip, 1 + clip) A)].

    A is R - J(theta_old). An answer with A > 0 adds nothing once its ratio rho exceeds 1 + clip,
    one with A < 0 once it is below 1 - clip; without these it is grad J(theta). At theta =
    theta_old nothing is clipped.
    """
    if not 0.0 < clip < 1.0:
        raise ConfigError(f"clip must be inside (0, 1), got {clip}")
    old, now = prompt.probabilities(theta_old), prompt.probabilities(theta)
    advantages = prompt.rewards - old @ prompt.rewards
    ratios = now / old
    is_clipped = ((advantages > 0) & (ratios > 1.0 + clip)) | (
        (advantages < 0) & (ratios < 1.0 - clip)
    )
    gradient: NDArray[np.float64] = np.where(is_clipped, 0.0, now * advantages) @ prompt.scores(
        theta
    )
    return gradient


def unclipped_radius(prompt: SoftmaxPrompt, *, clip: float = 0.2) -> float:
    """Return the distance that parameters may move before any probability ratio can be clipped.

    A ratio is clipped when it leaves [1 - clip, 1 + clip].

    |log rho_a| is at most the movement's length times the diameter of the features, and
    log(1 + clip) < -log(1 - clip). Within it the clipped gradient is grad J, and the bound without
    clipping holds word for word.
    """
    if not 0.0 < clip < 1.0:
        raise ConfigError(f"clip must be inside (0, 1), got {clip}")
    return math.log1p(clip) / prompt.diameter if prompt.diameter > 0 else math.inf
