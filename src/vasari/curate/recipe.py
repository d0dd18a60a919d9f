"""A curation as its recipe states it: sources, models, stages, and the sets to make."""

from __future__ import annotations

import re
from collections.abc import Sequence
from importlib import resources
from pathlib import Path
from typing import Annotated, Any, Literal, Self

import yaml
from pydantic import Field, model_validator

from vasari.core.errors import ConfigError
from vasari.core.plugins import names_from_a_file
from vasari.core.settings import Settings, parse_settings, read_content
from vasari.curate.ask.annotate import AnnotateSettings
from vasari.curate.ask.categorise import CATEGORIES, CategoriseSettings
from vasari.curate.ask.rephrase import RephraseSettings
from vasari.curate.ask.validity import ValiditySettings
from vasari.curate.choose.grading import Bin, GradingSettings
from vasari.curate.match.decontaminate import LeakSettings
from vasari.curate.match.near_duplicates import DuplicateSettings
from vasari.curate.own_stage import OwnStage
from vasari.data.images import MAX_PIXELS
from vasari.data.tasks.families import find_family
from vasari.data.tasks.pool import PoolSettings
from vasari.endpoint import EndpointSettings, Sampling
from vasari.verify.judge import JudgeSettings

ExportName = Literal["sharegpt", "trl", "easyr1", "verl"]

PRESETS: tuple[str, ...] = ("paper-sft", "paper-rl")
"""Names of the parts of recipes that ship with the package."""


class SourceEntry(Settings):
    """Where prompts come from: a data set on disk, or generated ones."""

    source: str | None = None
    """A name of `vasari.data.sources.SOURCES`, or the path of a YAML description."""
    tasks: PoolSettings | None = None
    """Generate prompts with worked reasoning instead; no data is needed."""
    folder: str | None = None
    """Where the data set lies, relative to the recipe; `${NAME}` stands for an environment
    variable."""
    name: str | None = Field(default=None, pattern=r"^[A-Za-z0-9][A-Za-z0-9_.-]*$")
    """What reports call it; by default the source's name, or "tasks"."""
    split: str = "train"
    allow_test: bool = False
    """Read a test split, or a set that is published for testing alone."""
    limit: Annotated[int, Field(ge=1)] | None = None
    """Stop after this many prompts."""
    domain: str | None = None
    """In place of the domain that the source's description states."""

    @model_validator(mode="after")
    def _one_of_two(self) -> Self:
        if (self.source is None) == (self.tasks is None):
            raise ValueError("give either `source` (with its `folder`) or `tasks`")
        if (self.source is None) != (self.folder is None):
            raise ValueError("a `source` needs a `folder`, and `tasks` take none")
        with names_from_a_file():
            for name in () if self.tasks is None else self.tasks.families:
                find_family(name)
        return self

    @property
    def label(self) -> str:
        """The name of the source in reports."""
        if self.name is not None:
            return self.name
        return (
            "tasks"
            if self.source is None
            else self.source.replace("\\", "/").rsplit("/", 1)[-1].split(".")[0]
        )


class CheckSettings(Settings):
    """Which prompts pass the checks that need no model."""

    licences: list[str] = Field(default_factory=list)
    """Patterns (`*`, `?`, capitals alike) of licences that are wanted; empty wants all."""
    not_licences: list[str] = Field(default_factory=list)
    """Patterns of licences that are not: `*NC*`, `none stated`."""
    self_verifying: bool = True
    """Drop a prompt whose reference, given as an answer, is not judged correct: nothing could ever
    be."""
    min_side: Annotated[int, Field(ge=1)] = 16
    """Pixels that each side of an image has at least."""
    max_pixels: Annotated[int, Field(ge=1, le=MAX_PIXELS)] = MAX_PIXELS
    """Pixels of an image at most."""
    max_images: Annotated[int, Field(ge=0)] = 8
    max_question_chars: Annotated[int, Field(ge=1)] = 16_384
    max_image_bytes: Annotated[int, Field(ge=1)] = 20_000_000
    """Bytes of an encoded image at most: servers refuse more."""


class ModelEntry(Settings):
    """A model behind an OpenAI-compatible server."""

    model: str
    """As the server knows it."""
    endpoint: EndpointSettings
    temperature: float | None = None
    top_p: float | None = None
    max_tokens: Annotated[int, Field(ge=1)] | None = None
    extra: dict[str, Any] = Field(default_factory=dict)
    """Further JSON fields as the server takes them."""

    def sampling(self) -> Sampling:
        """The sampling parameters of the model's requests."""
        return Sampling(
            temperature=self.temperature,
            top_p=self.top_p,
            max_tokens=self.max_tokens,
            extra=self.extra,
        )


class AskingStage(Settings):
    """A stage that asks one of the recipe's models."""

    model: str


class ValidityStage(AskingStage):
    """Finds prompts that can be answered without their image, or have another answer."""

    settings: ValiditySettings = ValiditySettings()


class AnnotateStage(AskingStage):
    """Has long chains of thought written, and keeps those with the right answer."""

    settings: AnnotateSettings = AnnotateSettings()


