"""The folder of a curation: recognised, locked, and written without harm to files of others.

`.curation.json` lists the files that curations have written there. Only those are replaced or
removed; a file of the same name that is not in the list is left, and ends the run before it begins.
"""

from __future__ import annotations

import contextlib
import fcntl
import os
import re
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any, get_args

from vasari.core.errors import StateError, StorageError
from vasari.core.files import read_object, write_json
from vasari.core.folders import is_temporary, refuse_foreign, remove_temporary, resolved
from vasari.curate.recipe import ExportName
from vasari.curate.run.shards import is_shard_file, is_stage_folder

MARKER = ".curation.json"
_LOCK = ".lock"
_OF_WORKERS = re.compile(r"\.workers-[0-9a-f-]+")
_FOLDERS = ("stages", "images", "responses")
FILES: tuple[str, ...] = (
    "sft.parquet",
    "rl.parquet",
    "dropped.parquet",
    "funnel.json",
    "funnel.html",
    "README.md",
    "dead_letters.jsonl",
    "manifest.json",
)
"""Files that a curation writes, beside its folders."""


def is_curation(root: Path) -> bool:
    """Whether a folder is that of a curation, of this version or of one without the marker."""
    names = {entry.name for entry in os.scandir(root) if not _comes_first(entry.name)}
    return (
        "wrote" in read_object(root / MARKER)
        or _is_manifest(read_object(root / "manifest.json"))
        or is_stage_folder(root / "stages" / "00-read")
        # A run that was killed before it had read a row, or whose stages were removed.
        or (_LOCK in names and names <= {_LOCK, *_FOLDERS} and not (root / _LOCK).stat().st_size)
    )


def _comes_first(name: str) -> bool:
    """Whether a file may be there before the marker: workers look for one of their driver."""
    return is_temporary(name, MARKER) or _OF_WORKERS.fullmatch(name) is not None


def refuse_other_folder(root: Path) -> None:
    """Raise unless a curation may use a folder: new, empty, or one of its own; change nothing.

    Raises:
        StateError: It holds other files.
        StorageError: It is no folder, or cannot be used.
    """
    refuse_foreign(root, is_ours=is_curation, command="`vasari curate`", passes=_comes_first)
    root = resolved(root)
    for name in (*_FOLDERS, "exports", *(f"exports/{name}" for name in get_args(ExportName))):
        place = root / name
        if place.is_symlink():
            raise StateError(
                f"{place}: is a link, and a curation keeps its files in its own folder; remove the"
                " link, or choose another --out"
            )
        if place.exists() and not place.is_dir():
            raise StateError(
                f"{place}: is a file where a curation has a folder; move it away, or choose another"
                " --out"
            )


class OwnFolder:
    """A curation's folder that is locked, with the list of the files that were written there."""

    def __init__(self, root: Path) -> None:
        self.root = root
        self._wrote = _written(root)

    def refuse_files_of_others(self, names: Sequence[str]) -> None:
        """Raise if one of the files to write is there and was not written by a curation.

        Raises:
            StateError: Such a file is there.
        """
        for name in names:
            if os.path.lexists(self.root / name) and name not in self._wrote:
                raise StateError(
                    f"{self.root / name}: was not written by `vasari curate`; move it away, or"
                    " choose another --out"
                )

    def claim(self, name: str) -> Path:
        """Return the path of a file to write, after listing it as the curation's.

        Raises:
            StateError: It is there, and was not written by a curation.
        """
        self.refuse_files_of_others([name])
        self.note(name)
        return self.root / name

    def has_written(self, name: str) -> bool:
        """Whether curations have written a file, or an export by its folder `exports/NAME`."""
        return name in self._wrote

    def note(self, *names: str) -> None:
        """List files, or exports by their folders, as the curation's."""
        if not self._wrote.issuperset(names):
            self._wrote.update(names)
            self._write_marker()

    def remove(self, name: str) -> None:
        """Remove a file if a curation wrote it."""
        if name in self._wrote:
            (self.root / name).unlink(missing_ok=True)

    def prepare(self) -> None:
        """Mark the folder as a curation's, and remove what a killed run was writing."""
        if not (self.root / MARKER).is_file():
            self._write_marker()
        remove_temporary(self.root, {MARKER, *FILES}.__contains__)
        for left in self.root.glob(".workers-*"):
            # This process may have its workers by now; no other one works here.
            own = left.name.startswith(f".workers-{os.getpid()}-")
            if _OF_WORKERS.fullmatch(left.name) and not own:
                left.unlink(missing_ok=True)
        for stage in _folders(self.root / "stages"):
            remove_temporary(stage, is_shard_file)
        for images in _folders(self.root / "images"):
            remove_temporary(images, lambda name: len(name.partition(".")[0]) == 64)

    def _write_marker(self) -> None:
        write_json(self.root / MARKER, {"schema": 1, "wrote": sorted(self._wrote)})


@contextlib.contextmanager
def locked(root: Path) -> Iterator[OwnFolder]:
    """Context manager that locks a curation's folder, so that no other run works in it.

    Raises:
        StateError: Another process works in it, or it holds files of others.
        StorageError: The folder cannot be made.
    """
    refuse_other_folder(root)
    try:
        root.mkdir(parents=True, exist_ok=True)
        file = os.open(root / _LOCK, os.O_RDWR | os.O_CREAT | os.O_NOFOLLOW, 0o644)
    except OSError as error:
        raise StorageError(
            f"{root}: the folder cannot be used: {error.strerror or error}"
        ) from error
    try:
        _lock(file, root)
        folder = OwnFolder(root)
        folder.prepare()
        yield folder
    finally:
        os.close(file)


def _lock(file: int, root: Path) -> None:
    try:
        fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError as error:
        raise StateError(
            f"{root}: another process curates in this folder; wait for it, or choose another --out"
        ) from error
    except OSError as error:
        raise StorageError(
            f"{root}: cannot be locked: {error.strerror or error}; choose another disk"
        ) from error


def _written(root: Path) -> set[str]:
    """Names of the files that curations have written; of an older version by its manifest."""
    listed = read_object(root / MARKER).get("wrote")
    if isinstance(listed, list):
        return {name for name in listed if isinstance(name, str)}
    manifest = read_object(root / "manifest.json")
    if not _is_manifest(manifest):
        return set()
    lacking = {"sft", "rl"} - set(manifest["sets"])
    exports = {f"exports/{name.partition('/')[0]}" for name in manifest.get("exports") or ()}
    return set(FILES) - {f"{name}.parquet" for name in lacking} | exports


def _is_manifest(found: dict[str, Any]) -> bool:
    return (
        isinstance(found.get("stages"), list)
        and isinstance(found.get("sets"), dict)
        and {"vasari", "recipe", "dead_letters"} <= found.keys()
    )


def _folders(folder: Path) -> list[Path]:
    if not folder.is_dir():
        return []
    return [Path(one.path) for one in os.scandir(folder) if one.is_dir(follow_symlinks=False)]
