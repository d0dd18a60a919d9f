"""Read RAVEN problems (arXiv:1903.02741), one `.npz` each: 16 gray panels and the answer index."""

from __future__ import annotations

import re
import zipfile
import zlib
from collections.abc import Iterator
from pathlib import Path
from typing import IO, Any

import numpy as np
from numpy.lib import format as npy

from vasari.core.errors import DataError
from vasari.data.sources.pictures import draw_matrix
from vasari.data.stored_row import StoredRow

MAX_PANEL_BYTES = 16 * 1024 * 1024
"""Largest array that is read: 16 panels of 1,024 x 1,024."""

QUESTION = (
    "The panels of the matrix follow a rule in each row. Which of the options A to H belongs in the"
    " place of the question mark?"
)

_NAME = re.compile(r"RAVEN_\d+_(\w+)\.npz")


def raven_rows(path: Path, _folder: Path, shown: str) -> Iterator[StoredRow]:
    """Yield the single row of a RAVEN `.npz` file: one problem, its panels drawn as one image.

    It has `id`, `question`, `num_choices`, `target` (from 0), `image`, `configuration` (the
    archive's folder) and `split`.

    Raises:
        DataError: It is no RAVEN archive.
    """
    try:
        with zipfile.ZipFile(path) as archive:
            panels = _array(archive, "image", shape=3)
            target = _array(archive, "target", shape=0)
    # NumPy and zipfile raise any of these on damaged files.
    except (
        OSError,
        ValueError,
        KeyError,
        EOFError,
        MemoryError,
        zlib.error,
        zipfile.BadZipFile,
        RuntimeError,
    ) as error:
        raise DataError(f"not a RAVEN archive: {error}") from error
    if (
        panels.dtype != np.uint8
        or panels.shape[0] != 16
        or 0 in panels.shape
        or target.dtype.kind not in "iu"
    ):
        got = f"{panels.dtype} {panels.shape}, {target.dtype}"
        raise DataError(
            f"expected 'image' of 16 gray panels (uint8) and 'target', an integer; got {got}"
        )
    named = _NAME.fullmatch(path.name)
    configuration = path.parent.name
    yield StoredRow(
        shown,
        {
            "id": f"{configuration}/{path.stem}",
            "question": QUESTION,
            "num_choices": 8,
            "target": int(target),
            "image": {"bytes": draw_matrix(panels), "path": f"{path.stem}.png"},
            "configuration": configuration,
            "split": named.group(1) if named else "",
        },
    )


def _array(archive: zipfile.ZipFile, name: str, *, shape: int) -> np.ndarray[Any, np.dtype[Any]]:
    """Return an array of an archive, never a pickle, after a check of its size in the header."""
    with archive.open(f"{name}.npy") as file:
        size, kind = _header(file)
        if kind.hasobject:
            raise ValueError(f"'{name}' holds Python objects, which would have to be unpickled")
        if len(size) != shape:
            raise ValueError(f"'{name}' has {len(size)} dimensions, expected {shape}")
        count = 1
        for side in size:
            count *= side
        if count * kind.itemsize > MAX_PANEL_BYTES:
            raise ValueError(
                f"'{name}' would take {count * kind.itemsize:,} bytes, the limit is"
                f" {MAX_PANEL_BYTES:,}"
            )
    with archive.open(f"{name}.npy") as file:
        return np.asarray(npy.read_array(file, allow_pickle=False))


def _header(file: IO[bytes]) -> tuple[tuple[int, ...], np.dtype[Any]]:
    version = npy.read_magic(file)
    read = npy.read_array_header_1_0 if version == (1, 0) else npy.read_array_header_2_0
    size, _, kind = read(file)
    return size, kind
