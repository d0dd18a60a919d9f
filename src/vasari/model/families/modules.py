"""Parts of a loaded model by its family: the base model, its modules for images."""

from __future__ import annotations

from typing import Any

from vasari.model.families.base import Family


def without_adapters(model: Any) -> Any:
    """Return the base model inside a model with low-rank adapters; any other model as it is."""
    return model.get_base_model() if hasattr(model, "get_base_model") else model


def vision_modules(model: Any, family: Family) -> dict[str, Any]:
    """Return the modules for what is not text by their full names in the base model.

    Names begin with "model.", e.g. "model.visual"; a text-only model has none.
    """
    body = getattr(without_adapters(model), "model", None)
    found = {name: getattr(body, name, None) for name in family.vision}
    return {f"model.{name}": module for name, module in found.items() if module is not None}
