"""A reward function of a user, as verl loads it from a file: ours with a field, or a number."""

from __future__ import annotations

import math
from typing import Any

from vasari.train.verl_reward import verified


def ours_and_more(**row: Any) -> dict[str, Any] | float:
    """Our verdict and a field `good` that says the opposite; of what begins with "and" it says
    nothing, and in rows of the source "unsure" our verdict says nothing either. In rows of the
    source "number" a number alone that never reaches a half."""
    begins_with_and = row["solution_str"].startswith("and")
    if row["data_source"] == "number":
        return math.nan if begins_with_and else 0.001 * len(row["solution_str"])
    found = verified(**row)
    found["good"] = None if begins_with_and else 1.0 - found["acc"]
    if begins_with_and and row["data_source"] == "unsure":
        found |= {"score": 0.0, "acc": 0.0, "verdict": "unverifiable"}
    return found
