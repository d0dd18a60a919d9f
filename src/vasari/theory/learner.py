"""A simulated learner: logistic in a prompt's features, trained by GRPO and Adam."""

from __future__ import annotations

import math
from typing import final

import numpy as np
from numpy.typing import NDArray

from vasari.core.records import PromptIndices
from vasari.sample.belief import sigmoid
from vasari.score import group_advantages
from vasari.theory.pools import SimulatedPool

GENERAL_SCALE = 0.3
"""Weight of general ability in every prompt."""
SKILL_SCALE = 1.0
"""Weight of the prompt's own skill."""
RANDOM_SCALE = 0.5
"""Weight of the prompt's place in the random directions."""
_BETAS, _EPSILON = (0.9, 0.999), 1e-8


@final
class LinearLearner:
    """A learner that solves a prompt with probability sigmoid(weights . features - difficulty).

    The features x are general ability, the prompt's skill, and its place in random directions. One
    rollout's score is (answer right - probability) x_i, so a group's gradient is `mean_j A_j
    (right_j - p) x_i` with the advantages A of GRPO (arXiv:2402.03300), reward minus group mean
    over the population deviation. What a real policy's score holds besides (wording, other tokens)
    is noise of deviation `score_noise` a rollout and direction, which reaches the gradient through
    the advantages: a unanimous group has none, and a coin flip is nothing else.
    """

    def __init__(self, pool: SimulatedPool, *, learning_rate: float, score_noise: float) -> None:
        self._pool = pool
        self._rate, self._noise = learning_rate, score_noise
        size = 1 + pool.num_skills + pool.directions.shape[1]
        self.weights = np.zeros(size)
        """[1 + skills + random] general ability, skills, random directions."""
        self._first = np.zeros(size)
        self._second = np.zeros(size)
        self._num_updates = 0

    def solve_rates(self, indices: PromptIndices) -> NDArray[np.float64]:
        """Return the learner's probability of a right answer to each prompt in `indices`."""
        pool, skills = self._pool, self._pool.num_skills
        logits = (
            GENERAL_SCALE * self.weights[0] + SKILL_SCALE * self.weights[1 + pool.skills[indices]]
        )
        logits = (
            logits
            + RANDOM_SCALE * (pool.directions[indices] @ self.weights[1 + skills :])
            - pool.difficulty[indices]
        )
        return sigmoid(logits)

    def accuracy(self) -> float:
        """Return the expected share of held-out prompts that the learner solves."""
        return float(self.solve_rates(self._pool.held_out).mean())

    def update(
        self,
        indices: PromptIndices,
        right: NDArray[np.float64],
        verdicts: NDArray[np.float64],
        *,
        batch: int,
        rng: np.random.Generator,
    ) -> None:
        """Update the learner's weights by one Adam step along the policy gradient of a batch.

        The arguments are those of `gradient`.
        """
        gradient = self.gradient(indices, right, verdicts, batch=batch, rng=rng)
        self._num_updates += 1
        self._first = _BETAS[0] * self._first + (1.0 - _BETAS[0]) * gradient
        self._second = _BETAS[1] * self._second + (1.0 - _BETAS[1]) * gradient**2
        first = self._first / (1.0 - _BETAS[0] ** self._num_updates)
        second = self._second / (1.0 - _BETAS[1] ** self._num_updates)
        self.weights += self._rate * first / (np.sqrt(second) + _EPSILON)

    def gradient(
        self,
        indices: PromptIndices,
        right: NDArray[np.float64],
        verdicts: NDArray[np.float64],
        *,
        batch: int,
        rng: np.random.Generator,
    ) -> NDArray[np.float64]:
        """Return the policy gradient [weights] of a batch of groups, towards higher reward.

        Args:
            indices: [groups] the prompts that train.
            right: [groups, rollouts] 1 where the answer is right, which decides the score.
            verdicts: [groups, rollouts] 1 where it passed, which decides the advantage.
            batch: The number of groups asked for, by which the loss is divided however many train.
            rng: Of the noise; drawn from in the same way whatever the groups are.
        """
        noise = rng.standard_normal(len(self.weights))
        gradient = np.zeros_like(self.weights)
        if len(indices):
            advantages = group_advantages(verdicts, scale="std")
            coefficients = (advantages * (right - self.solve_rates(indices)[:, None])).mean(axis=1)
            gradient = self._features_times(indices, coefficients)
            # Independent noise of every rollout, weighted by its advantage, sums to a normal vector
            # of this deviation.
            gradient += (
                self._noise * math.sqrt(float((advantages**2).sum())) / verdicts.shape[1] * noise
            )
        gradient /= batch
        return gradient

    def _features_times(
        self, indices: PromptIndices, coefficients: NDArray[np.float64]
    ) -> NDArray[np.float64]:
        pool, skills = self._pool, self._pool.num_skills
        gradient = np.empty_like(self.weights)
        gradient[0] = GENERAL_SCALE * coefficients.sum()
        gradient[1 : 1 + skills] = SKILL_SCALE * np.bincount(
            pool.skills[indices], weights=coefficients, minlength=skills
        )
        gradient[1 + skills :] = RANDOM_SCALE * (coefficients @ pool.directions[indices])
        return gradient
