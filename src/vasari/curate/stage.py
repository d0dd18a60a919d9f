"""What a stage of curation is given and what it hands on.

A stage that asks a model is a function `stage(prompts, model, settings) -> StageResult`: it decides
about every prompt it is given, and the next stage reads the prompts that it keeps.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field

from vasari.core.errors import ConfigError
from vasari.core.records import Prompt
from vasari.curate.dropped import Dropped
from vasari.endpoint import EndpointSettings, RateLimits, ResponseStore, Sampling


@dataclass(frozen=True, slots=True, kw_only=True)
class AskedModel:
    """A model behind a server, and where its answers are kept."""

    settings: EndpointSettings
    store: ResponseStore
    """An answer that is in the store is not bought again."""
    model: str
    """As the server knows it."""
    sampling: Sampling
    retry_failed: tuple[str, ...] = ()
    """Reasons (of `vasari.endpoint.FAILURE_REASONS`) whose stored failures are asked again."""
    limits: RateLimits | None = None
    """What is left of the server's limits a minute; the stages and shards of a run share it."""
    progress: Callable[[int, int], None] | None = None
    """Called with the prompts done and their total."""


@dataclass(frozen=True, slots=True, kw_only=True)
class StageResult:
    """What became of the prompts that a stage was given."""

    kept: tuple[Prompt, ...]
    """In the order in which they were given; a stage may have set their solution, answer, category
    or metadata."""
    dropped: tuple[Dropped, ...]
    """The others, ascending by `index`, which counts the prompts that this call was given."""
    counts: Mapping[str, int] = field(default_factory=dict)
    """What else to tell of the stage, by name."""


def check_result(result: StageResult, given: int, *, stage: str) -> StageResult:
    """The result, when it decides about every prompt that was given.

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
