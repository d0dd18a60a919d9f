"""Settings of a curation recipe: data sources, models, stages, and the data sets to make."""

from __future__ import annotations

import re
from collections.abc import Sequence
from importlib import resources
from pathlib import Path
from typing import Annotated, Any, Literal, Self

import yaml
from pydantic import AfterValidator, Field, model_validator

from vasari.core.errors import ConfigError
from vasari.core.plugins import names_from_a_file
from vasari.core.settings import Settings, parse_settings, read_content
from vasari.curate.ask.annotate import AnnotateSettings
from vasari.curate.ask.categorise import CATEGORIES, CategoriseSettings
from vasari.curate.ask.rephrase import RephraseSettings
from vasari.curate.ask.solutions import SolutionSettings
from vasari.curate.ask.validity import ValiditySettings
from vasari.curate.choose.grading import Bin, GradingSettings
from vasari.curate.match.decontaminate import LeakSettings
from vasari.curate.match.near_duplicates import DuplicateSettings
from vasari.curate.own_stage import OwnStage
from vasari.data.images import MAX_PIXELS
from vasari.data.tasks.families import find_family
from vasari.data.tasks.pool import PoolSettings
from vasari.endpoint import EndpointSettings, Sampling
from vasari.endpoint.request import checked_extra
from vasari.verify.judge import JudgeSettings

ExportName = Literal["sharegpt", "trl", "easyr1", "verl", "slime"]

PRESETS: tuple[str, ...] = ("paper-sft", "paper-rl")
"""Names of the partial recipes that ship with the package."""


class SourceEntry(Settings):
    """Settings of one source of prompts: a data set on disk, or generated prompts."""

    source: str | None = None
    """A name of `vasari.data.sources.SOURCES`, or the path of a YAML description."""
    tasks: PoolSettings | None = None
    """Generate prompts with worked reasoning instead; no data is needed."""
    folder: str | None = None
    """Where the data set lies, relative to the recipe; `${NAME}` stands for an environment
    variable."""
    name: str | None = Field(default=None, pattern=r"^[A-Za-z0-9][A-Za-z0-9_.-]*$")
    """Name of the source in reports; by default that of the data set, or "tasks"."""
    split: str = "train"
    allow_test: bool = False
    """Read a test split, or a set that is published for testing alone."""
    limit: Annotated[int, Field(ge=1)] | None = None
    """Stop after this many prompts."""
    domain: str | None = None
    """Domain of the prompts, in place of the one that the source's description states."""

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
        """Name of this source of prompts in reports."""
        if self.name is not None:
            return self.name
        return (
            "tasks"
            if self.source is None
            else self.source.replace("\\", "/").rsplit("/", 1)[-1].split(".")[0]
        )


class CheckSettings(Settings):
    """Settings of the prompt checks without a model: licences, references, images, lengths."""

    licences: list[str] = Field(default_factory=list)
    """Patterns (`*`, `?`, case ignored) of the licences to keep; empty keeps all."""
    not_licences: list[str] = Field(default_factory=list)
    """Patterns of the licences to drop, e.g. `*NC*`, `none stated`."""
    self_verifying: bool = True
    """Drop a prompt whose reference, given as an answer, is not judged correct: none would be."""
    min_side: Annotated[int, Field(ge=1)] = 16
    """Least number of pixels of each side of an image."""
    max_pixels: Annotated[int, Field(ge=1, le=MAX_PIXELS)] = MAX_PIXELS
    """Most pixels of an image."""
    max_images: Annotated[int, Field(ge=0)] = 8
    max_question_chars: Annotated[int, Field(ge=1)] = 16_384
    max_image_bytes: Annotated[int, Field(ge=1)] = 20_000_000
    """Most bytes of an encoded image: servers refuse more."""


class ModelEntry(Settings):
    """Settings of one model behind an OpenAI-compatible server."""

    model: str
    """Name of the model on the server."""
    endpoint: EndpointSettings
    temperature: float | None = None
    top_p: float | None = None
    max_tokens: Annotated[int, Field(ge=1)] | None = None
    extra: Annotated[dict[str, Any], AfterValidator(checked_extra)] = Field(default_factory=dict)
    """Further JSON fields as the server takes them."""

    def sampling(self) -> Sampling:
        """Return the sampling parameters of requests to this model."""
        return Sampling(
            temperature=self.temperature,
            top_p=self.top_p,
            max_tokens=self.max_tokens,
            extra=self.extra,
        )


class AskingStage(Settings):
    """Settings of a stage that sends requests to one of the recipe's models."""

    model: str


class ValidityStage(AskingStage):
    """Settings of the stage that finds prompts with an unneeded image or a doubtful answer."""

    settings: ValiditySettings = ValiditySettings()


class AnnotateStage(AskingStage):
    """Settings of the stage in which a teacher model writes chains of thought for the SFT set."""

    settings: AnnotateSettings = AnnotateSettings()


class RephraseStage(AskingStage):
    """Settings of the stage that rewrites prompts to have short, verifiable answers."""

    settings: RephraseSettings = RephraseSettings()


class CategoriseStage(AskingStage):
    """Settings of the stage in which a model names each prompt's category."""

    settings: CategoriseSettings = CategoriseSettings()


