"""Reward functions of a user, as verl loads them from a file: ours with a field, and a number."""

from __future__ import annotations

import math
from typing import Any

from vasari.train.verl_reward import verified


def ours_and_more(**row: Any) -> dict[str, Any]:
    """Our verdict and a field `good` that says the opposite; of what begins with "and" it says
    nothing, and in rows of the source "unsure" our verdict says nothing either."""
    found = verified(**row)
    begins_with_and = row["solution_str"].startswith("and")
    found["good"] = None if begins_with_and else 1.0 - found["acc"]
    if begins_with_and and row["data_source"] == "unsure":
        found |= {"score": 0.0, "acc": 0.0, "verdict": "unverifiable"}
    return found


def a_number(solution_str: str, **_: Any) -> float:
    """A number that never reaches a half; nan for what begins with "and"."""
    return math.nan if solution_str.startswith("and") else 0.001 * len(solution_str)
