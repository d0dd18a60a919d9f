"""Simulated pools of prompts, where the verdicts on some prompts are noise."""

from __future__ import annotations

import math
from dataclasses import dataclass, fields, replace
from typing import Any, Literal, final, get_args

import numpy as np
from numpy.typing import NDArray

from vasari.core.bounds import Count, NotNegative, PositiveCount, check_fields
from vasari.core.errors import ConfigError
from vasari.core.records import PromptIndices
from vasari.sample import PoolFeatures

PromptKind = Literal["clean", "coin_flip", "drifting", "guessable", "mislabelled", "impossible"]
"""How a prompt's verdicts come about; see `SimulatedPoolSettings`."""

PROMPT_KINDS: tuple[PromptKind, ...] = get_args(PromptKind)
"""The numbers in `SimulatedPool.kinds` are places in this tuple."""

_NOISE_SHARES = PROMPT_KINDS[1:]
# Shares, mean and deviation of the difficulty of hard, middle and easy prompts, in logits against
# an untrained learner.
_LEVELS = ((0.45, 4.0, 1.0), (0.30, 0.5, 0.8), (0.25, -3.0, 1.0))
_RATE_SPANS: dict[PromptKind, tuple[float, float]] = {
    "coin_flip": (0.25, 0.6),
    "drifting": (0.4, 0.6),
    "guessable": (0.25, 0.5),
    "mislabelled": (0.5, 0.5),
    "impossible": (0.01, 0.01),
}
_SKILL_SPREAD = 0.7
_PRIOR_NOISE = 2.0


@final
@dataclass(frozen=True, slots=True, kw_only=True)
class SimulatedPoolSettings:
    """Settings of a simulated pool of prompts: its size, and the share of each kind of noise.

    Prompts in none of the noisy shares are clean.
    """

    num_prompts: PositiveCount = 2000
    """Prompts to train on; each takes 57 bytes and 4 for each random direction."""
    num_held_out: PositiveCount = 1000
    """Clean prompts of the same skills, for evaluation alone."""
    num_skills: PositiveCount = 60
    """Skills that are learnt separately; each prompt needs one."""
    num_random: Count = 32
    """Further directions, in which every prompt has a random place."""
    coin_flip: NotNegative = 0.0
    """Share whose verdict is a coin flip with a rate of its own, in [0.25, 0.6]: variance without
    any signal."""
    drifting: NotNegative = 0.0
    """Share whose verdict is a coin flip with a rate that rises and falls with the steps, so that
    it looks like progress."""
    guessable: NotNegative = 0.0
    """Share of hard prompts where a wrong answer passes by luck, with a rate in [0.25, 0.5]."""
    mislabelled: NotNegative = 0.0
    """Share where the label is a wrong answer: half of the wrong answers pass, the right one
    never."""
    impossible: NotNegative = 0.0
    """Share where one rollout in a hundred passes, whatever the learner does."""
    num_tokens: PositiveCount = 16
    """Mean tokens of a rollout; prompts differ between half and three halves of it."""

    def __post_init__(self) -> None:
        check_fields(self)
        shares = [getattr(self, name) for name in _NOISE_SHARES]
        if sum(shares) > 1.0 + 1e-9:
            raise ConfigError(
                f"shares of {', '.join(_NOISE_SHARES)} must sum to at most 1, got {sum(shares):g}"
            )


POOLS: dict[str, SimulatedPoolSettings] = {
    "clean": SimulatedPoolSettings(),
    "coin_flip": SimulatedPoolSettings(coin_flip=0.16),
    "drifting": SimulatedPoolSettings(drifting=0.16),
    "guessable": SimulatedPoolSettings(guessable=0.16),
    "mislabelled": SimulatedPoolSettings(mislabelled=0.16),
    "impossible": SimulatedPoolSettings(impossible=0.16),
    "noisy": SimulatedPoolSettings(
        coin_flip=0.08, drifting=0.04, guessable=0.06, mislabelled=0.06, impossible=0.06
    ),
    "large": SimulatedPoolSettings(
        num_prompts=15_000,
        coin_flip=0.08,
        drifting=0.04,
        guessable=0.06,
        mislabelled=0.06,
        impossible=0.06,
    ),
    "million": SimulatedPoolSettings(
        num_prompts=1_000_000, num_random=8, coin_flip=0.08, mislabelled=0.06
    ),
}
"""Settings by the name that `benchmarks/simulate.py` takes."""


