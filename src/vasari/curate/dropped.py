"""Why a prompt is not in the curated set."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True, slots=True, kw_only=True)
class Dropped:
    """One prompt that was left out, with the reason and what it collided with."""

    index: int
    """Position of the prompt in the input."""
    id: str
    """The prompt's id."""
    reason: str
    """The rule: "easy", "ungraded", "over_quota", "near_duplicate", "benchmark_leak", ..."""
    collided_with: str | None = None
    """Id of the prompt it duplicates or leaks; None where the rule compares it with nothing."""
    detail: str = ""
    """The measured values behind the rule, for a person to read."""
