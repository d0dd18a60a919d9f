"""Types that a curation stage receives and returns.

A stage that asks a model is a function `stage(prompts, model, settings) -> StageResult`: it decides
about every prompt it is given, and the next stage reads the prompts that it keeps.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from types import MappingProxyType
from typing import TYPE_CHECKING

from vasari.core.errors import ConfigError
from vasari.core.records import Prompt

if TYPE_CHECKING:  # a server's client takes long to import, and most users of this module ask none
    from vasari.endpoint import EndpointSettings, RateLimits, ResponseStore, Sampling

RL_PART = "rl_part"
"""Metadata key that holds the name of a prompt's part of the RL set."""


FAILED = "_failed"
"""Ending of the drop reasons and counts of stages that ask a model which say that no server gave an
answer."""


@dataclass(frozen=True, slots=True, kw_only=True)
class AskedModel:
    """A model on a server that a stage sends requests to, with the store of its answers."""

    settings: EndpointSettings
    store: ResponseStore
    """Store of earlier answers; a stored answer is not requested again."""
    model: str
    """Name of the model on the server."""
    sampling: Sampling
    retry_failed: tuple[str, ...] = ()
    """Reasons (of `vasari.endpoint.FAILURE_REASONS`) whose stored failures are asked again."""
    limits: RateLimits | None = None
    """What is left of the server's limits per minute; all stages and shards of a run share it."""
    progress: Callable[[int, int], None] | None = None
    """Called with the number of prompts done and their total."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Dropped:
    """A dropped prompt: its id, the reason, and the id of the prompt that it repeats, if any."""

    index: int
    """Position of the prompt in the stage's input."""
    id: str
    """The prompt's id."""
    reason: str
    """The rule: "easy", "ungraded", "over_quota", "near_duplicate", "benchmark_leak", ..."""
    collided_with: str | None = None
    """Id of the prompt it duplicates or leaks; None where the rule compares it with nothing."""
    detail: str = ""
    """The measured values behind the rule, for a person to read."""


@dataclass(frozen=True, slots=True, kw_only=True)
class StageResult:
    """Result of a curation stage: the prompts it keeps, the prompts it drops, counts to report."""

    kept: tuple[Prompt, ...]
    """Kept prompts, in input order; a stage may have set their solution, answer, category or
    metadata."""
    dropped: tuple[Dropped, ...]
    """All other prompts, ascending by `index`, their position among the prompts of this call."""
    counts: Mapping[str, int] = field(default_factory=dict)
    """Further counts to report for the stage, by name."""


Reason = tuple[str, str]
"""Why a prompt is dropped, and the measured values behind that reason, for a person to read."""


def sort_out(
    prompts: Sequence[Prompt], decide: Callable[[int, Prompt], Prompt | Reason]
) -> StageResult:
    """Call `decide` on each prompt, and return the kept and dropped prompts as a `StageResult`.

    Args:
        prompts: The stage's input.
        decide: Position and prompt -> the prompt that is kept, or the reason of a drop.
    """
    kept: list[Prompt] = []
    dropped: list[Dropped] = []
    for index, prompt in enumerate(prompts):
        found = decide(index, prompt)
        if isinstance(found, Prompt):
            kept.append(found)
        else:
            dropped.append(Dropped(index=index, id=prompt.id, reason=found[0], detail=found[1]))
    return StageResult(kept=tuple(kept), dropped=tuple(dropped))


def without(
    prompts: Sequence[Prompt],
    dropped: Sequence[Dropped],
    counts: Mapping[str, int] = MappingProxyType({}),
) -> StageResult:
    """Build the `StageResult` that drops the given prompts and keeps all other prompts."""
    gone = {drop.index for drop in dropped}
    kept = tuple(prompt for index, prompt in enumerate(prompts) if index not in gone)
    return StageResult(kept=kept, dropped=tuple(dropped), counts=counts)


def check_result(result: StageResult, given: int, *, stage: str) -> StageResult:
    """Check that a stage's result keeps or drops each of `given` prompts exactly once; return it.

    Raises:
        ConfigError: The stage lost or made up prompts, or named one twice.
    """
    places = [drop.index for drop in result.dropped]
    if len(result.kept) + len(places) != given or len(set(places)) != len(places):
        raise ConfigError(
            f"stage {stage!r} was given {given} prompts and decided about {len(result.kept)} kept"
            f" and {len(places)} dropped; it must decide about each exactly once"
        )
    return result
