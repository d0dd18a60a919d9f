"""The settings of `vasari curate`: sources, models, and what each stage does."""

from __future__ import annotations

from importlib import resources
from typing import Annotated, Any, Literal, Self

import yaml
from pydantic import Field, model_validator

from vasari.core.errors import ConfigError
from vasari.core.plugins import names_from_a_file
from vasari.core.settings import Settings
from vasari.curate.ask.annotate import AnnotateSettings
from vasari.curate.choose.grading import Difficulty, GradingSettings
from vasari.data.images import MAX_PIXELS
from vasari.data.tasks.families import find_family
from vasari.data.tasks.pool import PoolSettings
from vasari.endpoint import EndpointSettings, Sampling

Bin = Literal["easy", "medium", "hard"]

ExportName = Literal["sharegpt", "trl", "easyr1", "verl"]

PRESETS: tuple[str, ...] = ("paper-sft", "paper-rl")
"""Names of the parts of recipes that ship with the package."""


class TaskSource(Settings):
    """Prompts drawn by `data/tasks/`, with worked reasoning: no data is needed."""

    families: list[str]
    num_prompts: Annotated[int, Field(ge=1)]
    level_weights: dict[str, float] = Field(default_factory=dict)
    """Weight of each level; empty draws all alike."""
    image_size: Annotated[int, Field(ge=28, le=2048)] = 112
    """Pixels a side."""
    slip_rate: Annotated[float, Field(ge=0, le=1)] = 0.0
    """Chance that a step of the worked reasoning goes wrong."""

    @model_validator(mode="after")
    def _known(self) -> Self:
        with names_from_a_file():
            for name in self.families:
                find_family(name)
        self.pool()
        return self

    def pool(self) -> PoolSettings:
        """The settings of the pool."""
        return PoolSettings(
            families=tuple(self.families),
            num_prompts=self.num_prompts,
            level_weights=dict(self.level_weights),
            image_size=self.image_size,
            slip_rate=self.slip_rate,
        )


class SourceEntry(Settings):
    """Where prompts come from: a data set on disk, or generated ones."""

    source: str | None = None
    """A name of `vasari.data.sources.SOURCES`, or the path of a YAML description."""
    tasks: TaskSource | None = None
    """Generate prompts instead."""
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
        return self

    @property
    def label(self) -> str:
        """What reports call it."""
        if self.name is not None:
            return self.name
        return (
            "tasks"
            if self.source is None
            else self.source.replace("\\", "/").rsplit("/", 1)[-1].split(".")[0]
        )


class CheckSettings(Settings):
    """What a prompt must be before anybody is asked about it."""

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


class DuplicateRecipe(Settings):
    """When two prompts are one; see `DuplicateSettings`."""

    max_bits: Annotated[int, Field(ge=0, le=256)] = 32
    min_similarity: Annotated[float, Field(gt=0, le=1)] = 0.7


class BenchmarkEntry(Settings):
    """A benchmark on this machine, which training prompts must not repeat."""

    source: str
    folder: str
    """Relative to the recipe; `${NAME}` stands for an environment variable."""
    split: str = "test"
    limit: Annotated[int, Field(ge=1)] | None = None
    images: bool = True
    """False compares texts alone, where the benchmark's images are not here."""


class LeakRecipe(Settings):
    """Which benchmarks, and when a prompt counts as one of theirs; see `LeakSettings`."""

    benchmarks: list[BenchmarkEntry] = Field(default_factory=list)
    max_bits: Annotated[int, Field(ge=0, le=256)] = 46
    min_containment: Annotated[float, Field(gt=0, le=1)] = 0.8
    min_words: Annotated[int, Field(ge=1)] = 8
    paraphrases: bool = True


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
        """How answers are drawn."""
        return Sampling(
            temperature=self.temperature,
            top_p=self.top_p,
            max_tokens=self.max_tokens,
            extra=self.extra,
        )


class GradeRecipe(Settings):
    """How hard a prompt is: its pass rate under a strong model, or as published."""

    model: str | None = None
    """Which of `models` answers."""
    verdicts: str | None = None
    """JSON lines {"id", "verdicts": [1, 0, null]} of rollouts that were drawn elsewhere, in place
    of a model."""
    num_rollouts: Annotated[int, Field(ge=1, le=128)] = 8
    easy_from: float = 0.8
    hard_to: float = 0.2
    min_verifiable: Annotated[int, Field(ge=1)] = 1
    keep: tuple[Bin, ...] = ("medium", "hard")
    """Bins that go on."""
    system: str = "mmr1"
    """System prompt of the answering model: `mmr1`, `small`, `none`, or a text."""
    seed: int | None = None
    """Sent to the server; None for servers that take none."""

    @model_validator(mode="after")
    def _one_of_two(self) -> Self:
        if (self.model is None) == (self.verdicts is None):
            raise ValueError(
                "give either `model` (who answers) or `verdicts` (a file of rollouts drawn"
                " elsewhere)"
            )
        self.grading()
        return self

    def grading(self) -> GradingSettings:
        """The settings of the grader."""
        return GradingSettings(
            num_rollouts=self.num_rollouts,
            easy_from=self.easy_from,
            hard_to=self.hard_to,
            min_verifiable=self.min_verifiable,
            kept=tuple(Difficulty(name) for name in self.keep),
        )


class AnnotateStage(Settings):
    """Who writes the long chains of thought, and which are kept."""

    model: str
    settings: AnnotateSettings = AnnotateSettings()


class SftRecipe(Settings):
    """The supervised set."""

    annotate: AnnotateStage | None = None
    """None keeps the solutions that the sources carry, and drops prompts without one."""
    bins: tuple[Bin, ...] | None = None
    """Difficulties wanted; None takes all that grading keeps."""
    domains: tuple[str, ...] | None = None
    """Domains wanted; None takes all."""


def expand_presets(content: dict[str, Any], *, where: str) -> dict[str, Any]:
    """The recipe with the parts of its `preset` under it: what the recipe itself says counts.

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
    """The upper mapping over the lower one, key by key; lists and values replace."""
    merged = dict(below)
    for key, value in above.items():
        old = merged.get(key)
        merged[key] = (
            _merge(old, value) if isinstance(old, dict) and isinstance(value, dict) else value
        )
    return merged
