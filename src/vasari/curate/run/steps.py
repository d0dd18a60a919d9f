"""What `vasari curate` does: the local stages, then those that ask a model, on the way to each of
the two sets.
"""

from __future__ import annotations

import bisect
import dataclasses
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from functools import cached_property, partial
from pathlib import Path
from types import MappingProxyType
from typing import Any, Protocol

from vasari.core.plugins import allow_plugins, allowed_plugins
from vasari.core.records import Prompt
from vasari.core.settings import Settings
from vasari.curate.ask.annotate import annotate
from vasari.curate.ask.categorise import categorise
from vasari.curate.ask.rephrase import rephrase
from vasari.curate.ask.validity import validity
from vasari.curate.choose.grading import GradingSettings
from vasari.curate.choose.pass_rates import Appeal, grade_by_model, grade_by_verdicts, read_verdicts
from vasari.curate.choose.select import PART, routed, select_rl, select_sft
from vasari.curate.dropped import Dropped
from vasari.curate.match.benchmarks import Benchmarks, benchmark_state, located, read_benchmarks
from vasari.curate.match.decontaminate import LeakSettings
from vasari.curate.match.near_duplicates import DuplicateSettings, near_duplicates
from vasari.curate.own_stage import OwnStage, Place, run_stage, stages_at
from vasari.curate.recipe import CheckSettings, RlPart, RlRecipe, SftRecipe
from vasari.curate.run.checks import Checker
from vasari.curate.run.pipeline import Progress, Run, ShardDecision
from vasari.curate.run.quotas import choose_for
from vasari.curate.run.reading import data_path, read_entries, source_state
from vasari.curate.run.rows import ImageFacts, Rows, TextRows
from vasari.curate.run.shards import StageOutput, file_hash
from vasari.curate.stage import AskedModel, StageResult

Ask = Callable[[str], AskedModel]
"""The model that the recipe knows by this name."""


def local_stages(run: Run) -> StageOutput:
    """Reading, checks, near-duplicates, benchmark leaks: all that asks nobody."""
    recipe = run.recipe
    output = _own(run, _read(run), "read")
    output = run.spread(
        "check",
        output,
        partial(_checker, recipe.checks),
        settings=recipe.checks.model_dump(mode="json"),
    )
    output = _own(run, output, "check")
    if recipe.duplicates is not None:
        output = _near_duplicates(run, output)
    output = _own(run, output, "near_duplicates")
    if recipe.decontaminate is not None and recipe.decontaminate.benchmarks:
        told = recipe.decontaminate.model_dump(mode="json") | {
            "benchmarks": benchmark_state(recipe.decontaminate.benchmarks, run.base)
        }
        make = partial(_leaks, located(recipe.decontaminate, run.base), run.base)
        output = run.spread("decontaminate", output, make, settings=told)
    return _own(run, output, "decontaminate")


def graded(run: Run, before: StageOutput, ask: Ask, appeal: Appeal | None = None) -> StageOutput:
    """Validity and grading, as far as the recipe asks for them; `appeal` is the recipe's judge."""
    recipe, output = run.recipe, before
    if recipe.validity is not None:
        stage = recipe.validity
        output = _asked(
            run,
            output,
            "validity",
            stage,
            lambda prompts, model: validity(prompts, model, stage.settings),
            ask,
        )
    if recipe.grade is not None:
        output = _grade(run, output, recipe.grade, ask, appeal)
    return _own(run, output, "grade", ask)


def sft_stages(
    run: Run, before: StageOutput, recipe: SftRecipe, ask: Ask, appeal: Appeal | None = None
) -> StageOutput:
    """The supervised set: chosen by domain and bin, then with a verified rationale; `appeal` is the
    recipe's judge.
    """
    told = recipe.model_dump(mode="json", exclude={"annotate"}) | {
        "annotated": recipe.annotate is not None
    }
    output = run.apply(
        "select",
        before,
        lambda prompts, *_: select_sft(prompts, recipe),
        settings=told,
        branch="sft",
    )
    if recipe.annotate is not None:
        stage = recipe.annotate
        output = _asked(
            run,
            output,
            "annotate",
            stage,
            lambda prompts, model: annotate(prompts, model, stage.settings, appeal=appeal),
            ask,
            branch="sft",
            told=_told_judge(run),
        )
    return _own(run, output, "sft", ask, branch="sft")


