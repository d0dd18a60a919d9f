"""Scores of prompts to a file: JSON lines, CSV or Parquet by its ending, whole or not at all."""

from __future__ import annotations

import csv
import json
import math
import os
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import IO, Any

from vasari.core.errors import ConfigError, MissingExtraError, StorageError

ENDINGS = (".jsonl", ".csv", ".parquet")

Row = Mapping[str, str | int | float]
"""One prompt; nan where a number is unknown."""


def check_output(path: Path, *, overwrite: bool) -> None:
    """Refuse a file that cannot be written, before anything is computed.

    Raises:
        ConfigError: It has another ending, or exists and `overwrite` is False.
        MissingExtraError: It is Parquet, and pyarrow is not installed.
    """
    if path.suffix not in ENDINGS:
        raise ConfigError(
            f"{path}: scores are written as {', '.join(ENDINGS)}; choose another --out"
        )
    if path.is_dir() or (path.exists() and not overwrite):
        raise ConfigError(f"{path}: exists; choose another --out, or replace it with --overwrite")
    if path.suffix == ".parquet":
        try:
            import pyarrow.parquet  # noqa: F401, PLC0415
        except ImportError as error:
            raise MissingExtraError(
                f"{path}: writing Parquet needs pyarrow: pip install 'vasari[jobs]'"
            ) from error


def write_scores(path: Path, rows: Sequence[Row]) -> None:
    """Write scores; an unknown number is null in JSON lines and Parquet, and empty in CSV.

    Raises:
        StorageError: The disk refused; what stood at `path` is unharmed.
    """
    plain = [
        {
            key: None if isinstance(value, float) and math.isnan(value) else value
            for key, value in row.items()
        }
        for row in rows
    ]
    staging = path.with_name(path.name + ".writing")
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        with staging.open("wb") as file:
            _WRITERS[path.suffix](file, plain)
            file.flush()
            os.fsync(file.fileno())
        staging.replace(path)
    except OSError as error:
        staging.unlink(missing_ok=True)
        raise StorageError(f"{path}: could not be written: {error.strerror or error}") from error


def _write_json_lines(file: IO[bytes], rows: Sequence[Mapping[str, Any]]) -> None:
    for row in rows:
        file.write(json.dumps(row, allow_nan=False).encode() + b"\n")


class _Encoded:
    """Text for a binary file, so that the caller can flush it to the disk."""

    def __init__(self, file: IO[bytes]) -> None:
        self._file = file

    def write(self, text: str) -> int:
        return self._file.write(text.encode(errors="replace"))


def _write_csv(file: IO[bytes], rows: Sequence[Mapping[str, Any]]) -> None:
    writer = csv.DictWriter(_Encoded(file), fieldnames=list(rows[0]), lineterminator="\n")
    writer.writeheader()
    writer.writerows(rows)


def _write_parquet(file: IO[bytes], rows: Sequence[Mapping[str, Any]]) -> None:
    import pyarrow as pa  # noqa: PLC0415
    import pyarrow.parquet as pq  # noqa: PLC0415

    types = {"prompt_id": pa.string(), "set": pa.string(), "decoding": pa.string()}
    types |= dict.fromkeys(("num_rollouts", "num_unverifiable"), pa.int64())
    schema = pa.schema(
        [(name, types.get(name, pa.float64())) for name in rows[0]], metadata={"vasari_schema": "1"}
    )
    pq.write_table(pa.Table.from_pylist(list(rows), schema=schema), file, compression="zstd")


_WRITERS = {".jsonl": _write_json_lines, ".csv": _write_csv, ".parquet": _write_parquet}
