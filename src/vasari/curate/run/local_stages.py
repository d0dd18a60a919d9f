"""The built-in stages that ask no model: reading, checks, duplicates, leaks, choosing, balance."""

from __future__ import annotations

import dataclasses
import functools
from collections.abc import Mapping, Sequence
from functools import partial
from pathlib import Path
from typing import Any

from vasari.curate.choose.grading import Bin
from vasari.curate.choose.select import choose_for, select_rl, select_sft
from vasari.curate.match.decontaminate import LeakSettings
from vasari.curate.match.near_duplicates import DuplicateSettings, near_duplicates
from vasari.curate.recipe import (
    CheckSettings,
    CurationRecipe,
    RlPart,
    RlRecipe,
    SftRecipe,
    SourceEntry,
)
from vasari.curate.run.checks import Checker
from vasari.curate.run.expected import BIN_SHARES
from vasari.curate.run.reading import located, read_benchmarks, source_state
from vasari.curate.run.rows import Shard, TextRows, row_starts
from vasari.curate.run.stage_type import Decide, Given, Stage
from vasari.curate.stage import StageResult, without


def _read_state(entries: Sequence[SourceEntry], given: Given) -> Mapping[str, Any]:
    recipe = given.recipe
    return {
        "sources": [source_state(entry, given.base, seed=recipe.seed) for entry in entries],
        "shard_rows": recipe.shard_rows,
    }


READ = Stage(
    name="read", key="sources", title="read", settings=_read_state, make=None, place="read"
)


def _check(settings: CheckSettings, _: Given, __: Sequence[Path]) -> Decide:
    checker = Checker(settings)

    def decide(shard: Shard) -> StageResult:
        result = checker.check(shard.prompts)
        shard.facts = checker.facts
        return result

    return decide


CHECK = Stage(name="check", key="checks", title="checked", make=_check, spread=True, place="check")


def _near_duplicates(settings: DuplicateSettings, given: Given, before: Sequence[Path]) -> Decide:
    texts, starts = TextRows(before), row_starts(before)
    found = near_duplicates(texts, texts.images, settings, tell=given.prepared)
    dropped = {drop.index: drop for drop in found}

    def decide(shard: Shard) -> StageResult:
        first = starts[shard.number]
        own = [
            dataclasses.replace(dropped[first + place], index=place)
            for place in range(len(shard.prompts))
            if first + place in dropped
        ]
        return without(shard.prompts, own)

    return decide


NEAR_DUPLICATES = Stage(
    name="near_duplicates",
    key="duplicates",
    title="near-duplicates",
    make=_near_duplicates,
    place="near_duplicates",
)


def _compared(recipe: CurationRecipe) -> LeakSettings | None:
    return None if recipe.why_not_decontaminated() else recipe.decontaminate


def _leak_state(leaks: LeakSettings, given: Given) -> Mapping[str, Any]:
    return leaks.model_dump(mode="json") | {
        "benchmarks": [source_state(entry, given.base) for entry in leaks.benchmarks]
    }


def _leaks(leaks: LeakSettings, given: Given, _: Sequence[Path]) -> Decide:
    # Read with the first shard, so that an error of theirs is one of the work.
    read = functools.cache(partial(read_benchmarks, located(leaks, given.base)))

    def decide(shard: Shard) -> StageResult:
        found = read().index.leaks(shard.prompts, shard.image_index())
        return without(shard.prompts, found, read().counts if shard.number == 0 else {})

    return decide


DECONTAMINATE = Stage(
    name="decontaminate",
    key="decontaminate",
    title="benchmark leaks",
    find=_compared,
    settings=_leak_state,
    make=_leaks,
    spread=True,
    place="decontaminate",
)


def _binned(bins: Sequence[Bin] | None, recipe: CurationRecipe) -> float:
    """Usual share of graded prompts that are in some of the bins; 1 where bins do not count."""
    if bins is None or recipe.grade is None:
        return 1.0
    kept = sum(BIN_SHARES[name] for name in recipe.grade.keep)
    return min(1.0, sum(BIN_SHARES[name] for name in set(bins)) / kept) if kept else 1.0


def _binned_rl(rl: RlRecipe, recipe: CurationRecipe) -> float:
    if any(part.bins is None for part in rl.parts):
        return 1.0
    return _binned([name for part in rl.parts for name in part.bins or ()], recipe)


def _sft_state(sft: SftRecipe, _: Given) -> Mapping[str, Any]:
    state = sft.model_dump(mode="json", exclude={"annotate"})
    return state | {"annotated": sft.annotate is not None}


def _select_sft(sft: SftRecipe, _: Given, __: Sequence[Path]) -> Decide:
    return lambda shard: select_sft(shard.prompts, sft)


SELECT_SFT = Stage(
    name="select",
    key="sft",
    title="chosen",
    branch="sft",
    settings=_sft_state,
    make=_select_sft,
    keeps=lambda sft, recipe: _binned(sft.bins, recipe),
)


def _rl_state(rl: RlRecipe, _: Given) -> Mapping[str, Any]:
    fields = {"target", "balance_by"}
    return {"parts": [part.model_dump(mode="json", exclude=fields) for part in rl.parts]}


def _select_rl(rl: RlRecipe, _: Given, __: Sequence[Path]) -> Decide:
    return lambda shard: select_rl(shard.prompts, rl.parts)


SELECT_RL = Stage(
    name="select",
    key="rl",
    title="chosen",
    branch="rl",
    settings=_rl_state,
    make=_select_rl,
    keeps=_binned_rl,
)


def _balance_state(parts: Sequence[RlPart], given: Given) -> Mapping[str, Any]:
    return {"parts": [part.model_dump(mode="json") for part in parts], "seed": given.recipe.seed}


def _balance(parts: Sequence[RlPart], given: Given, before: Sequence[Path]) -> Decide:
    quotas, starts = choose_for(parts, before, seed=given.recipe.seed), row_starts(before)

    def decide(shard: Shard) -> StageResult:
        dropped = quotas.within(shard.prompts, starts[shard.number])
        return without(shard.prompts, dropped, quotas.notes if shard.number == 0 else {})

    return decide


BALANCE = Stage(
    name="balance",
    key="rl.parts",
    title="balanced",
    branch="rl",
    settings=_balance_state,
    make=_balance,
)
