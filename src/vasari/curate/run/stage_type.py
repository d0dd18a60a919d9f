"""The type of a curation stage: one object with its names, settings, requests and decision."""

from __future__ import annotations

import dataclasses
import functools
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

from vasari.core.plugins import allowed_plugins
from vasari.core.progress import Tell, silent
from vasari.core.records import Prompt
from vasari.curate.recipe import CurationRecipe
from vasari.curate.run.models import Models
from vasari.curate.run.reading import located
from vasari.curate.run.rows import Shard
from vasari.curate.stage import AskedModel, StageResult
from vasari.endpoint import Request

Decide = Callable[[Shard], StageResult]
"""Function that decides which prompts of a shard are kept, and why the others are dropped."""

Branch = Literal["both", "sft", "rl"]
"""Set that a stage helps to build."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Given:
    """What the decisions of a run's stages are made from."""

    recipe: CurationRecipe
    base: Path
    """Folder that the recipe's paths are relative to."""
    models: Models | None = None
    """The models that stages ask; None in a process that asks none."""
    prepared: Tell = silent
    """Called while a decision is made from all shards: how much of that is done, of how much, in
    the time that reading a prompt takes."""
    plugins: tuple[str, ...] = dataclasses.field(default_factory=allowed_plugins)
    """Packages that the command line allowed the recipe to import."""

    def for_workers(self) -> Given:
        """Return the same for another process or machine: without models, with absolute paths."""
        leaks = self.recipe.decontaminate
        changes = {} if leaks is None else {"decontaminate": located(leaks, self.base)}
        recipe = self.recipe.model_copy(update=changes)
        return Given(recipe=recipe, base=self.base, plugins=self.plugins)


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
    drawn: float = 1.0
    """Usual share of those answers that is asked for, where drawing may end early."""
    counted: str = ""
    """Name of the stage's count of those answers, if it has one."""


def dumped(part: Any, _: Given) -> Mapping[str, Any]:
    """All settings of a recipe's part as JSON values."""
    found: Mapping[str, Any] = part.model_dump(mode="json")
    return found


@dataclass(frozen=True, slots=True, kw_only=True)
class Stage:
    """One curation stage: its names, what its results depend on, its requests, its decision.

    Functions get the recipe's part for the stage first: what `part` returns.
    """

    name: str
    """Name in files, and in `after` of user-defined stages."""
    key: str
    """Recipe key that configures the stage, e.g. `sft.annotate`."""
    title: str
    """Title in reports."""
    branch: Branch = "both"
    """Set that the stage helps to build."""
    find: Callable[[CurationRecipe], Any] | None = None
    """Finds the recipe's part for the stage; by default what is at `key`."""
    settings: Callable[[Any, Given], Mapping[str, Any]] = dumped
    """All that the stage's results depend on; when it has changed, the stage runs again."""
    make: Callable[[Any, Given, Sequence[Path]], Decide] | None
    """Builds the decision from the shards of the stage before, once in each process; None for the
    stage that reads the sources."""
    spread: bool = False
    """Whether the engine processes the shards, perhaps in other processes, and not this process."""
    asks: bool = False
    """Whether the stage may ask the model that its part of the recipe names."""
    requests: Callable[[Any, CurationRecipe], tuple[Requests, ...]] | None = lambda *_: ()
    """Requests to that model; None where only the stage itself knows them."""
    keeps: Callable[[Any, CurationRecipe], float] | None = None
    """Usual share of the prompts given that the stage keeps, for a forecast; None: all."""
    place: str | None = None
    """Name by which a recipe puts user-defined stages behind this one (`after`)."""

    def part(self, recipe: CurationRecipe) -> Any:
        """The recipe's part for this stage; None if the recipe does without the stage."""
        if self.find is not None:
            return self.find(recipe)
        return functools.reduce(
            lambda value, name: None if value is None else getattr(value, name),
            self.key.split("."),
            recipe,
        )

    def model(self, recipe: CurationRecipe) -> str | None:
        """Name in the recipe of the model that the stage asks; None if it asks none."""
        name: str | None = getattr(self.part(recipe), "model", None) if self.asks else None
        return name

    def decision(self, given: Given, before: Sequence[Path]) -> Decide:
        """Build the decision from the shards of the stage before."""
        assert self.make is not None  # noqa: S101  (sources are read otherwise)
        return self.make(self.part(given.recipe), given, before)
