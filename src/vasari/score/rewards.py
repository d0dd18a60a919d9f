"""Registry of reward terms, built-in and a user's, by name."""

from __future__ import annotations

import functools
import inspect
import math
import numbers
from collections.abc import Mapping, Sequence
from typing import Any

from vasari.core.errors import ConfigError
from vasari.core.plugins import build, resolve
from vasari.score.reward import (
    SEEN,
    UNNAMED,
    RewardTerm,
    is_async,
    needed,
    takes_all,
)
from vasari.score.terms import (
    CosineLength,
    RepetitionPenalty,
    SoftOverlong,
    accuracy,
    format_reward,
)

REWARDS: Mapping[str, Any] = {
    "accuracy": accuracy,
    "format": format_reward,
    "cosine_length": CosineLength,
    "repetition": RepetitionPenalty,
    "soft_overlong": SoftOverlong,
}
"""Every reward term by the name that a recipe gives it.

Each is a function, or a class that is made with its settings and called. A user's own is
`package.module:attribute`, either of the two."""

_TRL = {"prompts", "completions", "completion_ids"}
"""A function that takes one of these by name has TRL's signature."""


def make_rewards(
    terms: Sequence[str | Mapping[str, Any]], *, max_tokens: int | None = None
) -> tuple[RewardTerm, ...]:
    """Build the reward terms (weighted reward functions) that a recipe names.

    Args:
        terms: `name`, and where they are not the defaults `weight` (1) and `settings` (none), of
            each; or the name alone.
        max_tokens: Tokens at which rollouts are cut; a term with a setting of that name that is not
            given gets it.

    Raises:
        ConfigError: There are no terms, one stands twice, a name or a setting is unknown, or a
            weight is 0 or not finite.
    """
    if not terms:
        raise ConfigError("rewards: name at least one term, e.g. accuracy")
    named = [{"name": term} if isinstance(term, str) else term for term in terms]
    made = tuple(_term(term, max_tokens) for term in named)
    sources: dict[str, list[str]] = {}
    for term, content in zip(made, named, strict=True):
        sources.setdefault(term.name, []).append(str(content["name"]))
    for name, own in sources.items():
        if len(own) > 1:
            raise ConfigError(
                f"rewards: {name} stands twice, as {', '.join(own)}; logs and files tell terms"
                " apart by that name, so name each once, or give one of the functions another name"
            )
    return made


def _term(term: Mapping[str, Any], max_tokens: int | None) -> RewardTerm:
    unknown = sorted(set(term) - {"name", "weight", "settings"})
    if unknown or "name" not in term:
        raise ConfigError(f"a reward has name, weight and settings, got {dict(term)!r}")
    name, weight, settings = (
        str(term["name"]),
        term.get("weight", 1.0),
        dict(term.get("settings") or {}),
    )
    if not isinstance(weight, numbers.Real) or not math.isfinite(weight) or not weight:
        raise ConfigError(f"reward {name!r}: the weight must be finite and not 0, got {weight!r}")
    return with_settings(
        name,
        resolve(name, REWARDS, kind="reward"),
        settings,
        weight=float(weight),
        max_tokens=max_tokens,
    )


def with_settings(
    name: str,
    target: Any,
    settings: Mapping[str, Any],
    *,
    weight: float = 1.0,
    max_tokens: int | None = None,
) -> RewardTerm:
    """Build a reward term from a class or function and its settings.

    A function that takes nothing of a rollout makes the reward function, as TRL's `get_...` do.

    Raises:
        ConfigError: It has no such setting, needs one, cannot be called, or needs what no rollout
            has.
    """
    what = f"reward {name!r}"
    parameters = _parameters(what, target)
    if max_tokens is not None and "max_tokens" in parameters:
        settings = {"max_tokens": max_tokens, **settings}
    batched = _is_batched(parameters)
    makes = not batched and not set(SEEN) & set(parameters) and not takes_all(target)
    if makes and not inspect.isclass(target):
        _refuse(what, [key for key in needed(parameters) if key not in settings])
    if makes or inspect.isclass(target):
        return term_of(name, build(target, given={}, settings=settings, what=what), weight=weight)
    of_a_rollout = _TRL if batched else set(SEEN)
    own = [
        key
        for key, one in parameters.items()
        if key not in of_a_rollout and one.kind not in UNNAMED
    ]
    unknown = sorted(set(settings) - set(own))
    if unknown:
        listed = ", ".join(sorted(own)) or "none"
        raise ConfigError(
            f"{what} has no setting {', '.join(map(repr, unknown))}; it has: {listed}"
        )
    return term_of(
        name, functools.partial(target, **settings) if settings else target, weight=weight
    )


def term_of(name: str, function: Any, *, weight: float = 1.0) -> RewardTerm:
    """Build a reward term from a function; a name `mine:brevity` is shortened to `brevity`.

    Raises:
        ConfigError: It cannot be called by keyword, needs what no rollout has, or is of one rollout
            and must be awaited.
    """
    what = f"reward {name!r}"
    parameters = _parameters(what, function)
    batched = _is_batched(parameters)
    unnamed = [
        key
        for key, one in parameters.items()
        if one.kind is one.POSITIONAL_ONLY and one.default is one.empty
    ]
    if unnamed:
        raise ConfigError(
            f"{what} takes {', '.join(map(repr, unnamed))} by position; a reward is called by"
            " keyword"
        )
    if not batched:
        _refuse(what, [key for key in needed(parameters) if key not in SEEN])
    if not batched and is_async(function):
        raise ConfigError(
            f"{what} must be awaited, which only a function with TRL's signature may: one that"
            " takes completions"
        )
    return RewardTerm(name.rpartition(":")[2], weight, function, is_batched=batched)


def _parameters(what: str, function: Any) -> Mapping[str, inspect.Parameter]:
    if not callable(function):
        raise ConfigError(f"{what} is a {type(function).__name__}, which cannot be called")
    try:
        return inspect.signature(function).parameters
    except ValueError as error:
        raise ConfigError(
            f"{what} does not say what it takes; wrap it in a function that names it"
        ) from error


def _refuse(what: str, lacking: Sequence[str]) -> None:
    """Raise ConfigError if a reward function has parameters for which there is no value."""
    if lacking:
        raise ConfigError(
            f"{what} needs {', '.join(map(repr, lacking))}: give it among the settings; of a"
            f" rollout a reward may take {', '.join(SEEN)}, or, with TRL's signature, prompts,"
            " completions, completion_ids and other columns as lists"
        )


def _is_batched(parameters: Mapping[str, inspect.Parameter]) -> bool:
    """Whether a function with these parameters has TRL's signature."""
    return not _TRL.isdisjoint(parameters)
