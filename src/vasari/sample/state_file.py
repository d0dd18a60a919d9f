"""A sampler's state on disk: one `.npz` file with a JSON header, written whole or not at all."""

from __future__ import annotations

import json
import zipfile
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from vasari.core.errors import StateError
from vasari.core.files import writing

_HEADER = "header"
_ARRAY = "__array__"


def save_state(path: Path | str, state: Mapping[str, Any]) -> None:
    """Write a sampler's state to `path` atomically: to a temporary file, flushed, then renamed.

    Raises:
        StateError: The state holds something that is neither JSON nor a plain array.
        StorageError: The disk refused; what stood at `path` is intact.
    """
    path = Path(path)
    arrays: dict[str, NDArray[Any]] = {}
    try:
        header = json.dumps(_split(state, "state", arrays))
    except (TypeError, ValueError) as error:
        raise StateError(f"{path}: state holds what cannot be saved: {error}") from error
    arrays[_HEADER] = np.frombuffer(header.encode(), dtype=np.uint8)
    with writing(path) as file:
        np.savez(file, **arrays)  # type: ignore[arg-type]


def load_state(path: Path | str) -> dict[str, Any]:
    """Return the sampler's state saved in the file `path`, without unpickling anything.

    Raises:
        StateError: There is no file, or it is damaged or none of ours.
    """
    try:
        with np.load(path, allow_pickle=False) as file:
            arrays = {name: file[name] for name in file.files}
        state = _join(json.loads(arrays.pop(_HEADER).tobytes()), arrays)
    except FileNotFoundError as error:
        raise StateError(f"{path}: no saved state here") from error
    except (
        OSError,
        EOFError,
        KeyError,
        ValueError,
        TypeError,
        AttributeError,
        zipfile.BadZipFile,
    ) as error:
        raise StateError(f"{path}: not a saved state, or damaged: {error}") from error
    if not isinstance(state, dict):
        raise StateError(f"{path}: not a saved state: its header is no object")
    return state


def _split(value: Any, name: str, arrays: dict[str, NDArray[Any]]) -> Any:
    """Return a value with each array replaced by its name; the arrays are added to `arrays`."""
    if isinstance(value, np.ndarray):
        if value.dtype.hasobject:
            raise TypeError(f"{name} is an array of objects")
        arrays[name] = value
        return {_ARRAY: name}
    if isinstance(value, Mapping):
        for key in value:
            if not isinstance(key, str) or key == _ARRAY:
                raise TypeError(f"{name} has the key {key!r}")
        return {key: _split(inner, f"{name}.{key}", arrays) for key, inner in value.items()}
    if isinstance(value, list | tuple):
        return [_split(inner, f"{name}.{place}", arrays) for place, inner in enumerate(value)]
    return value.item() if isinstance(value, np.generic) else value


def _join(value: Any, arrays: Mapping[str, NDArray[Any]]) -> Any:
    if isinstance(value, dict):
        if set(value) == {_ARRAY}:
            return arrays[value[_ARRAY]]
        return {key: _join(inner, arrays) for key, inner in value.items()}
    return [_join(inner, arrays) for inner in value] if isinstance(value, list) else value
