"""Reward terms by name, ours and a user's."""

from __future__ import annotations

import functools
import inspect
import math
from collections.abc import Callable, Mapping, Sequence
from typing import Any

from vasari.errors import ConfigError
from vasari.plugins import build, resolve
from vasari.score.reward import SEEN, RewardTerm, accuracy, format_reward
from vasari.score.shaping import CosineLength, RepetitionPenalty, SoftOverlong

REWARDS: Mapping[str, Any] = {
    "accuracy": accuracy,
    "format": format_reward,
    "cosine_length": CosineLength,
    "repetition": RepetitionPenalty,
    "soft_overlong": SoftOverlong,
}
"""Every reward term by the name that a recipe gives it: a function, or a class that is made with its settings and called.

A user's own is `package.module:attribute`, either of the two."""


def make_rewards(terms: Sequence[Mapping[str, Any]], *, max_tokens: int | None = None) -> tuple[RewardTerm, ...]:
    """The reward terms that a recipe names.

    Args:
        terms: `name`, and where they are not the defaults `weight` (1) and `settings` (none), of each.
        max_tokens: Tokens at which rollouts are cut; a term with a setting of that name that is not given gets it.

    Raises:
        ConfigError: There are no terms, one stands twice, a name or a setting is unknown, or a weight is 0 or not finite.
    """
    if not terms:
        raise ConfigError("rewards: name at least one term, e.g. accuracy")
    made = tuple(_term(term, max_tokens) for term in terms)
    names = [term.name for term in made]
    twice = sorted({name for name in names if names.count(name) > 1})
    if twice:
        raise ConfigError(f"rewards: {', '.join(twice)} stands twice; give one of them another name")
    return made


def _term(term: Mapping[str, Any], max_tokens: int | None) -> RewardTerm:
    name, weight, settings = str(term["name"]), float(term.get("weight", 1.0)), dict(term.get("settings") or {})
    if not (math.isfinite(weight) and weight):
        raise ConfigError(f"reward {name!r}: the weight must be finite and not 0, got {weight}")
    target = resolve(name, REWARDS, door="reward")
    if not callable(target):
        raise ConfigError(f"reward {name!r} is a {type(target).__name__}, which cannot be called")
    function = _with_settings(name, target, settings, max_tokens)
    return term_of(name.rpartition(":")[2], function, weight=weight)


def term_of(name: str, function: Callable[..., Any], *, weight: float = 1.0) -> RewardTerm:
    """A function, of one rollout or with TRL's signature, as a term of a reward.

    Raises:
        ConfigError: It needs what no rollout has.
    """
    _check_taken(f"reward {name!r}", function)
    return RewardTerm(name, weight, function, is_batched=_is_batched(function))


def _with_settings(
    name: str, target: Callable[..., Any], settings: dict[str, Any], max_tokens: int | None
) -> Callable[..., Any]:
    """A class made with its settings, or a function with them filled in."""
    what = f"reward {name!r}"
    parameters = inspect.signature(target).parameters
    if max_tokens is not None and "max_tokens" in parameters:
        settings = {"max_tokens": max_tokens, **settings}
    if inspect.isclass(target):
        made = build(target, given={}, settings=settings, what=what)
        _check_taken(what, made)
        return made  # type: ignore[no-any-return]
    batched = _is_batched(target)
    own = [key for key in parameters if key not in SEEN or batched]
    unknown = sorted(set(settings) - set(own))
    if unknown:
        listed = ", ".join(sorted(own)) or "none"
        raise ConfigError(f"{what} has no setting {', '.join(map(repr, unknown))}; it has: {listed}")
    if not batched and not set(SEEN) & set(parameters) and not _takes_all(target):
        # It takes nothing of a rollout: it makes the reward function, as TRL's get_... do.
        function = build(target, given={}, settings=settings, what=what)
    else:
        function = functools.partial(target, **settings) if settings else target
    _check_taken(what, function)
    return function  # type: ignore[no-any-return]


def _is_batched(function: Callable[..., Any]) -> bool:
    """Whether a function has TRL's signature."""
    return bool({"prompts", "completions", "completion_ids"} & set(inspect.signature(function).parameters))


def _takes_all(function: Callable[..., Any]) -> bool:
    return any(one.kind is inspect.Parameter.VAR_KEYWORD for one in inspect.signature(function).parameters.values())


def _check_taken(what: str, function: Callable[..., Any]) -> None:
    """Refuse a function that needs what no rollout has."""
    if not callable(function):
        raise ConfigError(f"{what} made a {type(function).__name__}, which cannot be called")
    parameters = inspect.signature(function).parameters
    if _is_batched(function):
        return
    kinds = (inspect.Parameter.VAR_KEYWORD, inspect.Parameter.VAR_POSITIONAL)
    needed = [key for key, one in parameters.items() if one.default is inspect.Parameter.empty and one.kind not in kinds]
    missing = [key for key in needed if key not in SEEN]
    if missing:
        raise ConfigError(
            f"{what} needs {', '.join(map(repr, missing))}; a reward may take {', '.join(SEEN)}, settings, or, with TRL's "
            "signature, prompts, completions, completion_ids and other columns as lists"
        )
