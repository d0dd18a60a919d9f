"""Folders that commands write into: named safely, and refused where others' files lie in them."""

from __future__ import annotations

import os
import re
from collections.abc import Callable
from pathlib import Path

from vasari.core.errors import ConfigError, StateError, StorageError

_TEMPORARY = re.compile(r"\.(.+)\.\d+\.tmp")
"""Name of a file that `writing` has not finished, around the name of the file."""
_UNFIT = re.compile(r'[\x00-\x1f\x7f<>:"|?*\\\ud800-\udfff]|[. ]$|^ ')
_RESERVED = re.compile(r"(con|prn|aux|nul|com\d|lpt\d)(\..*)?", re.IGNORECASE)
_MOST_BYTES = 200


def default_folder(name: str) -> Path:
    """Return the folder `runs/NAME`, for a recipe's name that is a folder on any system.

    Raises:
        ConfigError: The name is none, or leads out of `runs`.
    """
    parts = name.split("/")
    fits = all(
        part not in ("", ".", "..")
        and not _UNFIT.search(part)
        and not _RESERVED.fullmatch(part)
        and len(part.encode(errors="replace")) <= _MOST_BYTES
        for part in parts
    )
    if not fits:
        shown = f"{name[:60]!r}{'...' if len(name) > 60 else ''}"
        raise ConfigError(
            f"the recipe's name {shown} is no name of a folder below `runs`: change `name`, or say"
            " with --out where to write"
        )
    return Path("runs", *parts)


def resolved(folder: Path) -> Path:
    """Return the absolute path of a folder to write into, links followed.

    Raises:
        StorageError: A link leads in a circle, or the path is none.
    """
    try:
        return folder.resolve(strict=folder.is_symlink())
    except FileNotFoundError:
        return folder.resolve()
    except (OSError, RuntimeError, ValueError) as error:
        why = getattr(error, "strerror", None) or error
        raise StorageError(f"{folder}: the folder cannot be used: {why}") from error


def is_temporary(name: str, of: str) -> bool:
    """Whether a file is what a killed process had begun to write in the place of a file `of`."""
    match = _TEMPORARY.fullmatch(name)
    return match is not None and match.group(1) == of


def refuse_foreign(
    root: Path,
    *,
    is_ours: Callable[[Path], bool],
    command: str,
    passes: Callable[[str], bool] = lambda _: False,
) -> None:
    """Raise unless a folder is missing, empty, or one that the same command has written before.

    Nothing in the folder is changed.

    Args:
        root: The folder.
        is_ours: Whether a folder with files is one of the command's.
        command: What the command writes, for the message.
        passes: Whether a file of this name does not count, since the command begins with it.

    Raises:
        StateError: Other files lie there.
        StorageError: It is no folder, or cannot be looked into.
    """
    root = resolved(root)
    try:
        if not root.exists():
            os.scandir(next(parent for parent in root.parents if parent.exists())).close()
            return
        names = sorted(entry.name for entry in os.scandir(root) if not passes(entry.name))
    except OSError as error:
        why = "a file is there" if isinstance(error, NotADirectoryError) else error.strerror
        raise StorageError(f"{root}: the folder cannot be used: {why}") from error
    if names and not is_ours(root):
        shown = ", ".join(names[:3]) + (", ..." if len(names) > 3 else "")
        raise StateError(
            f"{root}: holds files, and is no folder of {command} ({shown}); choose another --out"
        )


def remove_temporary(folder: Path, is_ours: Callable[[str], bool]) -> None:
    """Remove the files that a killed process was writing into a folder, where they are ours.

    Args:
        folder: The folder; folders in it are not looked into.
        is_ours: Whether a file of this name is one that we write there.
    """
    try:
        found = list(os.scandir(folder))
    except OSError:
        return
    for entry in found:
        match = _TEMPORARY.fullmatch(entry.name)
        if match and is_ours(match.group(1)) and entry.is_file(follow_symlinks=False):
            Path(entry.path).unlink(missing_ok=True)