def rl_stages(run: Run, before: StageOutput, recipe: RlRecipe, ask: Ask) -> StageOutput:
    """The RL set: chosen by domain and bin, with short answers, categorised, balanced to the
    targets.
    """
    parts = {part.name: part for part in recipe.parts}
    told: dict[str, Any] = {
        "parts": [
            part.model_dump(mode="json", exclude={"target", "balance_by"}) for part in recipe.parts
        ]
    }
    output = run.apply(
        "select",
        before,
        lambda prompts, *_: select_rl(prompts, recipe.parts),
        settings=told,
        branch="rl",
    )
    if recipe.rephrase is not None:
        first = recipe.rephrase
        output = _asked(
            run,
            output,
            "rephrase",
            first,
            lambda prompts, model: rephrase(prompts, model, first.settings),
            ask,
            branch="rl",
            wanted=lambda prompt: parts[prompt.metadata[PART]].rephrase,
        )
    if recipe.categorise is not None:
        second = recipe.categorise
        output = _asked(
            run,
            output,
            "categorise",
            second,
            lambda prompts, model: categorise(prompts, model, second.settings),
            ask,
            branch="rl",
            wanted=lambda prompt: parts[prompt.metadata[PART]].categorise,
        )
    output = _own(run, output, "rl", ask, branch="rl")
    return _balance(run, output, recipe.parts)


def _own(
    run: Run, output: StageOutput, place: Place, ask: Ask | None = None, *, branch: str = "both"
) -> StageOutput:
    """The stages of the user's own that come there: wherever the engine works, or in this process
    where they ask a model.
    """
    for stage in stages_at(run.recipe.stages, place):
        told = stage.identity()
        if stage.model is None:
            make = partial(_own_work, stage, allowed_plugins())
            output = run.spread(stage.title, output, make, settings=told, branch=branch)
        else:
            assert ask is not None  # noqa: S101  (the recipe's check: no stage asks before the local ones are done)
            decide = _asking(ask, stage.model, partial(run_stage, stage))
            output = run.apply(
                stage.title,
                output,
                decide,
                settings=told | told_model(run, stage.model),
                branch=branch,
            )
    return output


@dataclass(frozen=True)
class _Own:
    """A stage of the user's own in one process."""

    stage: OwnStage

    def __call__(
        self, _: int, prompts: Sequence[Prompt], facts: Mapping[str, ImageFacts]
    ) -> tuple[StageResult, Mapping[str, ImageFacts]]:
        """Decide about a shard."""
        return run_stage(self.stage, prompts), facts


def _own_work(stage: OwnStage, plugins: Sequence[str]) -> ShardDecision:
    allow_plugins(plugins)  # another machine has not the environment of the command
    return _Own(stage)


def told_model(run: Run, name: str) -> dict[str, Any]:
    """What of a model decides its answers: not how fast or for how much it may be asked."""
    entry = run.recipe.models[name]
    told = entry.model_dump(mode="json", exclude={"endpoint"})
    return {"asked": told | {"base_url": entry.endpoint.base_url}}


def _read(run: Run) -> StageOutput:
    recipe = run.recipe
    told = {
        "sources": [source_state(entry, run.base, recipe.seed) for entry in recipe.sources],
        "shard_rows": recipe.shard_rows,
    }
    stage = run.stage("read", "both", told, ())
    if not stage.open():
        with run.watch(stage):
            shards = read_entries(
                stage,
                recipe.sources,
                run.base,
                seed=recipe.seed,
                root=run.root,
                shard_rows=recipe.shard_rows,
            )
        stage.close(shards)
    return run.done(stage)


@dataclass
class _Check:
    """The checks of one process."""

    checker: Checker

    def __call__(
        self, _: int, prompts: Sequence[Prompt], __: Mapping[str, ImageFacts]
    ) -> tuple[StageResult, Mapping[str, ImageFacts]]:
        """Check a shard."""
        result = self.checker.check(prompts)
        return result, self.checker.facts


def _checker(settings: CheckSettings) -> ShardDecision:
    return _Check(Checker(settings))


@dataclass
class _Leaks:
    """The search for leaks of one process; the benchmarks are read when it starts."""

    recipe: LeakSettings
    base: Path

    @cached_property
    def benchmarks(self) -> Benchmarks:
        """Read once a process."""
        return read_benchmarks(self.recipe, self.base)

    def __call__(
        self, number: int, prompts: Sequence[Prompt], facts: Mapping[str, ImageFacts]
    ) -> tuple[StageResult, Mapping[str, ImageFacts]]:
        """Search a shard; the first one also says what it was compared with."""
        rows = Rows(prompts=tuple(prompts), facts=facts)
        result = _without(prompts, self.benchmarks.index.leaks(rows.prompts, rows.index))
        if number == 0:
            result = dataclasses.replace(result, counts=self.benchmarks.counts)
        return result, facts


def _leaks(recipe: LeakSettings, base: Path) -> ShardDecision:
    return _Leaks(recipe, base)


def _near_duplicates(run: Run, before: StageOutput) -> StageOutput:
    assert run.recipe.duplicates is not None  # noqa: S101  (asked by the caller)
    settings = run.recipe.duplicates
    everywhere = _Everywhere(lambda: _Listed(_duplicates_of(before, settings)))
    return run.apply(
        "near_duplicates", before, everywhere, settings=settings.model_dump(mode="json")
    )


