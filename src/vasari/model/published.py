"""Facts on the published models that recipes name, for a machine without network or hub cache."""

from __future__ import annotations

from collections.abc import Mapping
from functools import cache
from importlib import resources
from typing import Any

import yaml
from transformers import AutoConfig


@cache
def published_facts() -> Mapping[str, Any]:
    """Return the shipped facts: `models` by hub name, and `files` of each family."""
    path = resources.files("vasari") / "assets" / "published.yaml"
    content: Mapping[str, Any] = yaml.safe_load(path.read_text(encoding="utf-8"))
    return content


def published_config(name: str) -> Any:
    """Return transformers' config of a model by its hub name; None for one without facts."""
    facts = published_facts()["models"].get(name)
    if facts is None:
        return None
    config = dict(facts["config"])
    return AutoConfig.for_model(config.pop("model_type"), **config)
