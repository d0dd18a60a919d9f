"""Reading a model's configuration, from a folder or the hub."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from transformers import AutoConfig
from transformers.models.auto.configuration_auto import CONFIG_MAPPING_NAMES
from transformers.utils import cached_file

from vasari.core.errors import ConfigError, StateError
from vasari.core.files import read_json
from vasari.model.hub import require_reachable


def load_config(path: str) -> Any:
    """Return a model's transformers configuration, never with code of the model's own.

    Raises:
        StateError: The folder or hub name has no readable configuration.
        ConfigError: transformers has no class for this model type.
    """
    found = read_model_file(path, "config.json")
    if found is None:
        raise StateError(
            f"{path}: no model can be loaded from it: it has no config.json{_models_below(path)}"
        )
    model_type = found.get("model_type")
    if model_type not in CONFIG_MAPPING_NAMES:
        raise ConfigError(
            f"{path}: transformers has no model of the type {model_type!r}; models that bring their"
            " own code are not run"
        )
    try:
        return AutoConfig.from_pretrained(path, trust_remote_code=False)
    except (OSError, ValueError, KeyError, TypeError) as error:
        raise StateError(f"{path}: config.json cannot be read: {one_line(error)}") from error


def _models_below(path: str) -> str:
    """What to give in the place of a run's folder, whose models lie in folders of their own."""
    below = sorted(
        str(file.parent)
        for pattern in ("*/config.json", "*/*/config.json", "*/*/*/config.json")
        for file in Path(path).glob(pattern)
    )
    return f"; it has the models {', '.join(below[:4])}" if below else ""


def read_model_file(path: str, name: str) -> dict[str, Any] | None:
    """Return the content of a JSON file of a model folder or hub name; None if it has none.

    Raises:
        StateError: The file is no JSON object, or the hub refuses or cannot be reached.
    """
    require_reachable(path, "config.json")
    try:
        place = cached_file(path, name, _raise_exceptions_for_missing_entries=False)
        content = read_json(Path(place)) if place else None
    except (OSError, ValueError) as error:
        raise StateError(f"{path}: {name} cannot be read: {one_line(error)}") from error
    if content is not None and not isinstance(content, dict):
        raise StateError(f"{path}: {name} is no JSON object")
    return content


def one_line(error: BaseException) -> str:
    """Return the message of an error, which in transformers may have many lines, as one line."""
    return " ".join(str(error).split())
