"""Settings of one run, read from a YAML recipe, checked and frozen."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, Any, Literal

from pydantic import Field, model_validator

from vasari.core.bounds import Bounds, Count, PositiveCount, Share
from vasari.core.errors import ConfigError
from vasari.core.plugins import names_from_a_file
from vasari.core.settings import Settings, parse_settings, read_content
from vasari.data.tasks.families import find_family
from vasari.data.tasks.pool import PoolSettings, TaskSettings
from vasari.evaluate.settings import EvaluateSettings
from vasari.model.chat import SYSTEM_PROMPTS
from vasari.model.sizes import SmallVlmSettings
from vasari.run.upgrade import upgrade_recipe
from vasari.sample import make_sampler
from vasari.train.settings import GrpoSettings, SftSettings

SplitName = Literal["cold_start", "train", "validation", "test", "held_out_style"]


@dataclass(frozen=True, slots=True, kw_only=True)
class TaskPrompts(TaskSettings):
    """Settings for generating prompts with the built-in tasks (`data/tasks/`)."""

    num_cold_start: Count = 4000
    """Prompts with worked reasoning for supervised training."""
    num_train: PositiveCount = 1000
    """Prompts of the pool that reinforcement training draws from."""
    num_validation: PositiveCount = 200
    """Prompts that choose the best checkpoint."""
    num_test: PositiveCount = 500
    """Prompts that nothing before the final evaluation sees."""
    num_held_out_style: Count = 200
    """Test prompts drawn in a style that no training image has."""
    image_size: Annotated[int, Bounds(least=28, most=2048)] = 112
    """Side length of an image in pixels."""
    slip_rate: Share = 0.15
    """Chance that a step of a demonstration goes wrong, as with imperfect teachers."""

    def __post_init__(self) -> None:
        TaskSettings.__post_init__(self)
        with names_from_a_file():
            for name in self.families:
                find_family(name)

    def pool_of(self, split: SplitName, **changes: Any) -> PoolSettings:
        """Return the settings of a split's prompt pool.

        Only `train` has imperfect prompts, and only `cold_start` has deliberate mistakes.
        """
        clean: dict[str, Any] = {} if split == "cold_start" else {"slip_rate": 0.0}
        if split != "train":
            clean |= dict.fromkeys(
                ("wrong_label_share", "guessable_share", "unsolvable_share"), 0.0
            )
        num_prompts = getattr(self, f"num_{split}")
        return self.pool(max(1, num_prompts), **(clean | changes))


class FilePrompts(Settings):
    """Settings for reading prompts from Parquet or JSONL files, at paths relative to the recipe."""

    train: str
    """The pool that reinforcement training draws from."""
    cold_start: str | None = None
    """Prompts with worked reasoning; None skips supervised training."""
    validation: str | None = None
    """Prompts that choose the best checkpoint; None holds out a share of the training prompts."""
    test: str | None = None
    """Prompts for the evaluation; None holds out a share of the training prompts."""
    held_out_share: Annotated[float, Field(gt=0, lt=0.5)] = 0.1
    """Share of the training prompts held out for each split that has no file."""
    limit: Annotated[int, Field(ge=1)] | None = None
    """Read at most this many prompts of a file."""


class PromptSettings(Settings):
    """Settings of where prompts come from: exactly one of `tasks` and `files`."""

    tasks: TaskPrompts | None = None
    """Generate the prompts."""
    files: FilePrompts | None = None
    """Read the prompts from files."""

    @model_validator(mode="after")
    def _check(self) -> PromptSettings:
        if (self.tasks is None) == (self.files is None):
            raise ValueError(
                "give either `tasks` (generated prompts) or `files` (your own), not both"
            )
        return self


class ModelSettings(Settings):
    """Settings of the model that training starts from."""

    path: str | None = None
    """A folder, a hub name, or `vasari:tiny-base` for the base model that ships with the
    package."""
    new: SmallVlmSettings | None = None
    """Sizes of a small new model to make instead."""
    system_prompt: str = "mmr1"
    """`mmr1` (the paper's format), `small`, `none`, or a text of your own."""
    max_pixels: Annotated[int, Field(ge=784)] | None = None
    """Larger images are scaled down to this many pixels."""

    @model_validator(mode="after")
    def _check(self) -> ModelSettings:
        if (self.path is None) == (self.new is None):
            raise ValueError(
                "give either `path` (a model to start from) or `new` (sizes of a small one), not"
                " both"
            )
        return self

    @property
    def system(self) -> str:
        """Text of the system prompt."""
        return SYSTEM_PROMPTS.get(self.system_prompt, self.system_prompt)


class SamplerSettings(Settings):
    """Settings of the sampler, which chooses the prompts to roll out."""

    name: str = "vas"
    """`progress`, `vas`, `uniform`, ..., or the user's own as `package.module:attribute`."""
    settings: dict[str, Any] = Field(default_factory=dict)
    """Settings of the sampler `name`, e.g. `preset: paper`, `refresh: stale`."""
    others: dict[str, dict[str, Any]] = Field(default_factory=dict)
    """Settings of the samplers that `--sampler` may name instead; one that is not here has its
    defaults."""

    @model_validator(mode="after")
    def _check(self) -> SamplerSettings:
        with names_from_a_file():
            for name in (self.name, *self.others):
                make_sampler(name, num_prompts=1, seed=0, **self.of(name))
        return self

    def of(self, name: str) -> dict[str, Any]:
        """Return the settings of the sampler called `name`."""
        return self.settings if name == self.name else self.others.get(name, {})


class Recipe(Settings):
    """Settings of one whole run, from prompts to evaluation."""

    name: str
    """What the run is called in its report."""
    seed: int = 0
    """Seeds prompts, weights, training and evaluation."""
    prompts: PromptSettings
    """Where prompts come from."""
    model: ModelSettings
    """The model that training starts from."""
    sft: SftSettings | None = None
    """Supervised training; None starts reinforcement training from the model as it is."""
    sampler: SamplerSettings = SamplerSettings()
    """The sampler, which chooses the prompts to roll out."""
    grpo: GrpoSettings | None = None
    """Reinforcement training; None for a recipe that only makes a base or a cold start."""
    evaluate: EvaluateSettings = EvaluateSettings()
    """The evaluation at the end."""

    @model_validator(mode="after")
    def _check(self) -> Recipe:
        if self.grpo is not None and self.prompts.tasks is not None:
            pool, batch = self.prompts.tasks.num_train, self.grpo.prompts_per_batch
            if pool < batch:
                raise ValueError(
                    f"the pool has {pool} prompts and a batch draws {batch}; lower"
                    " grpo.prompts_per_batch"
                )
        return self


def load_recipe(path: Path, overrides: Sequence[str] = ()) -> Recipe:
    """Return the recipe of a YAML file, checked after `key.sub=value` overrides are applied.

    Raises:
        ConfigError: The file is missing or not YAML, a key is unknown, or a value is out of range;
            names each.
    """
    return parse_recipe(read_content(path, overrides), where=f"recipe {path}")


def parse_recipe(content: dict[str, Any], *, where: str) -> Recipe:
    """Return the checked recipe of parsed content, which may use the keys of version 0.1.0.

    Raises:
        ConfigError: A key is unknown, or a value is out of range; names each.
    """
    try:
        today = upgrade_recipe(content)
    except ConfigError as error:
        raise ConfigError(f"{where}: {error}") from error
    return parse_settings(Recipe, today, where=where)
