"""Policies that a recipe names, ours and a user's; models of transformers and behind a server have keys of their own."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from vasari.errors import ConfigError
from vasari.plugins import build, resolve
from vasari.policy.base import Policy
from vasari.policy.scripted import ScriptedPolicy


def constant(*, text: str) -> ScriptedPolicy:
    """A policy that always writes this text: what one answer to everything is worth, a floor for any model."""
    return ScriptedPolicy(lambda prompt, rng: text)  # noqa: ARG005


POLICIES: Mapping[str, Any] = {"constant": constant}
"""Every policy by the name that a recipe gives it; a user's own is `package.module:attribute`, called with its settings."""


def find_policy(name: str, settings: Mapping[str, Any], *, system: str = "") -> Policy:
    """The policy of that name, made with its settings.

    Args:
        name: One of `POLICIES`, or a class or function of the user's.
        settings: Its settings by name.
        system: The system prompt, for one that takes it.

    Raises:
        ConfigError: There is none, a setting is unknown, or what is made has no `generate`.
    """
    made = build(resolve(name, POLICIES, door="policy"), given={"system": system}, settings=settings, what=f"policy {name!r}")
    if not callable(getattr(made, "generate", None)):
        raise ConfigError(f"policy {name!r} made a {type(made).__name__}, which has no `generate`")
    return made  # type: ignore[no-any-return]
