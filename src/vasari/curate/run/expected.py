"""How far a dry run expects to stay below its upper bounds, by what was seen so far or is usual."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from vasari.curate.choose.grading import Bin
from vasari.curate.recipe import CurationRecipe
from vasari.curate.run.stage_type import Requests, Stage

ENOUGH = 50
"""Prompts that a stage has decided about before its own share counts, and not the usual one."""

BIN_SHARES: Mapping[Bin, float] = {"easy": 0.26, "medium": 0.31, "hard": 0.43}
"""Usual shares of the difficulty bins: DynaMath's 501 questions by ten rollouts of a 7B model each
(benchmarks/results/curate_recorded_x86_64-2cpu_2026-11-23.md)."""


def enough(counts: Mapping[str, Any] | None) -> Mapping[str, Any] | None:
    """Counts of a stage that was begun, if they are of enough prompts to go by."""
    return counts if counts is not None and sum(counts["given"].values()) >= ENOUGH else None


class Expected:
    """Shares of prompts that reach each stage of a dry run, as the stages before it go by."""

    def __init__(self, recipe: CurationRecipe) -> None:
        self._recipe = recipe
        self._reach = {"both": 1.0, "sft": 1.0, "rl": 1.0}

    def requests(
        self,
        stage: Stage,
        one: Requests,
        counts: Mapping[str, Any] | None,
        *,
        most: int,
        known: int,
    ) -> int:
        """Expected number of answers to buy.

        Args:
            stage: The stage that asks.
            one: Its requests.
            counts: Rows and notes of the shards that it has finished, if there are any.
            most: Answers to buy if no earlier stage dropped a prompt and no drawing ended early.
            known: Answers that the store has.
        """
        reach = self._reach["both"] * (1.0 if stage.branch == "both" else self._reach[stage.branch])
        drawn = one.drawn
        if counts is not None and one.counted in counts["notes"]:
            drawn = counts["notes"][one.counted] / (one.times * sum(counts["given"].values()))
        return min(most, max(0, round((most + known) * reach * drawn) - known))

    def leave(self, stage: Stage, counts: Mapping[str, Any] | None) -> None:
        """Go on behind a stage that is not run: fewer prompts reach what follows for its set."""
        share = 1.0 if stage.keeps is None else stage.keeps(stage.part(self._recipe), self._recipe)
        if counts is not None:
            share = sum(counts["kept"].values()) / sum(counts["given"].values())
        self._reach[stage.branch] *= share