@final
@dataclass(frozen=True, slots=True)
class SimulatedPool:
    """A simulated pool of prompts as arrays: training prompts first, then held-out prompts."""

    num_prompts: int
    kinds: NDArray[np.int8]
    """[all] place in `PROMPT_KINDS`; held-out prompts are clean."""
    difficulty: NDArray[np.float64]
    """[all] logits that an untrained learner lacks; up = harder."""
    skills: NDArray[np.int64]
    """[all] the skill that a prompt needs."""
    directions: NDArray[np.float32]
    """[all, random] a prompt's place in the random directions, of length about 1."""
    rates: NDArray[np.float64]
    """[all] rate of the coin, of luck, or of the label's wrong answer; 0 for clean prompts."""
    phases: NDArray[np.float64]
    """[all] where in its cycle a drifting rate starts, in radians."""
    diversity: NDArray[np.float64]
    """[all] share of tokens that a rollout does not take from the prompt's template."""
    lengths: NDArray[np.int64]
    """[all] tokens of each rollout."""
    num_skills: int
    prior: NDArray[np.float64]
    """[prompts] difficulty in [0, 1] as a data set would state it: true to its rank but for
    noise."""

    @property
    def num_held_out(self) -> int:
        """Number of held-out prompts, which are never trained on."""
        return len(self.kinds) - self.num_prompts

    @property
    def held_out(self) -> PromptIndices:
        """Indices of the held-out prompts in the pool's arrays."""
        return np.arange(self.num_prompts, len(self.kinds), dtype=np.int64)

    @property
    def is_noise(self) -> NDArray[np.bool_]:
        """Array [prompts]: True for noisy prompts, whose verdicts can contradict the answers."""
        noise: NDArray[np.bool_] = self.kinds[: self.num_prompts] != 0
        return noise

    def features(self, pass_rates: NDArray[np.float64] | None = None) -> PoolFeatures:
        """Return prompt features known before any rollout: skill, stated difficulty, length.

        An oracle knows the true pass rates as well.
        """
        num = self.num_prompts
        lengths = np.log(self.lengths[:num])
        columns = np.stack([lengths, self.prior], axis=1)
        spread = columns.std(axis=0)
        return PoolFeatures(
            categories=self.skills[:num],
            category_names=tuple(f"skill-{place}" for place in range(self.num_skills)),
            values=(columns - columns.mean(axis=0)) / np.where(spread > 0, spread, 1.0),
            difficulty=self.prior,
            pass_rates=np.zeros(0) if pass_rates is None else pass_rates,
        )


def make_simulated_pool(settings: SimulatedPoolSettings, *, seed: int) -> SimulatedPool:
    """Return a simulated pool of prompts, drawn at random by these settings and this seed."""
    rng = np.random.default_rng([seed, 0])
    num, total = settings.num_prompts, settings.num_prompts + settings.num_held_out
    shares = np.array([getattr(settings, name) for name in _NOISE_SHARES])
    counts = np.floor(shares * num + 0.5).astype(np.int64)
    kinds = np.zeros(total, dtype=np.int8)
    noisy = np.repeat(np.arange(1, len(PROMPT_KINDS), dtype=np.int8), counts)[:num]
    kinds[rng.permutation(num)[: len(noisy)]] = noisy
    level = rng.choice(len(_LEVELS), size=total, p=[share for share, _, _ in _LEVELS])
    # A prompt that can be guessed and solved as well is no trap: luck must be most of its pass
    # rate.
    level[kinds == PROMPT_KINDS.index("guessable")] = 0
    mean, deviation = (np.array([row[place] for row in _LEVELS])[level] for place in (1, 2))
    skills = rng.integers(settings.num_skills, size=total)
    offset = rng.normal(0.0, _SKILL_SPREAD, size=settings.num_skills)
    difficulty = mean + deviation * rng.standard_normal(total) + offset[skills]
    directions = rng.standard_normal((total, settings.num_random), dtype=np.float32)
    directions /= np.float32(math.sqrt(max(1, settings.num_random)))
    stated = difficulty[:num] + _PRIOR_NOISE * rng.standard_normal(num)
    half = max(1, settings.num_tokens // 2)
    return SimulatedPool(
        num_prompts=num,
        kinds=kinds,
        difficulty=difficulty,
        skills=skills,
        directions=directions,
        rates=_rates(kinds, rng),
        phases=rng.uniform(0.0, 2.0 * math.pi, size=total),
        diversity=rng.uniform(0.1, 0.9, size=total),
        lengths=rng.integers(half, 3 * half + 1, size=total),
        num_skills=settings.num_skills,
        prior=(np.argsort(np.argsort(stated)) + 0.5) / num,
    )


def _rates(kinds: NDArray[np.int8], rng: np.random.Generator) -> NDArray[np.float64]:
    """[all] the rate of the coin, of luck or of the label's wrong answer, uniform in its span."""
    spans = np.array([_RATE_SPANS.get(kind, (0.0, 0.0)) for kind in PROMPT_KINDS])
    low, high = spans.T
    rates: NDArray[np.float64] = low[kinds] + (high - low)[kinds] * rng.random(len(kinds))
    return rates


def pool_settings(name: str, **changes: Any) -> SimulatedPoolSettings:
    """Return the settings of the simulated pool `name` in `POOLS`, updated by `changes`.

    Raises:
        ConfigError: The name or a setting is unknown, or a value is out of range.
    """
    if name not in POOLS:
        raise ConfigError(f"pool must be one of {', '.join(POOLS)}, got {name!r}")
    known = [entry.name for entry in fields(SimulatedPoolSettings)]
    unknown = sorted(set(changes) - set(known))
    if unknown:
        raise ConfigError(
            f"pools have no setting {', '.join(map(repr, unknown))}; they have: {', '.join(known)}"
        )
    return replace(POOLS[name], **changes)
