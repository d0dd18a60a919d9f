"""Softmax policies over a few answers, for which every expectation of the theory is a sum."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import final

import numpy as np
from numpy.typing import NDArray

from vasari.core.errors import DataError


@final
@dataclass(frozen=True, slots=True, kw_only=True)
class SoftmaxPrompt:
    """A prompt with a few answers, each with features and a reward, under a softmax policy.

    The policy at the parameters theta is pi(a) ~ exp(theta . features[a]).
    """

    features: NDArray[np.float64]
    """[answers, dims] features of each answer; the identity gives every answer its own logit."""
    rewards: NDArray[np.float64]
    """[answers] mean reward of each answer."""
    noise: NDArray[np.float64] = field(default_factory=lambda: np.zeros(0))
    """[answers] variance of the reward given the answer, or empty for none: a verifier that flips
    coins."""

    def __post_init__(self) -> None:
        if (
            self.features.ndim != 2
            or self.rewards.shape != self.features.shape[:1]
            or len(self.rewards) < 2
        ):
            raise DataError(
                f"features {self.features.shape} and rewards {self.rewards.shape} must be [answers,"
                " dims] and [answers], with at least 2 answers"
            )
        if self.noise.shape not in ((0,), self.rewards.shape) or (self.noise < 0).any():
            raise DataError(
                f"noise must be one variance of at least 0 an answer, or empty, got {self.noise}"
            )

    @property
    def noise_variance(self) -> NDArray[np.float64]:
        """Array [answers]: variance of the reward for a given answer; 0 without verifier noise."""
        return self.noise if self.noise.size else np.zeros(len(self.rewards))

    def probabilities(self, theta: NDArray[np.float64]) -> NDArray[np.float64]:
        """Return the probability of each answer at the policy parameters `theta`: [answers]."""
        logits = self.features @ theta
        weights = np.exp(logits - logits.max())
        chosen: NDArray[np.float64] = weights / weights.sum()
        return chosen

    def value(self, theta: NDArray[np.float64]) -> float:
        """Return the mean reward at policy parameters `theta` (arXiv:2509.21268, equation 1)."""
        return float(self.probabilities(theta) @ self.rewards)

    def scores(self, theta: NDArray[np.float64]) -> NDArray[np.float64]:
        """Return the score (gradient of the log-probability) of each answer: [answers, dims].

        It is g(x, a) = grad log pi(a | x) (arXiv:2509.21268, equation 2), of mean 0 under pi.
        """
        scores: NDArray[np.float64] = self.features - self.probabilities(theta) @ self.features
        return scores

    def gradient(self, theta: NDArray[np.float64]) -> NDArray[np.float64]:
        """Return the gradient [dims] of the mean reward at the policy parameters `theta`.

        It is grad J_x(theta) = E[R g] (arXiv:2509.21268, equation 2).
        """
        gradient: NDArray[np.float64] = (self.probabilities(theta) * self.rewards) @ self.scores(
            theta
        )
        return gradient

    def fisher(self, theta: NDArray[np.float64]) -> NDArray[np.float64]:
        """Return the policy's Fisher matrix [dims, dims] at `theta`: mean outer product of scores.

        It is Gamma_theta(x) = E[g g^T] (arXiv:2509.21268, appendix A.1).
        """
        scores = self.scores(theta)
        fisher: NDArray[np.float64] = (self.probabilities(theta)[:, None] * scores).T @ scores
        return fisher

    def variance(self, theta: NDArray[np.float64]) -> float:
        """Return the variance of the reward at `theta`, from sampled answers and verifier noise.

        With reward R and answer a it is Var[R] = E Var(R | a) + Var E(R | a).
        """
        chosen = self.probabilities(theta)
        residual = self.rewards - chosen @ self.rewards
        return float(chosen @ (self.noise_variance + residual**2))

    @property
    def span(self) -> float:
        """Highest minus lowest mean reward among the prompt's answers."""
        return float(self.rewards.max() - self.rewards.min())

    @property
    def diameter(self) -> float:
        """Greatest distance between two answers' features, a bound on the norm of every score."""
        apart = self.features[:, None, :] - self.features[None, :, :]
        return float(np.sqrt((apart**2).sum(axis=2).max()))

    @property
    def smoothness(self) -> float:
        """Upper bound on the norm of the mean reward's Hessian, at all policy parameters.

        It is half the span of rewards times the squared diameter. The Hessian is E[(R - J) g g^T],
        so its norm is at most E|R - J| max|g|^2, and a bounded variable is on average no farther
        from its mean than half its span.
        """
        return 0.5 * self.span * self.diameter**2

    @classmethod
    def tabular(
        cls, rewards: NDArray[np.float64] | list[float], noise: NDArray[np.float64] | None = None
    ) -> SoftmaxPrompt:
        """Return a prompt whose answers have these mean rewards and a free logit each."""
        values = np.asarray(rewards, dtype=np.float64)
        return cls(
            features=np.eye(len(values)),
            rewards=values,
            noise=np.zeros(0) if noise is None else noise,
        )
