"""User-defined curation stages: plain functions over prompts, named in a recipe."""

from __future__ import annotations

import inspect
import json
from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from typing import Any, Literal, Self, get_args

from pydantic import model_validator

from vasari.core.errors import ConfigError, StateError
from vasari.core.plugins import code_digest, names_from_a_file, resolve
from vasari.core.records import AnswerKind, Prompt
from vasari.core.settings import Named
from vasari.curate.choose.marks import marks_reason
from vasari.curate.stage import (
    RL_PART,
    AskedModel,
    Dropped,
    Reason,
    StageResult,
    check_result,
    sort_out,
)

Place = Literal["read", "check", "near_duplicates", "decontaminate", "grade", "sft", "rl"]
"""Where a user-defined stage runs: after the built-in stage of this name; `sft` or `rl`: last of
the stages for that set, in `rl` before balancing."""

STAGES: Mapping[str, Any] = {}
"""Built-in stages that `stages` may name: none, since each has its own recipe key."""

COUNTED: tuple[str, ...] = ("source", RL_PART)
"""Metadata keys by which rows are counted from stage to stage; a user-defined stage must not change
their values."""

_REASON_CHARS = 80

Function = Callable[..., Any]
"""`function(prompts, **settings)`, and `model=` where the recipe gives it one. It returns, for each
prompt, a `Prompt` (kept, perhaps changed) or a text (why it is dropped); or a `StageResult`."""


class OwnStage(Named):
    """Settings of a user-defined stage: its function, arguments, and which stage it follows."""

    after: Place = "decontaminate"
    """The built-in stage it runs after; `sft` or `rl`: last of the stages for that set."""
    model: str | None = None
    """An entry of `models` that the stage may ask; its function then takes an `AskedModel` as
    `model`."""

    @model_validator(mode="after")
    def _check(self) -> Self:
        # The stages import this module: a user-defined stage becomes one of them.
        from vasari.curate.run.stages import LOCAL, built_in  # noqa: PLC0415

        if ":" not in self.name:
            ours = built_in(self.name)
            told = (
                f"{self.name} is one of ours, set by {ours.key}" if ours else "ours have other keys"
            )
            raise ValueError(
                f"a stage of your own is named as package.module:function, got {self.name!r}"
                f" ({told})"
            )
        if built_in(self.title) is not None:
            raise ValueError(
                f"stage {self.name!r} is called like our stage {self.title!r}; rename the function"
            )
        if self.model is not None and self.after in LOCAL:
            later = ", ".join(place for place in get_args(Place) if place not in LOCAL)
            raise ValueError(
                f"a stage that asks a model comes after every local stage: {later}; got after:"
                f" {self.after}"
            )
        try:
            json.dumps(self.settings, allow_nan=False, default=str)
        except (TypeError, ValueError) as error:
            raise ValueError(
                f"stage {self.name!r} has settings that a file cannot hold ({error})"
            ) from error
        with names_from_a_file():
            stage_function(self)
        return self

    @property
    def title(self) -> str:
        """Name of the stage in files and reports: the last part of its function's name."""
        return self.name.rpartition(":")[2].rpartition(".")[2]

    def identity(self) -> dict[str, Any]:
        """Return what the stage's results depend on: its name, settings, and digest of its code."""
        return {
            "stage": self.name,
            "settings": self.settings,
            "source": code_digest(self.name, resolve(self.name, STAGES, kind="stage")),
        }


def stage_function(stage: OwnStage) -> Function:
    """Return a user-defined stage's function, after checking that it accepts the settings.

    Raises:
        ConfigError: The function is missing or not callable, or a setting is unknown or missing.
    """
    function = resolve(stage.name, STAGES, kind="stage")
    what = f"stage {stage.name!r}"
    if not callable(function):
        raise ConfigError(f"{what} is a {type(function).__name__}, which cannot be called")
    given = {"model": None} if stage.model is not None else {}
    try:
        inspect.signature(function).bind([], **stage.settings, **given)
    except (TypeError, ValueError) as error:
        raise ConfigError(
            f"{what} is called with the prompts{', model' if given else ''} and its settings:"
            f" {error}"
        ) from error
    return function  # type: ignore[no-any-return]