class SftRecipe(Settings):
    """Settings for building the SFT data set."""

    annotate: AnnotateStage | None = None
    """None keeps the solutions that the sources carry, and drops prompts without one."""
    solutions: SolutionSettings = SolutionSettings()
    """Checks of the sources' solutions, where there is no `annotate`."""
    bins: tuple[Bin, ...] | None = None
    """Difficulty bins wanted; None takes all that grading keeps."""
    domains: tuple[str, ...] | None = None
    """Domains wanted; None takes all."""


class RlPart(Settings):
    """Settings of a part of the RL set: a named share, e.g. hard mathematics, of a target size."""

    name: Annotated[str, Field(pattern=r"^[a-z0-9_]+$")]
    target: Annotated[int, Field(ge=1)]
    """Number of prompts wanted."""
    domains: tuple[str, ...] | None = None
    """Domains wanted; None takes the domains that no other part names."""
    bins: tuple[Bin, ...] | None = None
    """Difficulty bins wanted; None takes all that grading keeps."""
    rephrase: bool = False
    """Whether the part's prompts go through the stage `rephrase`."""
    categorise: bool = False
    """Whether the part's prompts go through the stage `categorise`."""
    balance_by: Literal["category", "source", "none"] = "category"
    """Groups whose counts are made as equal as the supply allows."""
    categories: tuple[str, ...] | None = None
    """Categories that count, empty ones included; None: the thirteen where a part is categorised,
    else those that occur."""

    @property
    def wanted(self) -> tuple[str, ...] | None:
        """Categories to balance this part's prompts over; None for the groups that occur."""
        if self.balance_by != "category":
            return None
        return self.categories or (tuple(CATEGORIES) if self.categorise else None)


class RlRecipe(Settings):
    """Settings of the RL set's parts (named shares); a prompt goes to the first part it fits.

    A prompt fits by its domain and its difficulty bin.
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
    """Settings of a whole curation, from data sources to an SFT data set and an RL data set."""

    name: str
    """Name of the run."""
    seed: int = 0
    """Seed for generating prompts, and for choosing among prompts of equal rank."""
    sources: Annotated[list[SourceEntry], Field(min_length=1)]
    """In order of preference: of two copies the first is kept."""
    checks: CheckSettings = CheckSettings()
    duplicates: DuplicateSettings | None = DuplicateSettings()
    """None keeps near-duplicates."""
    decontaminate: LeakSettings | None = LeakSettings()
    """Benchmarks to keep out of the sets; with None or an empty list nothing is compared, and the
    report says so."""
    models: dict[str, ModelEntry] = Field(default_factory=dict)
    """Models that stages may ask, by a name of your choice."""
    validity: ValidityStage | None = None
    judge: JudgeSettings | None = None
    """Judge model for answers in grading and annotation that rules leave undecided (docs/judge.md);
    None leaves them as the rules say."""
    grade: GradingSettings | None = None
    """Settings of grading; None grades nothing, and no stage may ask for a difficulty bin."""
    sft: SftRecipe | None = None
    """The SFT data set; None makes none."""
    rl: RlRecipe | None = None
    """The RL data set; None makes none."""
    stages: tuple[OwnStage, ...] = ()
    """User-defined stages, as `package.module:attribute`, each placed after a built-in stage."""
    exports: tuple[ExportName, ...] = ()
    """File formats of other trainers in which the two sets are written as well."""
    shard_rows: Annotated[int, Field(ge=1, le=1_000_000)] = 4096
    """Rows of a shard, the unit of work that a crash can lose; model answers are never lost."""
    responses: str | None = None
    """Folder of stored model answers that several runs share, relative to the recipe; None keeps
    them in the run's folder."""

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
        """Return the curation stages that ask a model: stage name -> model's name in the recipe."""
        # The stages are built from this module's settings.
        from vasari.curate.run.stages import stages_of  # noqa: PLC0415

        found = {stage.key: stage.model(self) for stage in stages_of(self)}
        return {stage: name for stage, name in found.items() if name is not None}

    def why_not_decontaminated(self) -> str:
        """Return why prompts are not compared with benchmark prompts; "" if they are."""
        if self.decontaminate is None:
            return "the recipe switches it off (decontaminate: null)"
        named = self.decontaminate.benchmarks
        return "" if named else "the recipe names no benchmark (decontaminate.benchmarks)"

    def key_variables(self) -> list[str]:
        """Names of the environment variables that hold the API keys of the recipe's servers."""
        servers = [entry.endpoint for entry in self.models.values()]
        servers += [self.judge.endpoint] if self.judge is not None else []
        return [server.api_key_env for server in servers if server.api_key_env is not None]


def load_curation(path: Path, overrides: Sequence[str] = ()) -> CurationRecipe:
    """Read a curation recipe from a file, fill in its presets, and check it.

    Raises:
        ConfigError: The file is missing or not YAML, a key is unknown, or a value is out of range;
            names each.
    """
    where = f"recipe {path}"
    content = expand_presets(read_content(path, overrides), where=where)
    return parse_settings(CurationRecipe, content, where=where, show_values=False)


def expand_presets(content: dict[str, Any], *, where: str) -> dict[str, Any]:
    """Merge a recipe with the presets (partial recipes) it names; the recipe's values win.

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
    """Merge two mappings key by key; `above` overrides `below`, and lists are replaced."""
    merged = dict(below)
    for key, value in above.items():
        old = merged.get(key)
        merged[key] = (
            _merge(old, value) if isinstance(old, dict) and isinstance(value, dict) else value
        )
    return merged
