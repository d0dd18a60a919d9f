"""Finished cells (training runs) in files small enough to be committed: one per pool."""

from __future__ import annotations

import gzip
import json
from pathlib import Path
from typing import Any

from sample_efficiency.study import CURVE_FILE, MAY_DIFFER, key_of
from vasari.core.errors import DataError, StateError
from vasari.core.files import read_json, write_json

_SUFFIX = ".jsonl.gz"


def export_cells(out: Path, folder: Path) -> str:
    """Pack the finished cells of `out` into `folder`, one file per pool, and say what was packed.

    Cells that the files hold already stay. The same cells give the same bytes.

    Raises:
        StateError: A file holds another result of a cell with the same settings.
    """
    rows = _read(folder)
    num_new = 0
    for path in sorted((out / "cells").glob(f"*/*/*/{CURVE_FILE}")):
        task = {
            k: v for k, v in read_json(path.parent / "task.json").items() if k not in MAY_DIFFER
        }
        row = {"key": key_of(task), "task": task, "curve": read_json(path)}
        old = rows.setdefault(row["key"], row)
        if old["curve"] != row["curve"]:
            raise StateError(
                f"{folder}: holds another result of the cell {path.parent}; move its file away if"
                " the new one shall stand"
            )
        num_new += old is row
    by_pool: dict[str, list[dict[str, Any]]] = {}
    for row in rows.values():
        by_pool.setdefault(row["task"]["pool"], []).append(row)
    folder.mkdir(parents=True, exist_ok=True)
    size = 0
    for pool, own in sorted(by_pool.items()):
        own.sort(key=lambda row: (row["task"]["arm"], row["task"]["seed"], row["key"]))
        lines = "".join(
            json.dumps(row, separators=(",", ":"), sort_keys=True) + "\n" for row in own
        )
        packed = gzip.compress(lines.encode(), mtime=0)
        (folder / f"{pool}{_SUFFIX}").write_bytes(packed)
        size += len(packed)
    return f"{num_new} new of {len(rows)} cells, {size / 1024:,.0f} KiB in {folder}"


def import_cells(folder: Path, out: Path) -> str:
    """Unpack the cells of `folder` into `out`, where finished ones stay, and say how many.

    Raises:
        DataError: A row's settings are not those of its key.
    """
    rows = _read(folder)
    num_new = 0
    for row in rows.values():
        task = row["task"]
        name = f"cold{task['cold_start']}-seed{task['seed']}"
        cell = out / "cells" / task["pool"] / task["arm"] / name
        if (cell / CURVE_FILE).exists():
            continue
        cell.mkdir(parents=True, exist_ok=True)
        # Where the cold start and its prompts lay is not packed, and not compared.
        write_json(cell / "task.json", task | dict.fromkeys(MAY_DIFFER, ""))
        write_json(cell / CURVE_FILE, row["curve"])
        num_new += 1
    return f"{num_new} of {len(rows)} cells unpacked into {out}"


def _read(folder: Path) -> dict[str, dict[str, Any]]:
    """Return all packed rows by key."""
    rows: dict[str, dict[str, Any]] = {}
    for path in sorted(folder.glob(f"*{_SUFFIX}")):
        for number, line in enumerate(gzip.decompress(path.read_bytes()).splitlines(), start=1):
            row = json.loads(line)
            if key_of(row["task"]) != row["key"]:
                raise DataError(
                    f"{path}:{number}: the settings are not those of key {row['key']!r}; the file"
                    " was changed by hand"
                )
            rows[row["key"]] = row
    return rows
