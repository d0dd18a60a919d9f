"""What must be the same in all processes of a training, checked before it begins.

Machines differ where nobody looks: an older package, another checkout, a recipe that was edited on
one of them, a folder that is no shared disk. Each check costs one exchange of a few bytes.
"""

from __future__ import annotations

import contextlib
import hashlib
import json
import logging
import secrets
import time
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from vasari.core.errors import StateError, StorageError
from vasari.core.records import ImageRef, Prompt, pool_fingerprint
from vasari.core.versions import code_digest, installed_versions
from vasari.train.processes import Processes

logger = logging.getLogger(__name__)

MAX_CLOCK_SECONDS = 30.0
"""Difference of two machines' clocks from which their logs no longer line up."""
_SHARED_WITHIN_SECONDS = 20.0
"""Longest time in which a network disk shows a new file to another machine."""
_MISSING = "missing"


def require_same(
    processes: Processes, own: Mapping[str, Any], *, advice: str, what: str = ""
) -> None:
    """Raise in all processes if what one of them holds is not what the main one holds.

    Args:
        processes: Of the training.
        own: What this process holds: JSON values, perhaps nested.
        advice: What to do, for the message.
        what: What it is, in front of the first name that differs.

    Raises:
        StateError: Names the process, its machine, what differs, and both values.
    """
    found = processes.gather((processes.host, own))
    main_host, main = found[0]
    for rank, (host, theirs) in enumerate(found):
        if theirs != main:
            name, there, here = _first_difference(what, theirs, main)
            raise StateError(
                f"process {rank} on {host}: {name} is {there}, and {here} in process 0 on"
                f" {main_host}; {advice}"
            )


def require_same_versions(processes: Processes) -> None:
    """Raise if a process has other versions of packages, or other code of vasari.

    Raises:
        StateError: As `require_same`.
    """
    if processes.many:
        versions = installed_versions() | {"code of vasari": code_digest()}
        require_same(processes, versions, advice="install the same on every machine")


def require_same_rows(
    processes: Processes, what: str, ids: Sequence[str], digests: NDArray[np.uint64]
) -> None:
    """Raise if a process has other rows than the main one, or has them in another order.

    Args:
        processes: Of the training.
        what: What the rows are.
        ids: One a row, for the message.
        digests: One a row, of its content.

    Raises:
        StateError: Names the process, its machine, and the first row that differs.
    """
    own = (processes.host, len(ids), pool_fingerprint(digests))
    found = processes.gather(own)
    if all(one[1:] == found[0][1:] for one in found):
        return
    rows = processes.gather((list(ids), digests))
    main_host, main_num, _ = found[0]
    rank = next(n for n, one in enumerate(found) if one[1:] != found[0][1:])
    host, num, _ = found[rank]
    (theirs, seen), (ours, wanted) = rows[rank], rows[0]
    least = min(num, main_num)
    place = next((n for n in range(least) if seen[n] != wanted[n]), least)
    there, here = (repr(own[place]) if place < len(own) else "none" for own in (theirs, ours))
    same = ", with other content" if there == here else ""
    raise StateError(
        f"process {rank} on {host}: {what} has {num} prompts, and {main_num} in process 0 on"
        f" {main_host}; first other one: no. {place}, {there}, there {here}{same}; give every"
        " machine the same data"
    )


def require_shared(processes: Processes, folder: Path) -> None:
    """Raise if a process does not see the main one's folder under the path it was given.

    Checkpoints are written by one process and read by all.

    Raises:
        StateError: Names the process and its machine.
        StorageError: The main process cannot write to the folder.
    """
    if not processes.many:
        return
    token = processes.gather(f".shared-{secrets.token_hex(8)}")[0]
    processes.everywhere(lambda: _put(folder / token) if processes.is_main else None)
    sees = (folder / token).exists()
    until = time.monotonic() + _SHARED_WITHIN_SECONDS
    while not sees and time.monotonic() < until:
        time.sleep(0.2)
        sees = (folder / token).exists()
    found = processes.gather((processes.host, str(folder.resolve()), sees))
    if processes.is_main:
        with contextlib.suppress(OSError):
            (folder / token).unlink()
    main_host, main_folder, _ = found[0]
    for rank, (host, theirs, is_shared) in enumerate(found):
        if not is_shared:
            raise StateError(
                f"process {rank} on {host}: {theirs} is not {main_folder} of process 0 on"
                f" {main_host}; --out must be on a disk that all machines share"
            )


