"""Builds the stages of a recipe in order: what each decides, and what it asks a model."""

from __future__ import annotations

import dataclasses
import functools
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any

from vasari.core.plugins import allow_plugins, allowed_plugins
from vasari.core.records import Prompt
from vasari.core.settings import Settings
from vasari.curate.ask.annotate import annotate, annotate_request
from vasari.curate.ask.categorise import categorise, categorise_request, is_asked
from vasari.curate.ask.rephrase import rephrase, rephrase_by_rule, rephrase_request
from vasari.curate.ask.validity import blind_request, sighted_request, validity
from vasari.curate.choose.pass_rates import (
    grade_by_model,
    grade_by_verdicts,
    grading_request,
    read_verdicts,
)
from vasari.curate.choose.select import choose_for, routed, select_rl, select_sft
from vasari.curate.match.decontaminate import LeakSettings
from vasari.curate.match.near_duplicates import DuplicateSettings, near_duplicates
from vasari.curate.own_stage import OwnStage, Place, run_stage
from vasari.curate.recipe import CheckSettings, CurationRecipe, RlPart, RlRecipe, SftRecipe
from vasari.curate.run.checks import Checker
from vasari.curate.run.models import Models
from vasari.curate.run.reading import data_path, located, read_benchmarks, source_state
from vasari.curate.run.rows import Shard, TextRows, row_starts
from vasari.curate.run.shards import file_hash
from vasari.curate.stage import RL_PART, AskedModel, StageResult, without
from vasari.endpoint import Request

Decide = Callable[[Shard], StageResult]
"""Function that decides which prompts of a shard are kept, and why the others are dropped."""

Work = Callable[[Sequence[Prompt], AskedModel], StageResult]


@dataclass(frozen=True, slots=True, kw_only=True)
class Requests:
    """Requests that a stage sends to a model for its prompts, as far as known before the run."""

    label: str
    make: Callable[[Prompt, AskedModel], Request]
    """Builds the request of a prompt; on a DataError the stage drops the prompt without asking."""
    times: int = 1
    """Most answers to each request."""
    wanted: Callable[[Sequence[Prompt]], Sequence[Prompt]] = lambda prompts: prompts
    """Selects the prompts that are asked about."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Stage:
    """One curation stage: how it decides which prompts to keep, and its requests to a model."""

    name: str
    branch: str = "both"
    """Set that the stage helps to build: "both", "sft" or "rl"."""
    settings: Mapping[str, Any]
    """All that the stage's results depend on; when it has changed, the stage runs again."""
    make: Callable[[Sequence[Path]], Decide]
    """Builds the decision from the shards of the stage before; called once in each process."""
    spread: bool = False
    """Whether the engine processes the shards, perhaps in other processes, and not this process."""
    model: str | None = None
    """Name in the recipe of the model that the stage asks."""
    requests: tuple[Requests, ...] | None = ()
    """Requests to that model; None where only the stage itself knows them."""


def local_stages(recipe: CurationRecipe, base: Path) -> list[Stage]:
    """Build the stages that run first, after the sources are read, and call no model."""
    check = Stage(
        name="check",
        settings=recipe.checks.model_dump(mode="json"),
        make=partial(_check, recipe.checks),
        spread=True,
    )
    stages = [*_own(recipe, "read"), check, *_own(recipe, "check")]
    if recipe.duplicates is not None:
        settings = recipe.duplicates.model_dump(mode="json")
        make = partial(_near_duplicates, recipe.duplicates)
        stages.append(Stage(name="near_duplicates", settings=settings, make=make))
    stages += _own(recipe, "near_duplicates")
    leaks = recipe.decontaminate
    if leaks is not None and leaks.benchmarks:
        settings = leaks.model_dump(mode="json")
        settings["benchmarks"] = [source_state(entry, base) for entry in leaks.benchmarks]
        make_leaks = partial(_leaks, located(leaks, base))
        stages.append(Stage(name="decontaminate", settings=settings, make=make_leaks, spread=True))
    return stages + _own(recipe, "decontaminate")


def later_stages(recipe: CurationRecipe, base: Path, models: Models) -> list[Stage]:
    """Build the stages that may ask models: validity, grading, then the SFT and RL sets' stages.

    Raises:
        DataError: The file of verdicts cannot be read.
    """
    stages = _validity(recipe, models) + _grade(recipe, base, models)
    stages += _own(recipe, "grade", models)
    if recipe.sft is not None:
        stages += _sft(recipe, recipe.sft, models)
    if recipe.rl is not None:
        stages += _rl(recipe, recipe.rl, models)
    return stages


def _check(settings: CheckSettings, _: Sequence[Path]) -> Decide:
    checker = Checker(settings)

    def decide(shard: Shard) -> StageResult:
        result = checker.check(shard.prompts)
        shard.facts = checker.facts
        return result

    return decide


