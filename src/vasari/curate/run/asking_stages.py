"""The built-in stages that ask a model: validity, grading, rationales, rephrasing, categories."""

from __future__ import annotations

import dataclasses
from collections.abc import Callable, Mapping, Sequence
from functools import partial
from pathlib import Path
from typing import Any

from vasari.core.records import Prompt
from vasari.core.settings import Settings
from vasari.curate.ask.annotate import annotate, annotate_request
from vasari.curate.ask.categorise import categorise, categorise_request, is_asked
from vasari.curate.ask.rephrase import rephrase, rephrase_by_rule, rephrase_request
from vasari.curate.ask.validity import blind_request, sighted_request, validity
from vasari.curate.choose.grading import GradingSettings
from vasari.curate.choose.pass_rates import (
    grade_by_model,
    grade_by_verdicts,
    grading_request,
    read_verdicts,
)
from vasari.curate.choose.select import routed, select_rl, select_sft
from vasari.curate.recipe import (
    AnnotateStage,
    CategoriseStage,
    CurationRecipe,
    RephraseStage,
    ValidityStage,
)
from vasari.curate.run.expected import BIN_SHARES
from vasari.curate.run.reading import data_path
from vasari.curate.run.rows import Shard
from vasari.curate.run.shards import file_hash
from vasari.curate.run.stage_type import Decide, Given, Requests, Stage
from vasari.curate.stage import RL_PART, AskedModel, StageResult

Work = Callable[[Sequence[Prompt], AskedModel], StageResult]


def asking(
    given: Given, name: str, work: Work, *, wanted: Callable[[Prompt], bool] = lambda _: True
) -> Decide:
    """Build the decision of a stage that asks the recipe's model `name` about wanted prompts."""
    models = given.models
    assert models is not None  # noqa: S101  (only workers have none, and they ask none)

    def decide(shard: Shard) -> StageResult:
        model = dataclasses.replace(models(name), progress=shard.progress)
        result = routed(shard.prompts, wanted, lambda prompts: work(prompts, model))
        shard.failures, shard.stopped_by = models.take_failures(), models.stopped_by
        return result

    return decide


def model_state(recipe: CurationRecipe, name: str) -> dict[str, Any]:
    """Settings of a model that its answers depend on: not its rate limits or its prices."""
    entry = recipe.models[name]
    state = entry.model_dump(mode="json", exclude={"endpoint"})
    return {"asked": state | {"base_url": entry.endpoint.base_url}}


def _state(
    settings: Settings, model: str, given: Given, *, judged: bool = False
) -> Mapping[str, Any]:
    """What the results of a stage that asks a model, and a judge if there is one, depend on."""
    recipe = given.recipe
    judge = {"judge": recipe.judge.identity()} if judged and recipe.judge is not None else {}
    return settings.model_dump(mode="json") | judge | model_state(recipe, model)


def _asking_stage(
    work: Callable[..., StageResult], *, judged: bool = False, flag: str = "", **names: Any
) -> Stage:
    """Build a stage whose part of the recipe has a `model` and `settings`.

    Args:
        work: Called with the prompts, the model, `settings`, and `appeal` if `judged`.
        judged: Whether the recipe's judge decides where rules do not.
        flag: Field of the RL parts whose prompts are asked about; "" asks about all prompts.
        **names: Further fields of the stage.
    """

    def state(part: Any, given: Given) -> Mapping[str, Any]:
        return _state(part.settings, part.model, given, judged=judged)

    def make(part: Any, given: Given, _: Sequence[Path]) -> Decide:
        appeal = {"appeal": given.models.appeal} if judged and given.models is not None else {}
        parts = _flagged(given.recipe, flag)
        return asking(
            given,
            part.model,
            partial(work, settings=part.settings, **appeal),
            wanted=lambda prompt: not flag or prompt.metadata[RL_PART] in parts,
        )

    return Stage(settings=state, make=make, asks=True, **names)


def _validity_requests(part: ValidityStage, _: CurationRecipe) -> tuple[Requests, ...]:
    settings = part.settings
    blind = Requests(
        label="validity (blind)",
        make=partial(blind_request, settings=settings),
        times=settings.num_blind,
        wanted=lambda prompts: [prompt for prompt in prompts if prompt.images],
    )
    sighted = Requests(
        label="validity (sighted)",
        make=partial(sighted_request, settings=settings),
        times=settings.num_sighted,
    )
    return tuple(one for one in (blind, sighted) if one.times)


VALIDITY = _asking_stage(
    validity,
    name="validity",
    key="validity",
    title="valid",
    requests=_validity_requests,
    keeps=lambda *_: 0.9,
)


