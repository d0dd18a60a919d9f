"""Variance-progress bound of arXiv:2509.21268, with exact constants for a prompt and policy.

The paper asks for one c_min > 0 with |grad J_x|^2 >= c_min Var[R] for all prompts and parameters
(assumption 1). There is none: with two answers the ratio is 2 p (1 - p). Here c, the second moment
and the smoothness are those of a prompt at a theta, and what is claimed is what follows from them.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import final

import numpy as np
from numpy.typing import NDArray

from vasari.core.errors import ConfigError, DataError
from vasari.theory.softmax_policy import SoftmaxPrompt


@final
@dataclass(frozen=True, slots=True)
class LocalConstants:
    """Constants of a lower bound on a training step's reward gain, for one prompt and policy.

    The bound is the variance-progress bound; theta are the policy's parameters.
    """

    variance: float
    """Variance Var[R] of the reward R."""
    squared_gradient: float
    """|grad J|^2, the squared norm of the gradient of the mean reward J."""
    second_moment: float
    """E|g (R - J)|^2 of one rollout, with score g and the mean reward J as baseline."""
    smoothness: float
    """L, a bound on the norm of J's Hessian at every theta."""

    @property
    def progress(self) -> float:
        """Squared gradient norm of the mean reward over the reward's variance; 0 without variance.

        It is the local c, |grad J|^2 / Var[R]; assumption 1 asks for one that serves all.
        """
        return self.squared_gradient / self.variance if self.variance > 0 else 0.0

    def moment_of_group(self, num_rollouts: int) -> float:
        """Return the expected squared norm of a policy-gradient estimate from several rollouts.

        E|G|^2 is |grad J|^2 and, for n rollouts, an n-th of the rest of the second moment.
        """
        return self.squared_gradient + (self.second_moment - self.squared_gradient) / num_rollouts

    def largest_step(self, num_rollouts: int = 1) -> float:
        """Return the largest step size that guarantees half of the first-order gain in mean reward.

        It is |grad J|^2 / (L E|G|^2); half the first-order gain is c/2 eta Var[R].
        """
        curvature = self.smoothness * self.moment_of_group(num_rollouts)
        return self.squared_gradient / curvature if curvature > 0 else math.inf

    def guaranteed_gain(self, eta: float, num_rollouts: int = 1) -> float:
        """Return a lower bound on the expected gain in mean reward by a gradient step of `eta`.

        It is eta |grad J|^2 - eta^2 L / 2 E|G|^2, by Taylor's theorem and the smoothness alone, as
        in appendix A.2 of arXiv:2509.21268; for eta up to `largest_step` it is at least c/2 eta
        Var[R] with the local c (the paper, with its c_min: c_min/4 eta Var[R], equation 5).
        """
        return eta * self.squared_gradient - 0.5 * eta**2 * self.smoothness * self.moment_of_group(
            num_rollouts
        )


def local_constants(prompt: SoftmaxPrompt, theta: NDArray[np.float64]) -> LocalConstants:
    """Return the exact constants of the bound on reward gain, for a prompt and parameters `theta`.

    Source: arXiv:2509.21268, assumption 1 and equation 4.
    """
    gradient = prompt.gradient(theta)
    return LocalConstants(
        variance=prompt.variance(theta),
        squared_gradient=float(gradient @ gradient),
        second_moment=_second_moment(prompt, theta, prompt.value(theta)),
        smoothness=prompt.smoothness,
    )


def _second_moment(prompt: SoftmaxPrompt, theta: NDArray[np.float64], baseline: float) -> float:
    """Return E|g (R - b)|^2 for score g, noisy reward R and baseline b."""
    lengths = (prompt.scores(theta) ** 2).sum(axis=1)
    squares = (prompt.rewards - baseline) ** 2 + prompt.noise_variance
    return float(prompt.probabilities(theta) @ (lengths * squares))


def estimator_variance(prompt: SoftmaxPrompt, theta: NDArray[np.float64], baseline: float) -> float:
    """Return the total variance of the policy-gradient estimate from one rollout with `baseline`.

    With score g, reward R and baseline b it is E|g (R - b)|^2 - |grad J|^2.

    Equation 4 of arXiv:2509.21268 sets it to Var[R] E|g|^2 at b = E[R], which treats reward and
    score as independent.
    """
    gradient = prompt.gradient(theta)
    return _second_moment(prompt, theta, baseline) - float(gradient @ gradient)


def best_baseline(prompt: SoftmaxPrompt, theta: NDArray[np.float64]) -> float:
    """Return the constant reward baseline that minimises the variance of the policy gradient.

    With score g and reward R it is E[|g|^2 R] / E[|g|^2].

    Proposition 1 of arXiv:2509.21268 names E[R]; setting the derivative of E|g|^2 (R - b)^2 to 0
    gives this one, which does not depend on the answer either. The two agree where all scores are
    equally long.
    """
    weights = prompt.probabilities(theta) * (prompt.scores(theta) ** 2).sum(axis=1)
    total = float(weights.sum())
    return float(weights @ prompt.rewards) / total if total > 0 else prompt.value(theta)


def expected_gain(prompt: SoftmaxPrompt, theta: NDArray[np.float64], eta: float) -> float:
    """Return the exact expected gain in mean reward of a one-rollout gradient step of size `eta`.

    With score g, reward R and mean reward J it is E[J(theta + eta G)] - J(theta) for G = g (R - J),
    a sum over answers.

    The left side of equation 5 of arXiv:2509.21268, for rewards without noise.

    Raises:
        DataError: The rewards are noisy, so that the step is not decided by the answer.
    """
    if prompt.noise_variance.any():
        raise DataError("the expected gain is a sum over answers and needs rewards without noise")
    value, scores = prompt.value(theta), prompt.scores(theta)
    after = [
        prompt.value(theta + eta * (reward - value) * score)
        for reward, score in zip(prompt.rewards, scores, strict=True)
    ]
    return float(prompt.probabilities(theta) @ np.array(after)) - value


def progress_of_two_answers(pass_rate: float) -> float:
    """Return squared gradient / reward variance of a prompt with one right and one wrong answer.

    With a logit for each answer and pass rate p it is 2 p (1 - p).

    It vanishes at both ends. So no c_min > 0 serves assumption 1 of arXiv:2509.21268, not for the
    smallest of policies.
    """
    return 2.0 * pass_rate * (1.0 - pass_rate)


def progress_of_many_answers(pass_rate: float, num_right: int, num_wrong: int) -> float:
    """Return squared gradient / reward variance of a prompt with several right and wrong answers.

    With pass rate p, m right and k wrong answers it is p (1 - p) (1/m + 1/k).

    Each answer has a logit; right ones are equally likely, and wrong ones too. At a pass rate of
    1/2, where the variance is greatest, it still vanishes as right and wrong answers become many.
    """
    if num_right < 1 or num_wrong < 1:
        raise ConfigError(f"needs a right and a wrong answer, got {num_right} and {num_wrong}")
    return pass_rate * (1.0 - pass_rate) * (1.0 / num_right + 1.0 / num_wrong)