def _near_duplicates(settings: DuplicateSettings, before: Sequence[Path]) -> Decide:
    texts, starts = TextRows(before), row_starts(before)
    dropped = {drop.index: drop for drop in near_duplicates(texts, texts.images, settings)}

    def decide(shard: Shard) -> StageResult:
        first = starts[shard.number]
        own = [
            dataclasses.replace(dropped[first + place], index=place)
            for place in range(len(shard.prompts))
            if first + place in dropped
        ]
        return without(shard.prompts, own)

    return decide


def _leaks(settings: LeakSettings, _: Sequence[Path]) -> Decide:
    # Read with the first shard, so that an error of theirs is one of the work.
    read = functools.cache(partial(read_benchmarks, settings))

    def decide(shard: Shard) -> StageResult:
        leaks = read().index.leaks(shard.prompts, shard.image_index())
        counts = read().counts if shard.number == 0 else {}
        return without(shard.prompts, leaks, counts)

    return decide


def _validity(recipe: CurationRecipe, models: Models) -> list[Stage]:
    if recipe.validity is None:
        return []
    settings = recipe.validity.settings
    requests = (
        Requests(
            label="validity (blind)",
            make=partial(blind_request, settings=settings),
            times=settings.num_blind,
            wanted=lambda prompts: [prompt for prompt in prompts if prompt.images],
        ),
        Requests(
            label="validity (sighted)",
            make=partial(sighted_request, settings=settings),
            times=settings.num_sighted,
        ),
    )
    stage = Stage(
        name="validity",
        settings=_state(recipe, recipe.validity.model, settings),
        make=_asking(models, recipe.validity.model, partial(validity, settings=settings)),
        model=recipe.validity.model,
        requests=tuple(one for one in requests if one.times),
    )
    return [stage]


def _grade(recipe: CurationRecipe, base: Path, models: Models) -> list[Stage]:
    settings = recipe.grade
    if settings is None:
        return []
    if settings.verdicts is not None:
        path = data_path(settings.verdicts, base)
        verdicts = read_verdicts(path)
        stage = Stage(
            name="grade",
            settings=settings.model_dump(mode="json") | {"file": file_hash(path)},
            make=lambda _: lambda shard: grade_by_verdicts(shard.prompts, verdicts, settings),
        )
        return [stage]
    model = str(settings.model)
    requests = Requests(
        label="grade",
        make=partial(grading_request, settings=settings),
        times=settings.num_rollouts,
    )
    stage = Stage(
        name="grade",
        settings=_state(recipe, model, settings, judged=True),
        make=_asking(
            models, model, partial(grade_by_model, settings=settings, appeal=models.appeal)
        ),
        model=model,
        requests=(requests,),
    )
    return [stage]


def _sft(recipe: CurationRecipe, sft: SftRecipe, models: Models) -> list[Stage]:
    """Build the stages of the SFT set: domains and difficulty bins, then verified rationales."""
    state = sft.model_dump(mode="json", exclude={"annotate"})
    select = Stage(
        name="select",
        branch="sft",
        settings=state | {"annotated": sft.annotate is not None},
        make=lambda _: lambda shard: select_sft(shard.prompts, sft),
    )
    if sft.annotate is None:
        return [select, *_own(recipe, "sft", models)]
    model, settings = sft.annotate.model, sft.annotate.settings
    unbinned = sft.model_copy(update={"bins": None})
    requests = Requests(
        label="sft.annotate",
        make=partial(annotate_request, settings=settings),
        times=settings.num_rationales,
        wanted=lambda prompts: select_sft(prompts, unbinned).kept,
    )
    stage = Stage(
        name="annotate",
        branch="sft",
        settings=_state(recipe, model, settings, judged=True),
        make=_asking(models, model, partial(annotate, settings=settings, appeal=models.appeal)),
        model=model,
        requests=(requests,),
    )
    return [select, stage, *_own(recipe, "sft", models)]


def _rl(recipe: CurationRecipe, rl: RlRecipe, models: Models) -> list[Stage]:
    """Build the stages of the RL set: domains and bins, short answers, categories, targets."""
    fields = {"target", "balance_by"}
    select = Stage(
        name="select",
        branch="rl",
        settings={"parts": [part.model_dump(mode="json", exclude=fields) for part in rl.parts]},
        make=lambda _: lambda shard: select_rl(shard.prompts, rl.parts),
    )
    state = {"parts": [part.model_dump(mode="json") for part in rl.parts], "seed": recipe.seed}
    balance = Stage(
        name="balance",
        branch="rl",
        settings=state,
        make=partial(_balance, rl.parts, recipe.seed),
    )
    stages = [select, *_rephrase(recipe, rl, models), *_categorise(recipe, rl, models)]
    return [*stages, *_own(recipe, "rl", models), balance]