class RephraseStage(AskingStage):
    """Turns answers into short ones that can be verified."""

    settings: RephraseSettings = RephraseSettings()


class CategoriseStage(AskingStage):
    """Says which category a prompt belongs to."""

    settings: CategoriseSettings = CategoriseSettings()


class SftRecipe(Settings):
    """What the supervised set holds."""

    annotate: AnnotateStage | None = None
    """None keeps the solutions that the sources carry, and drops prompts without one."""
    bins: tuple[Bin, ...] | None = None
    """Difficulties wanted; None takes all that grading keeps."""
    domains: tuple[str, ...] | None = None
    """Domains wanted; None takes all."""


class RlPart(Settings):
    """One part of the RL set with its own target, e.g. hard mathematics or logic puzzles."""

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
        """The categories to balance over; None for those that occur."""
        if self.balance_by != "category":
            return None
        return self.categories or (tuple(CATEGORIES) if self.categorise else None)


class RlRecipe(Settings):
    """The set for RL training, in parts; a prompt goes to the first part that takes it.

    A part takes domains and bins.
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
    """A whole curation: from sources to a supervised set and a set for RL training."""

    name: str
    """What the run is called."""
    seed: int = 0
    """Seeds generated prompts and the choice among equals."""
    sources: Annotated[list[SourceEntry], Field(min_length=1)]
    """In order of preference: of two copies the first is kept."""
    checks: CheckSettings = CheckSettings()
    duplicates: DuplicateSettings | None = DuplicateSettings()
    """None keeps near-duplicates."""
    decontaminate: LeakSettings | None = LeakSettings()
    """Benchmarks to keep out; without any the report says that nothing was compared. None says that
    too."""
    models: dict[str, ModelEntry] = Field(default_factory=dict)
    """Who may be asked, by a name of yours."""
    validity: ValidityStage | None = None
    judge: JudgeSettings | None = None
    """Who decides the answers of grading and annotation that rules leave undecided (docs/judge.md);
    None leaves them as the rules say."""
    grade: GradingSettings | None = None
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
        if self.grade is not None and (self.grade.model is None) == (self.grade.verdicts is None):
            raise ValueError(
                "grade: give either `model` (who answers) or `verdicts` (a file of rollouts drawn"
                " elsewhere)"
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
        """The stages that ask a model, each with the model's name."""
        found = {
            "validity": self.validity.model if self.validity else None,
            "grade": self.grade.model if self.grade else None,
            "sft.annotate": self.sft.annotate.model if self.sft and self.sft.annotate else None,
            "rl.rephrase": self.rl.rephrase.model if self.rl and self.rl.rephrase else None,
            "rl.categorise": self.rl.categorise.model if self.rl and self.rl.categorise else None,
        }
        found |= {stage.name: stage.model for stage in self.stages}
        return {stage: name for stage, name in found.items() if name is not None}

    def why_not_decontaminated(self) -> str:
        """Why nothing is compared with benchmarks; empty where something is."""
        if self.decontaminate is None:
            return "the recipe switches it off (decontaminate: null)"
        named = self.decontaminate.benchmarks
        return "" if named else "the recipe names no benchmark (decontaminate.benchmarks)"

    def key_variables(self) -> list[str]:
        """The environment variables that hold keys of the recipe's servers."""
        servers = [entry.endpoint for entry in self.models.values()]
        servers += [self.judge.endpoint] if self.judge is not None else []
        return [server.api_key_env for server in servers if server.api_key_env is not None]


def load_curation(path: Path, overrides: Sequence[str] = ()) -> CurationRecipe:
    """The checked recipe of a curation, its presets filled in.

    Raises:
        ConfigError: The file is missing or not YAML, a key is unknown, or a value is out of range;
            names each.
    """
    where = f"recipe {path}"
    content = expand_presets(read_content(path, overrides), where=where)
    return parse_settings(CurationRecipe, content, where=where, show_values=False)


def expand_presets(content: dict[str, Any], *, where: str) -> dict[str, Any]:
    """The recipe with its `preset` filled in; what the recipe says itself counts.

    Raises:
        ConfigError: There is no such preset.
    """
    names = content.get("preset") or []
    names = [names] if isinstance(names, str) else names
    merged: dict[str, Any] = {}
    for name in names if isinstance(names, list) else [names]:
        if name not in PRESETS:
            raise ConfigError(
                f"{where}: there is no preset {name!r}; there are {', '.join(PRESETS)}"
            )
        file = resources.files("vasari.curate") / "presets" / f"{name}.yaml"
        merged = _merge(merged, yaml.safe_load(file.read_text(encoding="utf-8")))
    return _merge(merged, {key: value for key, value in content.items() if key != "preset"})


def _merge(below: dict[str, Any], above: dict[str, Any]) -> dict[str, Any]:
    """Two mappings merged key by key, the upper one before the lower; lists are replaced."""
    merged = dict(below)
    for key, value in above.items():
        old = merged.get(key)
        merged[key] = (
            _merge(old, value) if isinstance(old, dict) and isinstance(value, dict) else value
        )
    return merged