def run_stage(
    stage: OwnStage, prompts: Sequence[Prompt], model: AskedModel | None = None
) -> StageResult:
    """Run a user-defined curation stage on prompts; return its result, after checking it.

    Raises:
        StateError: The stage raised an exception, or returned what it may not; what was done
            before is kept.
    """
    function = stage_function(stage)
    given = stage.settings if stage.model is None else {**stage.settings, "model": model}
    try:
        # Copies, so that what a stage changes in place is seen as a change.
        returned = function(
            [replace(prompt, metadata=dict(prompt.metadata)) for prompt in prompts], **given
        )
    except (Exception, SystemExit) as error:
        # A model is not asked again just to find the prompt.
        where = _where(prompts) if stage.model is not None else _culprit(function, prompts, given)
        message = " ".join(f"{type(error).__name__}: {error}".split())[:300]
        raise StateError(f"stage {stage.name!r} raised on {where}: {message}") from error
    return decided(returned, prompts, stage=stage.title)


def decided(returned: Any, prompts: Sequence[Prompt], *, stage: str) -> StageResult:
    """Check what a user-defined stage returned, and convert it to a `StageResult`.

    Raises:
        StateError: The stage lost or made up prompts, changed an id or what rows are counted by, or
            returned something that no row can hold.
    """
    result = _as_result(returned, prompts, stage)
    try:
        check_result(result, len(prompts), stage=stage)
    except ConfigError as error:
        raise StateError(str(error)) from error
    gone = {drop.index: drop for drop in result.dropped}
    if any(
        not 0 <= index < len(prompts) or drop.id != prompts[index].id
        for index, drop in gone.items()
    ):
        raise StateError(
            f"stage {stage!r} dropped a prompt that it was not given: index and id do not belong"
            " together"
        )
    before = [prompt for place, prompt in enumerate(prompts) if place not in gone]
    if [prompt.id for prompt in result.kept] != [prompt.id for prompt in before]:
        raise StateError(
            f"stage {stage!r} changed the ids or the order of the prompts that it kept; it must"
            " leave both"
        )
    for after, prompt in zip(result.kept, before, strict=True):
        wrong = _unfit(after, prompt) if after != prompt else None
        if wrong is not None:
            raise StateError(f"stage {stage!r}, prompt {prompt.id!r}: {wrong}")
    dropped = [
        replace(drop, reason=_reason(drop.reason))
        for drop in sorted(gone.values(), key=lambda drop: drop.index)
    ]
    return replace(result, dropped=tuple(dropped))


def _as_result(returned: Any, prompts: Sequence[Prompt], stage: str) -> StageResult:
    if isinstance(returned, StageResult):
        return _well_formed(returned, stage)
    is_list = isinstance(returned, Sequence) and not isinstance(returned, str)
    if not is_list or len(returned) != len(prompts):
        got = f"{len(returned)} decisions" if is_list else type(returned).__name__
        raise StateError(
            f"stage {stage!r} was given {len(prompts)} prompts and returned {got}; it returns a"
            " Prompt or the reason why it is dropped for each, in their order, or a StageResult"
        )
    for one, prompt in zip(returned, prompts, strict=True):
        if not isinstance(one, Prompt) and not (isinstance(one, str) and one.strip()):
            got = "an empty reason" if isinstance(one, str) else type(one).__name__
            raise StateError(
                f"stage {stage!r}, prompt {prompt.id!r}: a decision is a Prompt or a reason as"
                f" text, got {got}"
            )

    def decide(index: int, _: Prompt) -> Prompt | Reason:
        one = returned[index]
        return one if isinstance(one, Prompt) else (one, "")

    return sort_out(prompts, decide)