def _rephrase(recipe: CurationRecipe, rl: RlRecipe, models: Models) -> list[Stage]:
    if rl.rephrase is None:
        return []
    model, settings = rl.rephrase.model, rl.rephrase.settings
    parts = {part.name for part in rl.parts if part.rephrase}

    def wanted(prompts: Sequence[Prompt]) -> list[Prompt]:
        found = _in_parts(prompts, rl.parts, parts)
        return [prompt for prompt in found if rephrase_by_rule(prompt, settings) is None]

    make = partial(rephrase_request, settings=settings)
    stage = Stage(
        name="rephrase",
        branch="rl",
        settings=_state(recipe, model, settings),
        make=_asking(models, model, partial(rephrase, settings=settings), parts=parts),
        model=model,
        requests=(Requests(label="rl.rephrase", make=make, wanted=wanted),),
    )
    return [stage]


def _categorise(recipe: CurationRecipe, rl: RlRecipe, models: Models) -> list[Stage]:
    if rl.categorise is None:
        return []
    model, settings = rl.categorise.model, rl.categorise.settings
    parts = {part.name for part in rl.parts if part.categorise}

    def wanted(prompts: Sequence[Prompt]) -> list[Prompt]:
        found = _in_parts(prompts, rl.parts, parts)
        return [prompt for prompt in found if is_asked(prompt, settings)]

    make = partial(categorise_request, settings=settings)
    requests = Requests(label="rl.categorise", make=make, times=settings.num_votes, wanted=wanted)
    stage = Stage(
        name="categorise",
        branch="rl",
        settings=_state(recipe, model, settings),
        make=_asking(models, model, partial(categorise, settings=settings), parts=parts),
        model=model,
        requests=(requests,),
    )
    return [stage]


def _in_parts(prompts: Sequence[Prompt], parts: Sequence[RlPart], wanted: set[str]) -> list[Prompt]:
    """Prompts that the RL parts named in `wanted` would take if difficulty did not count."""
    unbinned = [part.model_copy(update={"bins": None}) for part in parts]
    return [
        prompt for prompt in select_rl(prompts, unbinned).kept if prompt.metadata[RL_PART] in wanted
    ]


def _balance(parts: Sequence[RlPart], seed: int, before: Sequence[Path]) -> Decide:
    quotas, starts = choose_for(parts, before, seed=seed), row_starts(before)

    def decide(shard: Shard) -> StageResult:
        dropped = quotas.within(shard.prompts, starts[shard.number])
        return without(shard.prompts, dropped, quotas.notes if shard.number == 0 else {})

    return decide


def _own(recipe: CurationRecipe, place: Place, models: Models | None = None) -> list[Stage]:
    """Build the user-defined stages that the recipe puts at `place`, in the recipe's order."""
    branch = place if place in ("sft", "rl") else "both"
    stages = []
    for own in recipe.stages:
        if own.after != place:
            continue
        make: Callable[[Sequence[Path]], Decide]
        if own.model is None or models is None:
            make = partial(_own_without_model, own, allowed_plugins())
            settings = own.identity()
        else:
            make = _asking(models, own.model, partial(run_stage, own))
            settings = own.identity() | _model_state(recipe, own.model)
        stage = Stage(
            name=own.title,
            branch=branch,
            settings=settings,
            make=make,
            spread=own.model is None,
            model=own.model,
            requests=() if own.model is None else None,
        )
        stages.append(stage)
    return stages


def _own_without_model(stage: OwnStage, plugins: Sequence[str], _: Sequence[Path]) -> Decide:
    allow_plugins(plugins)  # another machine has not the environment of the command
    return lambda shard: run_stage(stage, shard.prompts)


def _asking(
    models: Models, name: str, work: Work, *, parts: set[str] | None = None
) -> Callable[[Sequence[Path]], Decide]:
    """Build the decision of a stage that asks a model, about all prompts or those of RL parts."""

    def decide(shard: Shard) -> StageResult:
        model = dataclasses.replace(models(name), progress=shard.progress)
        return routed(
            shard.prompts,
            lambda prompt: parts is None or prompt.metadata[RL_PART] in parts,
            lambda wanted: work(wanted, model),
        )

    return lambda _: decide


def _state(
    recipe: CurationRecipe, model: str, settings: Settings, *, judged: bool = False
) -> dict[str, Any]:
    """What the results of a stage that asks a model, and a judge if there is one, depend on."""
    judge = {"judge": recipe.judge.identity()} if judged and recipe.judge is not None else {}
    return settings.model_dump(mode="json") | judge | _model_state(recipe, model)


def _model_state(recipe: CurationRecipe, name: str) -> dict[str, Any]:
    """Settings of a model that its answers depend on: not its rate limits or its prices."""
    entry = recipe.models[name]
    state = entry.model_dump(mode="json", exclude={"endpoint"})
    return {"asked": state | {"base_url": entry.endpoint.base_url}}