def _duplicates_of(before: StageOutput, settings: DuplicateSettings) -> Sequence[Dropped]:
    texts = TextRows(before.parts)
    return near_duplicates(texts, texts.images, settings)


def _balance(run: Run, before: StageOutput, parts: Sequence[RlPart]) -> StageOutput:
    told = {"parts": [part.model_dump(mode="json") for part in parts], "seed": run.recipe.seed}
    everywhere = _Everywhere(lambda: choose_for(parts, before.parts, seed=run.recipe.seed))
    return run.apply("balance", before, everywhere, settings=told, branch="rl")


class _Decided(Protocol):
    """A decision about all prompts of a stage."""

    @property
    def notes(self) -> Mapping[str, int]: ...

    def within(self, prompts: Sequence[Prompt], first: int) -> Sequence[Dropped]:
        """What of it concerns a shard, by place in the shard."""


@dataclass(frozen=True)
class _Listed:
    """The prompts to drop, ascending."""

    dropped: Sequence[Dropped]
    notes: Mapping[str, int] = field(default_factory=dict)

    def within(self, prompts: Sequence[Prompt], first: int) -> Sequence[Dropped]:
        low = bisect.bisect_left(self.dropped, first, key=lambda drop: drop.index)
        high = bisect.bisect_left(self.dropped, first + len(prompts), key=lambda drop: drop.index)
        return [
            dataclasses.replace(drop, index=drop.index - first) for drop in self.dropped[low:high]
        ]


class _Everywhere:
    """A decision that needs all prompts at once, made before the first shard is written."""

    def __init__(self, decide: Callable[[], _Decided]) -> None:
        self._decide = decide

    @cached_property
    def decided(self) -> _Decided:
        """Made once, when the first shard asks."""
        return self._decide()

    def __call__(self, prompts: Sequence[Prompt], first: int, _: Progress) -> StageResult:
        """What of it concerns a shard; the first one tells the rest."""
        result = _without(prompts, self.decided.within(prompts, first))
        return dataclasses.replace(result, counts=self.decided.notes if first == 0 else {})


def _grade(
    run: Run, before: StageOutput, recipe: GradingSettings, ask: Ask, appeal: Appeal | None
) -> StageOutput:
    told = recipe.model_dump(mode="json")
    if recipe.verdicts is not None:
        path = data_path(recipe.verdicts, run.base)
        verdicts = read_verdicts(path)
        return run.apply(
            "grade",
            before,
            lambda prompts, *_: grade_by_verdicts(prompts, verdicts, recipe),
            settings=told | {"file": file_hash(path)},
        )
    name = str(recipe.model)
    decide = _asking(
        ask, name, lambda prompts, model: grade_by_model(prompts, model, recipe, appeal=appeal)
    )
    return run.apply(
        "grade", before, decide, settings=told | _told_judge(run) | told_model(run, name)
    )


def _told_judge(run: Run) -> dict[str, Any]:
    """What of the judge decides its verdicts; nothing without one."""
    return {} if run.recipe.judge is None else {"judge": run.recipe.judge.identity()}


class _AskingStage(Protocol):
    """A stage of a recipe that asks a model."""

    @property
    def model(self) -> str: ...
    @property
    def settings(self) -> Settings: ...


def _asked(
    run: Run,
    before: StageOutput,
    name: str,
    stage: _AskingStage,
    work: Callable[[Sequence[Prompt], AskedModel], StageResult],
    ask: Ask,
    *,
    branch: str = "both",
    wanted: Callable[[Prompt], bool] = lambda _: True,
    told: Mapping[str, Any] = MappingProxyType({}),
) -> StageOutput:
    """A stage whose work asks a model; done again when the model, the stage's settings or what else
    is told have changed.
    """
    settings = told_model(run, stage.model) | dict(told) | stage.settings.model_dump(mode="json")
    return run.apply(
        name,
        before,
        _asking(ask, stage.model, work, wanted=wanted),
        settings=settings,
        branch=branch,
    )


def _asking(
    ask: Ask,
    name: str,
    stage: Callable[[Sequence[Prompt], AskedModel], StageResult],
    *,
    wanted: Callable[[Prompt], bool] = lambda _: True,
) -> Callable[[Sequence[Prompt], int, Progress], StageResult]:
    """The decision of a stage that asks a model, for the prompts that it is wanted for."""

    def decide(prompts: Sequence[Prompt], _: int, progress: Progress) -> StageResult:
        model = dataclasses.replace(ask(name), progress=progress)
        return routed(prompts, wanted, lambda chosen: stage(chosen, model))

    return decide


def _without(prompts: Sequence[Prompt], dropped: Sequence[Dropped]) -> StageResult:
    gone = {drop.index for drop in dropped}
    kept = tuple(prompt for index, prompt in enumerate(prompts) if index not in gone)
    return StageResult(kept=kept, dropped=tuple(dropped))