def _well_formed(returned: StageResult, stage: str) -> StageResult:
    """Check the field types of the `StageResult` that a stage returned, and return a copy."""
    kept, dropped, counts = tuple(returned.kept), tuple(returned.dropped), dict(returned.counts)
    texts = [
        text
        for drop in dropped
        if isinstance(drop, Dropped)
        for text in (drop.id, drop.reason, drop.detail)
    ]
    if (
        all(isinstance(prompt, Prompt) for prompt in kept)
        and all(
            isinstance(drop, Dropped) and isinstance(drop.index, int) and drop.reason
            for drop in dropped
        )
        and all(isinstance(text, str) for text in texts)
        and all(isinstance(name, str) and type(count) is int for name, count in counts.items())
    ):
        return StageResult(kept=kept, dropped=dropped, counts=counts)
    raise StateError(
        f"stage {stage!r} returned a StageResult that is not one: `kept` holds Prompts, `dropped`"
        " holds Dropped with an index and a reason as text, `counts` holds whole numbers by name"
    )


def _unfit(after: Prompt, before: Prompt) -> str | None:
    """Why a prompt that a stage has changed is not acceptable; None if it is."""
    if after.images != before.images:
        return "its images were changed; a stage may change texts and metadata, and drop the prompt"
    texts = {
        name: getattr(after, name) for name in ("question", "answer", "category", "difficulty")
    }
    texts |= {name: getattr(after, name) or "" for name in ("kind", "solution")}
    texts |= {f"choices[{place}]": choice for place, choice in enumerate(after.choices or ())}
    wrong = [
        f"{name} is no text but a {type(value).__name__}"
        for name, value in texts.items()
        if not isinstance(value, str)
    ]
    wrong += [
        f"{name} is empty; drop the prompt instead"
        for name in ("question", "answer")
        if not str(texts[name]).strip()
    ]
    if after.kind is not None and after.kind not in get_args(AnswerKind):
        wrong.append(f"kind must be one of {', '.join(get_args(AnswerKind))}, got {after.kind!r}")
    if wrong:
        return wrong[0]
    if (odd := marks_reason(after)) and not marks_reason(before):
        return odd[1]
    try:
        # A source may hold nan; a stage is not to add any.
        new = {
            key: value
            for key, value in after.metadata.items()
            if value is not before.metadata.get(key)
        }
        json.dumps([new, texts], ensure_ascii=False, allow_nan=False).encode()
    except (TypeError, ValueError) as error:
        return f"a file cannot hold it ({error})"
    for key in COUNTED:
        if after.metadata.get(key) != before.metadata.get(key):
            return (
                f"metadata[{key!r}] was changed or lost, and rows are counted by it; add to"
                " {**prompt.metadata}"
            )
    return None


def _culprit(function: Function, prompts: Sequence[Prompt], settings: Mapping[str, Any]) -> str:
    """Name the prompt on which a function raises, found by halving the list of prompts.

    Names all of them if it raises on none alone.
    """
    found = list(prompts)
    while len(found) > 1:
        halves = found[: len(found) // 2], found[len(found) // 2 :]
        half = next((half for half in halves if _raises(function, half, settings)), None)
        if half is None:
            return _where(prompts)
        found = half
    return _where(found)


def _raises(function: Function, prompts: list[Prompt], settings: Mapping[str, Any]) -> bool:
    try:
        function(list(prompts), **settings)
    except (Exception, SystemExit):  # noqa: BLE001  (whatever it was, the caller reports it)
        return True
    return False


def _where(prompts: Sequence[Prompt]) -> str:
    if len(prompts) < 2:
        return f"prompt {prompts[0].id!r}" if prompts else "no prompts"
    return f"prompts {prompts[0].id!r} to {prompts[-1].id!r}"


def _reason(text: str) -> str:
    """Shorten a drop reason to one line, in characters that a table can hold."""
    line = " ".join(text.split()).encode("utf-8", "replace").decode()
    return line if len(line) <= _REASON_CHARS else line[: _REASON_CHARS - 3] + "..."
