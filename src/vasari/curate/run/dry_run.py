"""What a curation would ask, and what that costs, before anything is sent."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path

from vasari.core.errors import DataError
from vasari.core.records import Prompt
from vasari.curate.ask.asking import prompt_request
from vasari.curate.ask.rephrase import rephrase_by_rule
from vasari.curate.choose.pass_rates import grading_request
from vasari.curate.choose.select import PART, select_rl, select_sft
from vasari.curate.recipe import CurationRecipe
from vasari.curate.run.engine import Engine, LocalEngine
from vasari.curate.run.job import Models, locked
from vasari.curate.run.pipeline import Run, Show
from vasari.curate.run.rows import PromptRows
from vasari.curate.run.steps import local_stages
from vasari.curate.stage import AskedModel
from vasari.endpoint import Forecast, Request, forecast

Make = Callable[[Prompt, AskedModel], Request]

_CHUNK = 1024


@dataclass(frozen=True, slots=True, kw_only=True)
class DryRun:
    """A curation as far as it can be known before a model is asked."""

    num_prompts: int
    """Prompts that the local stages keep."""
    stages: Mapping[str, Forecast]
    """By stage: at most, as if no stage before it dropped a prompt and no drawing ended early."""
    unknown: Mapping[str, str] = field(default_factory=dict)
    """Stages of the user's own that ask a model, and its name: what they will ask, only they
    know."""


@dataclass(frozen=True, slots=True, kw_only=True)
class _Asks:
    """What a stage asks of each prompt."""

    stage: str
    model: str
    make: Make
    times: int
    wanted: Callable[[Sequence[Prompt]], Sequence[Prompt]]


def dry_run(
    recipe: CurationRecipe,
    *,
    base: Path,
    root: Path,
    engine: Engine | None = None,
    show: Show | None = None,
) -> DryRun:
    """Run the local stages and forecast the others; nothing is sent, and no key is needed.

    The later a stage, the further its forecast lies above the truth: what grading will drop is not
    known yet.

    Raises:
        ConfigError: A setting does not fit the data.
        DataError: A source has not the shape that was expected.
        StateError: Another process works in the folder.
        StorageError: The disk refused.
    """
    root = root.resolve()
    with locked(root), Models(recipe, base=base, root=root) as models:
        run = Run(recipe=recipe, base=base, root=root, engine=engine or LocalEngine(), show=show)
        output = local_stages(run)
        prompts = PromptRows(output.parts, root)
        found = {}
        for asks in _all_asks(recipe):
            model = models(asks.model)
            found[asks.stage] = forecast(
                model.settings,
                model.store,
                _requests(prompts, asks, model),
                num_responses=asks.times,
            )
        unknown = {stage.title: stage.model for stage in recipe.stages if stage.model is not None}
        return DryRun(num_prompts=output.num_kept, stages=found, unknown=unknown)


def _requests(prompts: PromptRows, asks: _Asks, model: AskedModel) -> Iterator[Request]:
    for start in range(0, len(prompts), _CHUNK):
        for prompt in asks.wanted(prompts[start : start + _CHUNK]):
            try:
                yield asks.make(prompt, model)
            except DataError:
                continue  # the stage drops it without asking


def _all_asks(recipe: CurationRecipe) -> Iterator[_Asks]:
    if recipe.validity is not None:
        yield from _validity_asks(recipe)
    if recipe.grade is not None and recipe.grade.model is not None:
        grade = recipe.grade
        yield _Asks(
            stage="grade",
            model=str(grade.model),
            make=lambda prompt, model: grading_request(prompt, model, grade),
            times=grade.num_rollouts,
            wanted=lambda prompts: prompts,
        )
    if recipe.sft is not None and recipe.sft.annotate is not None:
        sft, annotate = recipe.sft.model_copy(update={"bins": None}), recipe.sft.annotate
        yield _Asks(
            stage="sft.annotate",
            model=annotate.model,
            make=lambda prompt, model: prompt_request(
                prompt, model, system=annotate.settings.instructions(), seed=annotate.settings.seed
            ),
            times=annotate.settings.num_rationales,
            wanted=lambda prompts: select_sft(prompts, sft).kept,
        )
    if recipe.rl is not None:
        yield from _rl_asks(recipe)


def _validity_asks(recipe: CurationRecipe) -> Iterator[_Asks]:
    assert recipe.validity is not None  # noqa: S101  (asked by the caller)
    model, settings = recipe.validity.model, recipe.validity.settings
    for name, times, sighted in (
        ("blind", settings.num_blind, False),
        ("sighted", settings.num_sighted, True),
    ):
        if times:
            yield _Asks(
                stage=f"validity ({name})",
                model=model,
                make=lambda prompt, model, sighted=sighted: prompt_request(  # type: ignore[misc]
                    prompt,
                    model,
                    system=settings.system if sighted else settings.blind_system,
                    seed=settings.seed,
                    with_images=sighted,
                ),
                times=times,
                wanted=lambda prompts, sighted=sighted: [
                    one for one in prompts if sighted or one.images
                ],  # type: ignore[misc]
            )


def _rl_asks(recipe: CurationRecipe) -> Iterator[_Asks]:
    assert recipe.rl is not None  # noqa: S101  (asked by the caller)
    parts = [part.model_copy(update={"bins": None}) for part in recipe.rl.parts]
    named = {part.name: part for part in parts}
    rephrase, categorise = recipe.rl.rephrase, recipe.rl.categorise
    if rephrase is not None:
        settings = rephrase.settings
        yield _Asks(
            stage="rl.rephrase",
            model=rephrase.model,
            make=lambda prompt, model: prompt_request(
                prompt, model, system=settings.system, seed=settings.seed
            ),
            times=1,
            wanted=lambda prompts: [
                prompt
                for prompt in select_rl(prompts, parts).kept
                if named[prompt.metadata[PART]].rephrase
                and rephrase_by_rule(prompt, settings) is None
            ],
        )
    if categorise is not None:
        told = categorise.settings
        yield _Asks(
            stage="rl.categorise",
            model=categorise.model,
            make=lambda prompt, model: prompt_request(
                prompt,
                model,
                system=told.instructions(),
                seed=told.seed,
                with_images=told.with_images,
            ),
            times=told.num_votes,
            wanted=lambda prompts: [
                prompt
                for prompt in select_rl(prompts, parts).kept
                if named[prompt.metadata[PART]].categorise
                and str(prompt.metadata.get("domain") or "") in told.asked_domains
            ],
        )
