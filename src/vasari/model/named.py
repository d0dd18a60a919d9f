"""Policies that a recipe names under `policy`: `constant`, and a user's own.

Transformers models and models behind a server have recipe keys of their own.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from vasari.core.errors import ConfigError
from vasari.core.plugins import build, check_settings, resolve
from vasari.model.base import Policy
from vasari.model.scripted import ScriptedPolicy


def constant(*, text: str) -> ScriptedPolicy:
    """Return a policy that answers every prompt with `text`, as a baseline for accuracy."""
    return ScriptedPolicy(lambda _prompt, _rng: text)


POLICIES: Mapping[str, Any] = {"constant": constant}
"""Policies by their names in a recipe; a user's own is `package.module:attribute`."""


def check_named_policy(name: str, settings: Mapping[str, Any]) -> None:
    """Raise unless a policy called `name` exists and takes these settings; does not build it.

    Raises:
        ConfigError: There is none, its code was not allowed, or a setting is unknown.
    """
    _check(resolve(name, POLICIES, kind="policy"), settings, what=f"policy {name!r}")


def find_policy(name: str, settings: Mapping[str, Any], *, system: str = "") -> Policy:
    """Return the policy called `name` in a recipe, built with `settings`.

    Args:
        name: One of `POLICIES`, or a class, a function that makes a policy, or a policy of the
            user's.
        settings: Its settings by name.
        system: The system prompt that goes with the questions, for one that has an argument
            `system`.

    Raises:
        ConfigError: There is none, its code was not allowed, a setting is unknown, or what is made
            has no `generate`.
    """
    what = f"policy {name!r}"
    found = resolve(name, POLICIES, kind="policy")
    _check(found, settings, what=what)
    made = (
        found
        if _is_made(found)
        else build(found, given={"system": system}, settings=settings, what=what)
    )
    if not _is_made(made):
        raise ConfigError(
            f"{what} gave a {type(made).__name__} without `generate`, which a policy has"
        )
    return made  # type: ignore[no-any-return]


def _is_made(found: Any) -> bool:
    return not isinstance(found, type) and callable(getattr(found, "generate", None))


def _check(found: Any, settings: Mapping[str, Any], *, what: str) -> None:
    if not _is_made(found):
        check_settings(found, given=("system",), settings=settings, what=what)
    elif settings:
        raise ConfigError(
            f"{what} is made already and takes no settings; got {', '.join(map(repr, settings))}"
        )
