"""Log-probabilities and advantages -> the losses of GRPO and its variants: oracles in NumPy to
check a trainer against.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal, get_args

import numpy as np
from numpy.typing import ArrayLike, NDArray

from vasari.core.errors import ConfigError, DataError

RatioLevel = Literal["token", "sequence"]
"""`token`: each token has its own importance ratio. `sequence`: a rollout has one, the geometric
mean of its tokens'."""

LossReduction = Literal["sequence_mean", "token_mean", "constant_length"]
"""How terms of tokens become one number. `sequence_mean`: the mean over rollouts of each rollout's
mean over its tokens. `token_mean`: the mean over all tokens. `constant_length`: the sum over all
tokens divided by rollouts x `max_tokens`."""


@dataclass(frozen=True, slots=True, kw_only=True)
class LossSettings:
    """What tells the losses apart; `LOSSES` has them by name."""

    ratio: RatioLevel = "token"
    """Level of the importance ratio between the policy and the one that wrote the rollouts."""
    reduction: LossReduction = "sequence_mean"
    """How terms of tokens become one number."""
    clip_low: float = 0.2
    """The ratio is clipped below at 1 - `clip_low`, in [0, 1]."""
    clip_high: float = 0.2
    """The ratio is clipped above at 1 + `clip_high`."""
    kl_coefficient: float = 0.0
    """Weight of the k3 estimate of the divergence from the reference policy; 0 needs no
    reference."""
    max_tokens: int | None = None
    """Length that `constant_length` divides by: the limit of a rollout, whatever was generated."""

    def __post_init__(self) -> None:
        for name, value, known in (
            ("ratio", self.ratio, get_args(RatioLevel)),
            ("reduction", self.reduction, get_args(LossReduction)),
        ):
            if value not in known:
                raise ConfigError(f"{name} must be one of {', '.join(known)}, got {value!r}")
        for name in ("clip_low", "clip_high", "kl_coefficient"):
            value = getattr(self, name)
            if not (math.isfinite(value) and value >= 0):
                raise ConfigError(f"{name} must be finite and at least 0, got {value}")
        if self.clip_low > 1:
            raise ConfigError(f"clip_low must be in [0, 1], got {self.clip_low}")
        if self.max_tokens is not None and self.max_tokens < 1:
            raise ConfigError(f"max_tokens must be at least 1, got {self.max_tokens}")


LOSSES: dict[str, LossSettings] = {
    # GRPO as MMR1 trains it: arXiv:2402.03300, equation 3, with the KL coefficient of
    # arXiv:2509.21268.
    "grpo": LossSettings(kl_coefficient=0.01),
    # arXiv:2503.14476: token-level mean, clip-higher, no KL.
    "dapo": LossSettings(reduction="token_mean", clip_high=0.28),
    # arXiv:2503.20783: neither the length nor the deviation of a group divides; use it with
    # advantages of scale "none".
    "dr_grpo": LossSettings(reduction="constant_length"),
    # arXiv:2507.18071: one ratio a rollout, hence a much narrower clip (3e-4 and 4e-4 in its
    # experiments).
    "gspo": LossSettings(ratio="sequence", clip_low=3e-4, clip_high=4e-4),
}
"""Losses by name. `dr_grpo` wants `max_tokens` set: `dataclasses.replace(LOSSES["dr_grpo"],
max_tokens=1024)`."""


@dataclass(frozen=True, slots=True)
class PolicyLoss:
    """A loss and what it is made of."""

    loss: float
    """What a learner minimises."""
    gradient: tuple[NDArray[np.float64], ...]
    """[rollouts] of [tokens]: derivative of the loss by each log-probability of the policy."""
    clipped_share: float
    """Share of the tokens whose term is the clipped one and passes no gradient; nan without
    tokens."""
    kl: float
    """Mean over all tokens of the k3 estimate, before its coefficient; nan without a reference or
    tokens."""


