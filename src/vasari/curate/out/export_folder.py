"""Which files of an export's folder are its own: only those are replaced or removed."""

from __future__ import annotations

import contextlib
import os
import re
from collections.abc import Sequence
from pathlib import Path

from vasari.core.errors import StateError
from vasari.core.files import read_object
from vasari.curate.recipe import ExportName

DATASET_INFO = "dataset_info.json"
"""File that tells LLaMA-Factory of the sets of an export."""

MADE_FROM = "made_from.json"
"""File that says what an export was made from, complete once its files are written."""


def refuse_exports_of_others(folder: Path, names: Sequence[ExportName]) -> None:
    """Raise if a file that an export would write is there and was not written by an export.

    Args:
        folder: Folder of all exports.
        names: Exports that are to be written.

    Raises:
        StateError: There is such a file.
    """
    for name in names:
        place = folder / name
        for file in sorted(files_of(name) - files_written(place)):
            if os.path.lexists(place / file):
                raise StateError(
                    f"{place / file}: was not written by `vasari curate`; move it away, or choose"
                    " another --out"
                )


def files_of(name: str) -> set[str]:
    """Names of the files, beside images, that an export may write into its folder."""
    if name == "sharegpt":
        return {"sft.json", "rl.json", DATASET_INFO, MADE_FROM}
    return {"sft.parquet", "rl.parquet", MADE_FROM}


def files_written(folder: Path) -> set[str]:
    """Names of the files of an export that are there as it wrote them; none in others' folders."""
    made = read_object(folder / MADE_FROM)
    if "fingerprint" not in made:
        return set()
    lists = [made.get(key) for key in ("files", "beside")]
    return {MADE_FROM, *(name for found in lists if isinstance(found, dict) for name in found)}


def remove_export(folder: Path, own: set[str]) -> None:
    """Remove an export's own files and images, and its folder if nothing else is in it."""
    if not own:
        return
    for path in entries(folder / "images"):
        if is_export_image(path):
            path.unlink()
    # What says whose files these are goes last.
    for name in sorted(own, key=MADE_FROM.__eq__):
        (folder / name).unlink(missing_ok=True)
    for path in (folder / "images", folder):
        with contextlib.suppress(OSError):
            path.rmdir()  # unless something is in it


def entries(folder: Path) -> list[Path]:
    """Paths of what is in a folder; none without the folder."""
    return list(folder.iterdir()) if folder.is_dir() else []


def is_export_image(path: Path) -> bool:
    """Whether a file has the name that an image gets from its bytes."""
    return re.fullmatch(r"[0-9a-f]{32}\.\w+", path.name) is not None
