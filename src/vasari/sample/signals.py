"""What one group says about whether its variance can be learnt from: coherence, and answers judged
two ways.
"""

from __future__ import annotations

import math
from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from vasari.core.records import GroupOutcome


def coherence(verdicts: NDArray[np.float64], confidence: NDArray[np.float64] | None) -> float:
    """Signed squared correlation of verdict and confidence over a group's rollouts, in [-1, 1]; nan
    where there is none.

    A verdict that follows from what the policy did is foretold by how sure the policy was: easy
    prompts come near 0.9, hard ones near 0.35, verdicts by coin flip near 0, and a wrong label
    below 0 (the surest rollouts are judged wrong). Independent verdicts have an expected square of
    1 / (n - 1), so the sign is what lets chance average out.

    Args:
        verdicts: [rollouts] 1, 0 or nan.
        confidence: [rollouts] the least token log-probability of each rollout under the policy that
            wrote it, or None.
    """
    if confidence is None:
        return math.nan
    known = ~np.isnan(verdicts) & np.isfinite(confidence)
    correct, sure = verdicts[known], confidence[known]
    if correct.size < 3:
        return math.nan
    correct, sure = correct - correct.mean(), sure - sure.mean()
    norm = float((correct @ correct) * (sure @ sure))
    if norm <= 1e-18:
        return math.nan
    product = float(correct @ sure)
    return product * abs(product) / norm


def judged_two_ways(
    verdicts: NDArray[np.float64], answers: Sequence[str | None]
) -> tuple[int, int]:
    """Pairs of rollouts with one and the same final answer, and how many of them have different
    verdicts.

    A rule that looks at the answer alone can never do that: such a pair shows a flaky verifier or a
    reward by chance.

    Args:
        verdicts: [rollouts] 1, 0 or nan.
        answers: Final answer of each rollout, None where none was found; empty when answers are not
            known.
    """
    correct: dict[str, list[float]] = {}
    for verdict, answer in zip(verdicts.tolist(), answers, strict=False):
        if answer is not None and not math.isnan(verdict):
            correct.setdefault(answer, []).append(verdict)
    pairs = sum(len(judged) * (len(judged) - 1) // 2 for judged in correct.values())
    torn = sum(int(sum(judged)) * (len(judged) - int(sum(judged))) for judged in correct.values())
    return pairs, torn


def majority_refused(group: GroupOutcome) -> bool | None:
    """Whether the most frequent answer of at least half the rollouts was judged wrong; None where
    there is no such answer.

    Where it stays so while other answers are now and then judged right, the label may be wrong.
    """
    judged = [
        (a, v)
        for a, v in zip(group.answers, group.verdicts.tolist(), strict=False)
        if a is not None and not math.isnan(v)
    ]
    if not judged:
        return None
    names = [answer for answer, _ in judged]
    common = max(set(names), key=lambda name: (names.count(name), name))
    if 2 * names.count(common) < group.num_rollouts:
        return None
    return not any(verdict for answer, verdict in judged if answer == common)