def policy_loss(
    logprobs: Sequence[ArrayLike],
    old_logprobs: Sequence[ArrayLike],
    advantages: ArrayLike,
    settings: LossSettings,
    *,
    reference_logprobs: Sequence[ArrayLike] | None = None,
) -> PolicyLoss:
    """The clipped policy-gradient loss of a batch of rollouts, with its gradient.

    A token's term is `-min(w A, clip(w, 1 - low, 1 + high) A) + kl_coefficient * k3`, where w is
    the importance ratio: `exp(new - old)` of the token, or for level "sequence" `exp(mean(new -
    old))` of its rollout (arXiv:2507.18071), and `k3 = exp(ref - new) - (ref - new) - 1`. The terms
    are put together by `settings.reduction`.

    Args:
        logprobs: [rollouts] of [tokens], log-probabilities under the policy; unpadded, one vector a
            rollout.
        old_logprobs: The same under the policy that wrote the rollouts.
        advantages: [rollouts]; 0 for an unverifiable rollout, as `group_advantages` gives.
        settings: Which loss; see `LOSSES`.
        reference_logprobs: The same under the reference policy; needed where the KL coefficient is
            not 0.

    Raises:
        DataError: No rollouts, lengths that differ, padded arrays, or a number that is not finite.
        ConfigError: "constant_length" without `max_tokens`, or a KL coefficient without a
            reference.
    """
    if settings.kl_coefficient and reference_logprobs is None:
        raise ConfigError(f"a KL coefficient of {settings.kl_coefficient} needs reference_logprobs")
    lengths, new = _flat(logprobs, "logprobs")
    _, old = _flat(old_logprobs, "old_logprobs", lengths)
    weight = np.asarray(advantages, dtype=np.float64)
    if weight.shape != lengths.shape or not np.isfinite(weight).all():
        raise DataError(
            f"advantages must be {len(lengths)} finite numbers, one a rollout, got shape"
            f" {weight.shape}"
        )
    owner = np.repeat(np.arange(len(lengths)), lengths)
    ratio = _ratios(new - old, owner, lengths, settings.ratio)
    advantage = weight[owner]
    clipped = np.clip(ratio, 1.0 - settings.clip_low, 1.0 + settings.clip_high)
    is_clipped = clipped * advantage < ratio * advantage
    terms = -np.minimum(ratio * advantage, clipped * advantage)
    share = _token_weights(lengths, settings)
    slope = np.where(is_clipped, 0.0, -ratio * advantage) * share
    if settings.ratio == "sequence":  # every token moves the ratio of its rollout by 1 / length
        slope = (
            np.bincount(owner, weights=slope, minlength=len(lengths)) / np.maximum(lengths, 1)
        )[owner]
    kl = math.nan
    if reference_logprobs is not None:
        _, reference = _flat(reference_logprobs, "reference_logprobs", lengths)
        divergence = np.expm1(reference - new) - (reference - new)
        terms = terms + settings.kl_coefficient * divergence
        slope = slope - settings.kl_coefficient * np.expm1(reference - new) * share
        kl = float(divergence.mean()) if divergence.size else math.nan
    return PolicyLoss(
        loss=float((terms * share).sum()),
        gradient=tuple(np.split(slope, np.cumsum(lengths)[:-1])),
        clipped_share=float(is_clipped.mean()) if is_clipped.size else math.nan,
        kl=kl,
    )


def _ratios(
    log_ratio: NDArray[np.float64],
    owner: NDArray[np.int64],
    lengths: NDArray[np.int64],
    level: RatioLevel,
) -> NDArray[np.float64]:
    """[tokens] importance ratio that stands in each token's term."""
    if level == "sequence":
        log_ratio = (
            np.bincount(owner, weights=log_ratio, minlength=len(lengths)) / np.maximum(lengths, 1)
        )[owner]
    ratio: NDArray[np.float64] = np.exp(log_ratio)
    return ratio


def _token_weights(lengths: NDArray[np.int64], settings: LossSettings) -> NDArray[np.float64]:
    """[tokens] what each term counts in the loss."""
    if settings.reduction == "sequence_mean":
        return np.repeat(1.0 / (np.maximum(lengths, 1) * len(lengths)), lengths)
    if settings.reduction == "token_mean":
        return np.full(lengths.sum(), 1.0 / max(1, lengths.sum()))
    if settings.max_tokens is None:
        raise ConfigError(
            "the reduction 'constant_length' divides by max_tokens: set it to the limit of a"
            " rollout"
        )
    if lengths.max() > settings.max_tokens:
        raise DataError(
            f"a rollout has {lengths.max()} tokens, more than max_tokens={settings.max_tokens}"
        )
    return np.full(lengths.sum(), 1.0 / (len(lengths) * settings.max_tokens))


def _flat(
    vectors: Sequence[ArrayLike], name: str, expected: NDArray[np.int64] | None = None
) -> tuple[NDArray[np.int64], NDArray[np.float64]]:
    """Lengths of the rollouts, and all their tokens one after the other."""
    if getattr(vectors, "ndim", 1) > 1:
        raise DataError(
            f"{name} is an array of several dimensions, where padding cannot be told from tokens;"
            " give one vector a rollout"
        )
    arrays = [np.asarray(vector, dtype=np.float64) for vector in vectors]
    if not arrays:
        raise DataError(f"{name} holds no rollouts")
    for place, array in enumerate(arrays):
        if array.ndim != 1 or not np.isfinite(array).all():
            raise DataError(
                f"{name} of rollout {place} must be a vector of finite numbers, got shape"
                f" {array.shape}"
            )
    lengths = np.array([len(array) for array in arrays], dtype=np.int64)
    if expected is not None and not np.array_equal(lengths, expected):
        raise DataError(
            f"{name} has {lengths.tolist()} tokens a rollout where logprobs has {expected.tolist()}"
        )
    return lengths, np.concatenate(arrays)
