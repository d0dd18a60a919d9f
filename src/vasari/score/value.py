"""Expected value of one more group of a prompt, from its pass rate or a Beta distribution of it."""

from __future__ import annotations

import math
from typing import Literal, get_args

import numpy as np
from numpy.typing import ArrayLike, NDArray

from vasari.core.errors import ConfigError

GroupValue = Literal["std", "var", "mix", "knap"]
"""Name of a formula for the value of a group; `group_value_table` has the formulas."""

GROUP_VALUES: tuple[GroupValue, ...] = get_args(GroupValue)

_DIGAMMA_SHIFT = 8
# Bernoulli numbers B_2k / 2k of psi(x) = ln x - 1/(2x) - sum_k B_2k / (2k x^2k); the next term is
# below 1e-13 at x = 8.
_DIGAMMA_SERIES = (1 / 12, -1 / 120, 1 / 252, -1 / 240, 1 / 132, -691 / 32760)


def group_value_table(num_rollouts: int, kind: str) -> NDArray[np.float64]:
    """Return the value for training of a group with k of n rollouts correct, k = 0 to n: [n + 1].

    The value is v_n(k) below; higher = better. Unanimous groups have 0.

    Args:
        num_rollouts: n, at least 2.
        kind: "std" `sqrt(k (n - k)) / n`, the deviation that GRPO divides by. "var" `k (n - k) / (n
            (n - 1))`, unbiased for p (1 - p). "mix" 1 where 0 < k < n, as dynamic sampling counts
            (DAPO, arXiv:2503.14476). "knap" `(k / n) (1 - k / n)^2` (arXiv:2509.25849), which
            prefers prompts that are rather hard.

    Raises:
        ConfigError: Fewer than two rollouts, or an unknown kind.
    """
    n = _checked_rollouts(num_rollouts)
    k = np.arange(n + 1, dtype=np.float64)
    if kind == "std":
        return np.sqrt(k * (n - k)) / n
    if kind == "var":
        return k * (n - k) / (n * (n - 1.0))
    if kind == "mix":
        return ((k > 0) & (k < n)).astype(np.float64)
    if kind == "knap":
        return (k / n) * (1.0 - k / n) ** 2
    raise ConfigError(f"group value must be one of {', '.join(GROUP_VALUES)}, got {kind!r}")


def group_value(pass_rate: ArrayLike, num_rollouts: int, kind: str) -> NDArray[np.float64]:
    """Return the expected training value of a group of n rollouts at pass rate p; shape of p.

    The value is `V_n(p) = sum_k C(n, k) p^k (1 - p)^(n - k) v_n(k)`, with v_n from
    `group_value_table`. It is zero at p = 0 and p = 1.

    Args:
        pass_rate: p, in [0, 1]; nan gives nan.
        num_rollouts: n, at least 2.
        kind: "std", "var", "mix" or "knap".

    Raises:
        ConfigError: Fewer than two rollouts, or an unknown kind.
    """
    p = np.asarray(pass_rate, dtype=np.float64)
    table = group_value_table(num_rollouts, kind)
    if kind == "var":
        return np.asarray(p * (1.0 - p))
    if kind == "mix":
        return np.asarray(1.0 - p**num_rollouts - (1.0 - p) ** num_rollouts)
    with np.errstate(divide="ignore"):
        log_p, log_q = np.log(p), np.log1p(-p)
    # k = 0 and k = n are worth nothing, so that no 0 * log(0) is met.
    value = np.zeros(p.shape)
    for k in range(1, num_rollouts):
        value += table[k] * np.exp(
            _log_choose(num_rollouts, k) + k * log_p + (num_rollouts - k) * log_q
        )
    return value


