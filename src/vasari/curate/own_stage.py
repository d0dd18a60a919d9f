"""A stage of the user's own: a plain function over prompts, named in a recipe and placed among ours."""

from __future__ import annotations

import hashlib
import inspect
from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from typing import Any, Literal, Self, get_args

from pydantic import model_validator

from vasari.curate.dropped import Dropped
from vasari.curate.stage import AskedModel, StageResult, check_result
from vasari.errors import ConfigError, StateError
from vasari.plugins import names_from_a_file, resolve
from vasari.records import Prompt
from vasari.settings import Named

Place = Literal["read", "check", "near_duplicates", "decontaminate", "grade", "sft", "rl"]
"""Where a stage of one's own comes: after a stage of ours; or last of a set, of `rl` before it is balanced."""

LOCAL: tuple[Place, ...] = ("read", "check", "near_duplicates", "decontaminate")
"""Places before any model is asked."""

STAGES: Mapping[str, Any] = {}
"""Stages by name that `stages` may place: a user's own by `package.module:attribute`. Ours have keys of their own."""

Function = Callable[..., Any]
"""`function(prompts, **settings)`, and `model=` where the recipe gives it one. It returns, for each prompt, a `Prompt` (kept,
perhaps changed) or a text (why it is dropped); or a `StageResult`."""


class OwnStage(Named):
    """A stage of the user's own in a recipe."""

    after: Place = "decontaminate"
    """After which of our stages, or `sft`, `rl`: last of that set."""
    model: str | None = None
    """An entry of `models` that it may ask; it then takes an `AskedModel` as `model`."""

    @model_validator(mode="after")
    def _check(self) -> Self:
        if self.model is not None and self.after in LOCAL:
            later = ", ".join(place for place in get_args(Place) if place not in LOCAL)
            raise ValueError(f"a stage that asks a model comes after every local stage: {later}; got after: {self.after}")
        with names_from_a_file():
            stage_function(self)
        return self

    @property
    def title(self) -> str:
        """What files and reports call it."""
        return self.name.rpartition(":")[2].rpartition(".")[2]

    def identity(self) -> dict[str, Any]:
        """What decides its results: the settings, and the function's source where it can be read."""
        function = resolve(self.name, STAGES, door="stage")
        try:
            source = inspect.getsource(function)
        except (OSError, TypeError):
            source = ""
        digest = hashlib.blake2b(source.encode(errors="surrogatepass"), digest_size=8).hexdigest()
        return {"stage": self.name, "settings": self.settings, "source": digest}


def stage_function(stage: OwnStage) -> Function:
    """The function of a stage, its settings checked against what it takes.

    Raises:
        ConfigError: There is none, it cannot be called, or a setting is unknown or missing.
    """
    function = resolve(stage.name, STAGES, door="stage")
    what = f"stage {stage.name!r}"
    if not callable(function):
        raise ConfigError(f"{what} is a {type(function).__name__}, which cannot be called")
    given = {"model": None} if stage.model is not None else {}
    try:
        inspect.signature(function).bind([], **stage.settings, **given)
    except TypeError as error:
        raise ConfigError(f"{what} is called with the prompts{', model' if given else ''} and its settings: {error}") from error
    return function  # type: ignore[no-any-return]


def run_stage(stage: OwnStage, prompts: Sequence[Prompt], model: AskedModel | None = None) -> StageResult:
    """What a stage of the user's decides about some prompts.

    Raises:
        StateError: It raised an exception, or returned something else than it may; what was done before is kept.
    """
    given = {} if stage.model is None else {"model": model}
    where = f"prompts {prompts[0].id!r} to {prompts[-1].id!r}" if prompts else "no prompts"
    try:
        said = stage_function(stage)(list(prompts), **stage.settings, **given)
    except Exception as error:
        raise StateError(f"stage {stage.name!r} raised {type(error).__name__} on {where}: {error}") from error
    return decided(said, prompts, stage=stage.title)


def decided(said: Any, prompts: Sequence[Prompt], *, stage: str) -> StageResult:
    """What a stage returned as a decision about every prompt.

    Raises:
        StateError: It lost or made up prompts, changed an id, or returned something of another kind.
    """
    if isinstance(said, StageResult):
        result = said
    elif isinstance(said, Sequence) and not isinstance(said, str) and len(said) == len(prompts):
        result = StageResult(
            kept=tuple(one for one in said if isinstance(one, Prompt)),
            dropped=tuple(
                Dropped(index=place, id=prompt.id, reason=one)
                for place, (one, prompt) in enumerate(zip(said, prompts, strict=True))
                if isinstance(one, str) and one
            ),
        )
    else:
        got = f"{len(said)} decisions" if isinstance(said, Sequence) and not isinstance(said, str) else type(said).__name__
        raise StateError(
            f"stage {stage!r} was given {len(prompts)} prompts and returned {got}; it returns a Prompt or the reason why it is "
            "dropped for each, in their order, or a StageResult"
        )
    try:
        check_result(result, len(prompts), stage=stage)
    except ConfigError as error:
        raise StateError(str(error)) from error
    gone = {drop.index for drop in result.dropped}
    expected = [prompt.id for place, prompt in enumerate(prompts) if place not in gone]
    if [prompt.id for prompt in result.kept] != expected:
        raise StateError(f"stage {stage!r} changed the ids or the order of the prompts that it kept; it must leave both")
    return replace(result, dropped=tuple(sorted(result.dropped, key=lambda drop: drop.index)))


def stages_at(stages: Sequence[OwnStage], place: Place) -> list[OwnStage]:
    """The stages that come there, in the recipe's order."""
    return [stage for stage in stages if stage.after == place]
