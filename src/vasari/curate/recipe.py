"""A curation as its recipe states it: which prompts, which stages, which sets."""

from __future__ import annotations

import re
from typing import Annotated, Literal, Self

from pydantic import Field, model_validator

from vasari.core.settings import Settings
from vasari.curate.ask.categorise import CATEGORIES, CategoriseSettings
from vasari.curate.ask.rephrase import RephraseSettings
from vasari.curate.ask.validity import ValiditySettings
from vasari.curate.own_stage import OwnStage
from vasari.curate.settings import (
    Bin,
    CheckSettings,
    DuplicateRecipe,
    ExportName,
    GradeRecipe,
    LeakRecipe,
    ModelEntry,
    SftRecipe,
    SourceEntry,
)
from vasari.verify.judge import JudgeSettings


class ValidityStage(Settings):
    """Who is asked whether a prompt can be answered without its image, or has another answer."""

    model: str
    settings: ValiditySettings = ValiditySettings()


class RephraseStage(Settings):
    """Who turns answers into short ones that can be verified."""

    model: str
    settings: RephraseSettings = RephraseSettings()


class CategoriseStage(Settings):
    """Who says which category a prompt belongs to."""

    model: str
    settings: CategoriseSettings = CategoriseSettings()


class RlPart(Settings):
    """One part of the RL set, with a target of its own: hard mathematics, logic puzzles."""

    name: Annotated[str, Field(pattern=r"^[a-z0-9_]+$")]
    target: Annotated[int, Field(ge=1)]
    """Prompts wanted."""
    domains: tuple[str, ...] | None = None
    """Domains wanted; None takes those that no earlier part takes."""
    bins: tuple[Bin, ...] | None = None
    """Difficulties wanted; None takes all that grading keeps."""
    rephrase: bool = False
    """Whether its prompts go through `rephrase`."""
    categorise: bool = False
    """Whether its prompts go through `categorise`."""
    balance_by: Literal["category", "source", "none"] = "category"
    """What is made as even as the supply allows."""
    categories: tuple[str, ...] | None = None
    """Categories that count, empty ones included; None: the thirteen where a part is categorised,
    else those that occur."""

    @property
    def wanted(self) -> tuple[str, ...] | None:
        """The categories to balance over; None: those that occur."""
        if self.balance_by != "category":
            return None
        return self.categories or (tuple(CATEGORIES) if self.categorise else None)


class RlRecipe(Settings):
    """The set for reinforcement training: prompts that match the first part whose domains and bins
    fit.
    """

    parts: Annotated[list[RlPart], Field(min_length=1)]
    rephrase: RephraseStage | None = None
    categorise: CategoriseStage | None = None

    @model_validator(mode="after")
    def _parts_have_their_stages(self) -> Self:
        names = [part.name for part in self.parts]
        if len(set(names)) < len(names):
            raise ValueError(f"parts need different names, got {names}")
        for part in self.parts:
            for stage in ("rephrase", "categorise"):
                if getattr(part, stage) and getattr(self, stage) is None:
                    raise ValueError(
                        f"part {part.name!r} has {stage}: true, and there is no `{stage}` beside"
                        " `parts`"
                    )
        return self


class CurationRecipe(Settings):
    """From sources to a supervised set and a set for reinforcement training."""

    name: str
    """What the run is called."""
    seed: int = 0
    """Seeds generated prompts and the choice among equals."""
    sources: Annotated[list[SourceEntry], Field(min_length=1)]
    """In order of preference: of two copies the first is kept."""
    checks: CheckSettings = CheckSettings()
    duplicates: DuplicateRecipe | None = DuplicateRecipe()
    """None keeps near-duplicates."""
    decontaminate: LeakRecipe | None = LeakRecipe()
    """Benchmarks to keep out; without any the report says that nothing was compared. None says that
    too."""
    models: dict[str, ModelEntry] = Field(default_factory=dict)
    """Who may be asked, by a name of yours."""
    validity: ValidityStage | None = None
    judge: JudgeSettings | None = None
    """Who decides the answers of grading and annotation that rules leave undecided (docs/judge.md);
    None leaves them as the rules say."""
    grade: GradeRecipe | None = None
    """None grades nothing, and no stage may ask for a bin."""
    sft: SftRecipe | None = None
    """The supervised set; None makes none."""
    rl: RlRecipe | None = None
    """The set for reinforcement training; None makes none."""
    stages: tuple[OwnStage, ...] = ()
    """Stages of your own, as `package.module:attribute`, each placed after one of ours."""
    exports: tuple[ExportName, ...] = ()
    """Other forms of the two sets, written beside them."""
    shard_rows: Annotated[int, Field(ge=1, le=1_000_000)] = 4096
    """Rows that are worked on, and lost by a crash, at once; answers of a model are never lost."""
    responses: str | None = None
    """A folder of answers that several runs share, relative to the recipe; None keeps them in the
    run's folder."""

    @model_validator(mode="after")
    def _names_fit(self) -> Self:
        for name in self.models:
            if not re.fullmatch(r"[A-Za-z0-9][A-Za-z0-9_-]*", name) or name == "judge":
                raise ValueError(
                    "a model's name is of letters, digits, '-' and '_', and not 'judge'; got"
                    f" {name!r}"
                )
        labels = [entry.label for entry in self.sources]
        if len(set(labels)) < len(labels):
            raise ValueError(f"two sources are called the same ({labels}); give one a `name`")
        for stage, name in self.asked().items():
            if name not in self.models:
                raise ValueError(
                    f"{stage} asks model {name!r}, and `models` has {sorted(self.models)}"
                )
        if self.grade is None:
            parts = [] if self.rl is None else self.rl.parts
            binned = [f"rl part {part.name!r}" for part in parts if part.bins] + (
                ["sft"] if self.sft and self.sft.bins else []
            )
            if binned:
                raise ValueError(f"{', '.join(binned)} wants bins, and there is no `grade`")
        if self.sft is None and self.rl is None:
            raise ValueError("nothing to make: give `sft`, `rl` or both")
        return self

    @model_validator(mode="after")
    def _own_stages_fit(self) -> Self:
        titles = [stage.title for stage in self.stages]
        if len(set(titles)) < len(titles):
            raise ValueError(
                f"two stages of your own are called the same ({', '.join(titles)}); rename one of"
                " the functions"
            )
        for own in self.stages:
            if own.after in ("sft", "rl") and getattr(self, own.after) is None:
                raise ValueError(
                    f"stage {own.name!r} comes after `{own.after}`, which the recipe does not make"
                )
        return self

    def asked(self) -> dict[str, str]:
        """Stages that ask a model, and its name."""
        found = {
            "validity": self.validity.model if self.validity else None,
            "grade": self.grade.model if self.grade else None,
            "sft.annotate": self.sft.annotate.model if self.sft and self.sft.annotate else None,
            "rl.rephrase": self.rl.rephrase.model if self.rl and self.rl.rephrase else None,
            "rl.categorise": self.rl.categorise.model if self.rl and self.rl.categorise else None,
        }
        found |= {stage.name: stage.model for stage in self.stages}
        return {stage: name for stage, name in found.items() if name is not None}
