"""The stages of a curation, in order: a new stage is one object in `STAGES`.

The run, the dry run and the reports go through that tuple.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from functools import partial
from itertools import takewhile
from pathlib import Path
from typing import Any

from vasari.core.plugins import allow_plugins
from vasari.curate.own_stage import OwnStage, run_stage
from vasari.curate.recipe import CurationRecipe
from vasari.curate.run.asking_stages import (
    ANNOTATE,
    CATEGORISE,
    GRADE,
    REPHRASE,
    VALIDITY,
    asking,
    model_state,
)
from vasari.curate.run.local_stages import (
    BALANCE,
    CHECK,
    DECONTAMINATE,
    NEAR_DUPLICATES,
    READ,
    SELECT_RL,
    SELECT_SFT,
)
from vasari.curate.run.stage_type import Branch, Decide, Given, Stage

STAGES: tuple[Stage, ...] = (
    READ,
    CHECK,
    NEAR_DUPLICATES,
    DECONTAMINATE,
    VALIDITY,
    GRADE,
    SELECT_SFT,
    ANNOTATE,
    SELECT_RL,
    REPHRASE,
    CATEGORISE,
    BALANCE,
)
"""Built-in stages, in the order in which they run."""

LOCAL: tuple[str, ...] = tuple(
    stage.place for stage in takewhile(lambda stage: not stage.asks, STAGES) if stage.place
)
"""Places of user-defined stages that come before any model is asked."""


def built_in(name: str) -> Stage | None:
    """The built-in stage of this name; None if there is none."""
    return next((stage for stage in STAGES if stage.name == name), None)


def stages_of(recipe: CurationRecipe) -> tuple[Stage, ...]:
    """The stages that a recipe runs, in order, user-defined stages in their places."""
    found = []
    for stage in STAGES:
        if stage.part(recipe) is not None:
            found.append(stage)
        if stage.place is not None:
            own = [own for own in recipe.stages if own.after == stage.place]
            found += [_own_stage(one, stage.branch) for one in own]
    return tuple(found)


def _own_stage(own: OwnStage, branch: Branch) -> Stage:
    return Stage(
        name=own.title,
        key=own.name,
        title=own.title.replace("_", " "),
        branch=branch,
        find=lambda _: own,
        settings=_own_state,
        make=_own,
        spread=own.model is None,
        asks=True,
        requests=None if own.model is not None else lambda *_: (),
    )


def _own_state(own: OwnStage, given: Given) -> Mapping[str, Any]:
    asked = {} if own.model is None else model_state(given.recipe, own.model)
    return own.identity() | asked


def _own(own: OwnStage, given: Given, _: Sequence[Path]) -> Decide:
    if own.model is not None:
        return asking(given, own.model, partial(run_stage, own))
    allow_plugins(given.plugins)  # another machine has not the environment of the command
    return lambda shard: run_stage(own, shard.prompts)