def compare_clocks(processes: Processes) -> None:
    """Warn in the main process of machines whose clocks differ: logs would not line up."""
    if not processes.many:
        return
    processes.gather(None)  # so that all read their clocks at the same time
    found = processes.gather((processes.host, time.time()))
    main_host, now = found[0]
    for rank, (host, theirs) in enumerate(found):
        if abs(theirs - now) > MAX_CLOCK_SECONDS and processes.is_main:
            logger.warning(
                "process %d on %s: its clock is %.0f s %s that of process 0 on %s",
                rank,
                host,
                abs(theirs - now),
                "ahead of" if theirs > now else "behind",
                main_host,
            )


def prompt_contents(prompts: Sequence[Prompt]) -> NDArray[np.uint64]:
    """Return a digest of each prompt's content: uint64 [prompts]; of images, their sizes count."""
    return digests_of(
        [
            prompt.id,
            prompt.question,
            prompt.answer,
            prompt.choices,
            prompt.kind,
            prompt.category,
            prompt.difficulty,
            prompt.solution,
            [_size(ref) for ref in prompt.images],
        ]
        for prompt in prompts
    )


def digests_of(rows: Any) -> NDArray[np.uint64]:
    """Return a digest of each row's JSON, equal on all machines: uint64 [rows]."""
    raw = b"".join(
        hashlib.blake2b(
            json.dumps(row, sort_keys=True, default=str).encode(), digest_size=8
        ).digest()
        for row in rows
    )
    return np.frombuffer(raw, dtype="<u8").astype(np.uint64)


def row_contents(pool: Any) -> NDArray[np.uint64]:
    """Return a digest of each row of a data set: uint64 [rows]; columns with images are left out.

    Columns that hold nothing but text, numbers and truth values count, also in lists and mappings.
    """
    plain = [
        name
        for name, kind in pool.features.items()
        if not {"Image", "Audio", "Video", "Array2D", "Array3D"} & _types_in(kind)
    ]
    if not plain:
        return digests_of([place] for place in range(len(pool)))
    return digests_of(pool.with_format(None).select_columns(plain))


def model_files(path: str) -> dict[str, Any]:
    """Return names and sizes of a model's files, or the hub's revision of it that lies here."""
    folder = Path(path)
    if folder.is_dir():
        return {
            file.name: file.stat().st_size for file in sorted(folder.iterdir()) if file.is_file()
        }
    from huggingface_hub import try_to_load_from_cache  # noqa: PLC0415  (not in the core)

    config = try_to_load_from_cache(path, "config.json")
    return {"name": path, "revision": Path(config).parent.name if isinstance(config, str) else None}


def _types_in(kind: Any) -> set[str]:
    """Names of the types that a column's type is made of."""
    inner = kind.values() if isinstance(kind, Mapping) else kind if isinstance(kind, list) else ()
    parts = [*inner, *filter(None, (getattr(kind, "feature", None),))]
    return {type(kind).__name__}.union(*map(_types_in, parts))


def _size(ref: ImageRef) -> int:
    if ref.data is not None:
        return len(ref.data)
    try:
        return Path(ref.path or "").stat().st_size
    except OSError:
        return -1


def _put(token: Path) -> None:
    try:
        token.parent.mkdir(parents=True, exist_ok=True)
        token.touch()
    except OSError as error:
        raise StorageError(
            f"{token.parent}: cannot be written to: {error.strerror or error}"
        ) from error


def _first_difference(name: str, there: Any, here: Any) -> tuple[str, str, str]:
    """Name and both values of the first thing that differs."""
    if isinstance(there, Mapping) and isinstance(here, Mapping):
        for key in [*here, *(key for key in there if key not in here)]:
            one, other = there.get(key, _MISSING), here.get(key, _MISSING)
            if one != other:
                return _first_difference(f"{name}.{key}" if name else str(key), one, other)
    there, here = (one if one is _MISSING else repr(one) for one in (there, here))
    return name, there, here
