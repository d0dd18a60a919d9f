"""A run's folder on disk: where everything lies, and writing that survives a crash."""

from __future__ import annotations

import json
import os
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq

from vasari.errors import StorageError

GROUP_SCHEMA = pa.schema(
    [
        ("batch", pa.int64()),
        ("step", pa.int64()),
        ("prompt_index", pa.int64()),
        ("prompt_id", pa.string()),
        ("purpose", pa.string()),
        ("role", pa.string()),
        ("rewards", pa.list_(pa.float64())),
        ("accuracy_rewards", pa.list_(pa.float64())),
        ("format_rewards", pa.list_(pa.float64())),
        ("verdicts", pa.list_(pa.float64())),
        ("decided_by", pa.list_(pa.string())),
        ("extractions", pa.list_(pa.string())),
        ("confidence", pa.list_(pa.float64())),
        ("num_tokens", pa.list_(pa.int64())),
        ("truncated", pa.list_(pa.bool_())),
        ("score", pa.float64()),
        ("texts", pa.list_(pa.string())),
    ],
    metadata={"vasari_schema": "1"},
)
"""One row a group: what was drawn, why, what came of it. `texts` is null where a cap left them out."""


@dataclass(frozen=True, slots=True)
class RunDir:
    """The places in a run's folder."""

    root: Path

    @property
    def settings(self) -> Path:
        """The full resolved recipe, with seeds and versions."""
        return self.root / "settings.json"

    @property
    def prompts(self) -> Path:
        """Prompt files: `train.parquet`, `validation.parquet`, `test.parquet`, ..."""
        return self.root / "prompts"

    @property
    def cold_start(self) -> Path:
        """Supervised training: checkpoints, metrics, and the weights in `model`."""
        return self.root / "cold_start"

    def rl(self, arm: str) -> Path:
        """Reinforcement training with one sampler: checkpoints, metrics, `best` and `last`."""
        return self.root / "rl" / arm

    def groups(self, arm: str) -> Path:
        """Every group of an arm, one Parquet file a batch."""
        return self.rl(arm) / "groups"

    @property
    def evaluation(self) -> Path:
        """Results by model: `cold_start.json`, ... and their rollouts."""
        return self.root / "evaluation"

    @property
    def stages(self) -> Path:
        """What each finished stage took and gave, a JSON file a stage."""
        return self.root / "stages"

    @property
    def summary(self) -> Path:
        """The run in numbers."""
        return self.root / "summary.json"

    @property
    def report(self) -> Path:
        """The run as a page."""
        return self.root / "report.html"


def write_json(path: Path, content: Mapping[str, Any] | Sequence[Any]) -> None:
    """Write JSON so that the file is either the old one or the new one."""
    write_bytes(path, (json.dumps(content, indent=1, allow_nan=False, default=_plain) + "\n").encode())


def read_json(path: Path) -> Any:
    """What a JSON file holds."""
    return json.loads(path.read_text())


def write_bytes(path: Path, content: bytes) -> None:
    """Write a file under a temporary name and rename it.

    Raises:
        StorageError: The disk refused; a file that was there before is unharmed.
    """
    staging = path.with_name(path.name + ".writing")
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        with staging.open("wb") as file:
            file.write(content)
            file.flush()
            os.fsync(file.fileno())
        staging.replace(path)
    except OSError as error:
        staging.unlink(missing_ok=True)
        raise StorageError(f"{path}: could not be written: {error.strerror or error}") from error


def write_groups(folder: Path, batch: int, purpose: str, rows: Iterable[Mapping[str, Any]]) -> Path:
    """Write the groups of one batch (or of the refresh before it) as one Parquet file."""
    path = folder / f"{batch:06d}-{purpose}.parquet"
    sink = pa.BufferOutputStream()
    pq.write_table(pa.Table.from_pylist([dict(row) for row in rows], schema=GROUP_SCHEMA), sink, compression="zstd")
    write_bytes(path, sink.getvalue().to_pybytes())
    return path


def read_groups(folder: Path, columns: Sequence[str] | None = None) -> pa.Table:
    """All groups of an arm in the order of their batches; an empty table when there are none."""
    files = sorted(folder.glob("*.parquet"))
    if not files:
        return GROUP_SCHEMA.empty_table() if columns is None else GROUP_SCHEMA.empty_table().select(list(columns))
    return pa.concat_tables([pq.read_table(file, columns=list(columns) if columns else None) for file in files])


def drop_groups_from(folder: Path, batch: int) -> int:
    """Remove the groups of this batch and later ones, which a resumed run draws again; returns their rollouts."""
    repeated = 0
    for file in sorted(folder.glob("*.parquet")):
        if int(file.name[:6]) >= batch:
            repeated += sum(len(row) for row in pq.read_table(file, columns=["rewards"])["rewards"].to_pylist())
            file.unlink()
    return repeated


def _plain(value: Any) -> Any:
    if hasattr(value, "tolist"):
        return value.tolist()
    if isinstance(value, Path):
        return str(value)
    raise TypeError(f"{type(value).__name__} is not JSON")