def _grade_state(settings: GradingSettings, given: Given) -> Mapping[str, Any]:
    if settings.verdicts is None:
        return _state(settings, str(settings.model), given, judged=True)
    path = data_path(settings.verdicts, given.base)
    read_verdicts(path)  # an error in the file is said before any work
    return settings.model_dump(mode="json") | {"file": file_hash(path)}


def _grade(settings: GradingSettings, given: Given, _: Sequence[Path]) -> Decide:
    if settings.verdicts is not None:
        verdicts = read_verdicts(data_path(settings.verdicts, given.base))
        return lambda shard: grade_by_verdicts(shard.prompts, verdicts, settings)
    appeal = None if given.models is None else given.models.appeal
    work = partial(grade_by_model, settings=settings, appeal=appeal)
    return asking(given, str(settings.model), work)


def _grade_requests(settings: GradingSettings, _: CurationRecipe) -> tuple[Requests, ...]:
    make = partial(grading_request, settings=settings)
    # Drawing ends once the bin is certain: of 8 rollouts 16 to 49% are not drawn.
    drawn = 0.8 if settings.num_rollouts > 2 else 1.0
    times = settings.num_rollouts
    return (Requests(label="grade", make=make, times=times, drawn=drawn, counted="rollouts"),)


GRADE = Stage(
    name="grade",
    key="grade",
    title="graded",
    settings=_grade_state,
    make=_grade,
    asks=True,
    requests=_grade_requests,
    keeps=lambda settings, _: sum(BIN_SHARES[name] for name in settings.keep),
    place="grade",
)


def _annotate_requests(part: AnnotateStage, recipe: CurationRecipe) -> tuple[Requests, ...]:
    assert recipe.sft is not None  # noqa: S101  (the part is in it)
    unbinned = recipe.sft.model_copy(update={"bins": None})
    return (
        Requests(
            label="sft.annotate",
            make=partial(annotate_request, settings=part.settings),
            times=part.settings.num_rationales,
            wanted=lambda prompts: select_sft(prompts, unbinned).kept,
        ),
    )


ANNOTATE = _asking_stage(
    annotate,
    judged=True,
    name="annotate",
    key="sft.annotate",
    title="verified rationale",
    branch="sft",
    requests=_annotate_requests,
    keeps=lambda *_: 0.6,
    place="sft",
)


def _rephrase_requests(part: RephraseStage, recipe: CurationRecipe) -> tuple[Requests, ...]:
    def wanted(prompts: Sequence[Prompt]) -> list[Prompt]:
        found = _in_flagged(prompts, recipe, "rephrase")
        return [prompt for prompt in found if rephrase_by_rule(prompt, part.settings) is None]

    make = partial(rephrase_request, settings=part.settings)
    return (Requests(label="rl.rephrase", make=make, wanted=wanted),)


REPHRASE = _asking_stage(
    rephrase,
    flag="rephrase",
    name="rephrase",
    key="rl.rephrase",
    title="short answers",
    branch="rl",
    requests=_rephrase_requests,
)


def _categorise_requests(part: CategoriseStage, recipe: CurationRecipe) -> tuple[Requests, ...]:
    def wanted(prompts: Sequence[Prompt]) -> list[Prompt]:
        found = _in_flagged(prompts, recipe, "categorise")
        return [prompt for prompt in found if is_asked(prompt, part.settings)]

    make = partial(categorise_request, settings=part.settings)
    return (
        Requests(label="rl.categorise", make=make, times=part.settings.num_votes, wanted=wanted),
    )


CATEGORISE = _asking_stage(
    categorise,
    flag="categorise",
    name="categorise",
    key="rl.categorise",
    title="categories",
    branch="rl",
    requests=_categorise_requests,
    place="rl",
)


def _flagged(recipe: CurationRecipe, flag: str) -> set[str]:
    """Names of the RL parts in which `flag` is set."""
    parts = [] if recipe.rl is None or not flag else recipe.rl.parts
    return {part.name for part in parts if getattr(part, flag)}


def _in_flagged(prompts: Sequence[Prompt], recipe: CurationRecipe, flag: str) -> list[Prompt]:
    """Prompts that the RL parts with `flag` set would take if difficulty did not count."""
    assert recipe.rl is not None  # noqa: S101  (the stage is one of its)
    wanted = _flagged(recipe, flag)
    unbinned = [part.model_copy(update={"bins": None}) for part in recipe.rl.parts]
    return [
        prompt for prompt in select_rl(prompts, unbinned).kept if prompt.metadata[RL_PART] in wanted
    ]
