"""Verdicts on rollouts in TRL: given by a verifier, or read from a reward function."""

from __future__ import annotations

import logging
import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from typing import Any

import numpy as np
from numpy.typing import NDArray

from vasari.core.errors import ConfigError
from vasari.core.records import Outcome, Verdict
from vasari.score.reward import Reward

logger = logging.getLogger(__name__)

CORRECT_FROM = 0.5
"""A reward of at least this much reads as correct: rewards of 0 and 1 do, and rewards of -1 and
1."""

VerdictReader = Callable[[Mapping[str, NDArray[np.float64]]], Sequence[float]]
"""Function from the rewards of each reward function (by name, [rollouts] each) to one number per
rollout: 1 (correct), 0 (incorrect) or nan (neither)."""

Verify = Callable[[Mapping[str, Any], str], Verdict]
"""Function that maps a row of the data set and the text of a rollout to a verdict."""


@dataclass(frozen=True, slots=True)
class Judgement:
    """Verdicts and rewards of several rollouts."""

    verdicts: Sequence[Verdict]
    rewards: Sequence[Reward]


class Doubt:
    """Warns once where rewards differ and all of them read as correct, or all as incorrect."""

    def __init__(self, advice: str) -> None:
        """Start without a warning; `advice` says what to do."""
        self._advice = advice
        self._warned = False

    def look_at(self, name: str, rewards: NDArray[np.float64]) -> None:
        """Look at some rollouts' rewards by `name`, which are read with `CORRECT_FROM`."""
        known = rewards[~np.isnan(rewards)]
        all_read = np.unique(known >= CORRECT_FROM)
        if self._warned or len(all_read) != 1 or known.min() == known.max():
            return
        self._warned = True
        logger.warning(
            "the rewards of %s differ, and all %d of them read as %s, since %s or more is"
            " correct and less is not; %s",
            name,
            known.size,
            "correct" if all_read[0] else "incorrect",
            CORRECT_FROM,
            self._advice,
        )


class Judge:
    """Judge of rollouts: gives verdict and reward, or leaves one out of its group's baseline."""

    def __init__(
        self,
        functions: Sequence[str],
        weights: Sequence[float],
        verdict_from: str | VerdictReader | None = None,
        verify: Verify | None = None,
        essential: Sequence[str] = (),
    ) -> None:
        """Make a judge for the given reward functions.

        Args:
            functions: Their names; of several with one name, as lambdas have, the later are
                numbered: `<lambda>`, `<lambda>-2`.
            weights: Their weights.
            verdict_from: The reward function whose rewards say what is correct, by name (None: the
                first one), or a function from all of them to verdicts.
            verify: Says what is correct in their stead, before they are called; they find its
                verdict in the column `verdict`.
            essential: Functions whose None takes the rollout out of its group's baseline, whatever
                the others say.

        Raises:
            ConfigError: There is no such reward function, or both `verdict_from` and `verify` are
                given.
        """
        if verify is not None and verdict_from is not None:
            raise ConfigError(
                "give verify (a verdict before the rewards) or verdict_from (read from a reward),"
                " not both"
            )
        self._functions = _unique(functions)
        name = (self._functions[0] if functions else "") if verdict_from is None else verdict_from
        if verify is None and not callable(name) and name not in self._functions:
            raise ConfigError(
                f"verdict_from must be one of the reward functions {', '.join(functions)}, or a"
                f" function; got {name!r}"
            )
        if isinstance(verdict_from, str) and list(functions).count(verdict_from) > 1:
            raise ConfigError(
                f"verdict_from is {name!r}, the name of several reward functions; give them names"
                " of their own"
            )
        self.verify = verify
        self._weights = np.asarray(weights, dtype=np.float64)
        self._read = name if callable(name) else partial(self._from_reward, str(name))
        self._doubt = Doubt("pass verdict_from to say what is correct")
        self._essential = [function in essential for function in functions]

    def judge(
        self,
        values: NDArray[np.float64],
        verified: Sequence[Verdict] | None,
        learnt: NDArray[np.float64] | None = None,
    ) -> Judgement:
        """Return the verdict and the weighted reward of each rollout.

        Args:
            values: [rollouts, functions] as the functions returned them, unweighted; nan for None.
            verified: What `verify` said of each; None where there is no `verify`.
            learnt: [rollouts, functions] what a learner adds up with the weights, where that is not
                `values`.
        """
        verdicts = self._verdicts(values) if verified is None else list(verified)
        out = self.unscorable(values, None if verified is None else verdicts)
        parts = (values if learnt is None else learnt) * self._weights
        totals = np.where(out, np.nan, np.nansum(parts, axis=1))
        rewards = [
            Reward(float(total), dict(zip(self._functions, own.tolist(), strict=True)))
            for total, own in zip(totals, parts, strict=True)
        ]
        return Judgement(verdicts, rewards)

    def unscorable(
        self, values: NDArray[np.float64], verified: Sequence[Verdict] | None
    ) -> NDArray[np.bool_]:
        """Return a mask of rollouts to leave out of their group's baseline: bool [rollouts].

        All functions returned None, an essential one did, or the verdict is unverifiable.
        """
        missing = np.isnan(values)
        out: NDArray[np.bool_] = np.logical_or(
            missing.all(axis=1), missing[:, self._essential].any(axis=1)
        )
        if verified is not None:
            out |= np.array(
                [verdict.outcome is Outcome.UNVERIFIABLE for verdict in verified], dtype=np.bool_
            )
        return out

    def _verdicts(self, values: NDArray[np.float64]) -> list[Verdict]:
        named = {function: values[:, place] for place, function in enumerate(self._functions)}
        found = [float(value) for value in self._read(named)]
        if len(found) != len(values):
            raise ConfigError(
                f"verdict_from gave {len(found)} verdicts for {len(values)} rollouts; it must give"
                " one for each"
            )
        return [_verdict(value) for value in found]

    def _from_reward(self, name: str, rewards: Mapping[str, NDArray[np.float64]]) -> list[float]:
        """Verdicts by the rewards of one function; warns once where all of several read alike."""
        own = rewards[name]
        self._doubt.look_at(name, own)
        verdicts: list[float] = np.where(np.isnan(own), np.nan, own >= CORRECT_FROM).tolist()
        return verdicts


def verdict_by_reward(
    reward: float, *, missing: str = "the reward function returned None"
) -> Verdict:
    """Return the verdict that a reward stands for: correct from `CORRECT_FROM` on, or neither.

    Args:
        reward: nan stands for neither.
        missing: Why it is nan.
    """
    if math.isnan(reward):
        return Verdict(Outcome.UNVERIFIABLE, decided_by="reward", reason=missing)
    outcome = Outcome.CORRECT if reward >= CORRECT_FROM else Outcome.INCORRECT
    return Verdict(outcome, decided_by="reward")


def _verdict(value: float) -> Verdict:
    if value not in (0.0, 1.0) and not math.isnan(value):
        raise ConfigError(
            f"verdict_from must give 1 (correct), 0 (incorrect) or nan (neither), got {value}"
        )
    return verdict_by_reward(value)


def _unique(names: Sequence[str]) -> list[str]:
    """The names, with a number appended to repeated ones."""
    found: list[str] = []
    for name in names:
        times = list(names[: len(found)]).count(name)
        found.append(f"{name}-{times + 1}" if times else name)
    return found