def expected_group_value(
    alpha: ArrayLike, beta: ArrayLike, num_rollouts: int, kind: str
) -> NDArray[np.float64]:
    """Return a group's expected training value if the pass rate is distributed Beta(alpha, beta).

    It is E[V_n(p)] for p ~ Beta(alpha, beta), in the shape that the parameters broadcast to:
    `sum_k BB(k; n, alpha, beta) v_n(k)`, where the Beta-binomial probability is
    `BB = C(n, k) B(alpha + k, beta + n - k) / B(alpha, beta)`. Mind that E[p (1 - p)] = m (1 - m) c
    / (c + 1), with m = alpha / c and c = alpha + beta, is smallest where least is known: the
    expectation alone shuns unseen prompts.

    Args:
        alpha: Above 0.
        beta: Above 0.
        num_rollouts: n, at least 2.
        kind: "std", "var", "mix" or "knap".

    Raises:
        ConfigError: Fewer than two rollouts, or an unknown kind.
    """
    a, b = np.broadcast_arrays(
        np.asarray(alpha, dtype=np.float64), np.asarray(beta, dtype=np.float64)
    )
    table = group_value_table(num_rollouts, kind)
    if kind == "var":
        return np.asarray(a * b / ((a + b) * (a + b + 1.0)))
    if kind == "mix":
        return mixed_probability(a, b, num_rollouts)
    # Rising factorials instead of gamma functions: B(a + k, b + n - k) / B(a, b) = (a)_k (b)_(n-k)
    # / (a + b)_n.
    log_b = np.zeros((num_rollouts, *b.shape))
    for k in range(1, num_rollouts):
        log_b[k] = log_b[k - 1] + np.log(b + (k - 1))
    log_ab = sum((np.log(a + b + i) for i in range(num_rollouts)), np.zeros(a.shape))
    value, log_a = np.zeros(a.shape), np.zeros(a.shape)
    for k in range(1, num_rollouts):
        log_a = log_a + np.log(a + (k - 1))
        value += table[k] * np.exp(
            _log_choose(num_rollouts, k) + log_a + log_b[num_rollouts - k] - log_ab
        )
    return value


def mixed_probability(alpha: ArrayLike, beta: ArrayLike, num_rollouts: int) -> NDArray[np.float64]:
    """Return the chance that a group has unlike verdicts, if its pass rate ~ Beta(alpha, beta).

    With n rollouts, neither all right nor all wrong:
    `1 - B(alpha + n, beta) / B(alpha, beta) - B(alpha, beta + n) / B(alpha, beta)`.

    Args:
        alpha: Above 0.
        beta: Above 0.
        num_rollouts: n, at least 2.

    Raises:
        ConfigError: Fewer than two rollouts.
    """
    a, b = np.broadcast_arrays(
        np.asarray(alpha, dtype=np.float64), np.asarray(beta, dtype=np.float64)
    )
    all_right, all_wrong = np.ones(a.shape), np.ones(a.shape)
    for i in range(_checked_rollouts(num_rollouts)):
        all_right *= (a + i) / (a + b + i)
        all_wrong *= (b + i) / (a + b + i)
    return np.asarray(np.maximum(0.0, 1.0 - all_right - all_wrong))


def beta_information(alpha: ArrayLike, beta: ArrayLike) -> NDArray[np.float64]:
    """Mutual information in nats of a pass rate ~ Beta(alpha, beta) and the verdict of one rollout.

    `H(m) - [psi(c + 1) - (alpha psi(alpha + 1) + beta psi(beta + 1)) / c]`, with c = alpha + beta,
    m = alpha / c, H the entropy of a coin and psi the digamma function: how much one more rollout
    tells about the pass rate (InSight, arXiv:2603.01907). It vanishes for a pass rate that is well
    known, also for a well-known 1/2.

    Args:
        alpha: Above 0.
        beta: Above 0.
    """
    a, b = np.broadcast_arrays(
        np.asarray(alpha, dtype=np.float64), np.asarray(beta, dtype=np.float64)
    )
    c = a + b
    m = a / c
    entropy = -m * np.log(m) - (b / c) * np.log(b / c)
    expected = digamma(c + 1.0) - m * digamma(a + 1.0) - (b / c) * digamma(b + 1.0)
    return np.asarray(np.maximum(0.0, entropy - expected))


def digamma(x: ArrayLike) -> NDArray[np.float64]:
    """Digamma function psi(x) for x > 0, accurate to about 1e-12; the shape of `x`.

    `psi(x) = psi(x + 8) - sum_{i < 8} 1 / (x + i)`, and the asymptotic series from 8 on.
    """
    x = np.asarray(x, dtype=np.float64)
    below = np.zeros(x.shape)
    for i in range(_DIGAMMA_SHIFT):
        below += 1.0 / (x + i)
    shifted = x + _DIGAMMA_SHIFT
    inverse = 1.0 / (shifted * shifted)
    series = np.zeros(shifted.shape)
    for coefficient in reversed(_DIGAMMA_SERIES):
        series = inverse * (coefficient + series)
    return np.asarray(np.log(shifted) - 0.5 / shifted - series - below)


def _log_choose(n: int, k: int) -> float:
    return math.lgamma(n + 1) - math.lgamma(k + 1) - math.lgamma(n - k + 1)


def _checked_rollouts(num_rollouts: int) -> int:
    if (
        isinstance(num_rollouts, bool)
        or not isinstance(num_rollouts, int | np.integer)
        or num_rollouts < 2
    ):
        raise ConfigError(
            f"a group's value needs a whole number of at least 2 rollouts, got {num_rollouts!r}"
        )
    return int(num_rollouts)
