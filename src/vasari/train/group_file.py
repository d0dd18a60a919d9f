"""Storage of rollout groups: one Parquet file per batch, one row per group."""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq

from vasari.core.errors import DataError
from vasari.core.files import writing
from vasari.train.groups import ScoredGroup

GROUP_SCHEMA = pa.schema(
    [
        ("batch", pa.int64()),
        ("step", pa.int64()),
        ("prompt_index", pa.int64()),
        ("prompt_id", pa.string()),
        ("purpose", pa.string()),
        ("role", pa.string()),
        ("rewards", pa.list_(pa.float64())),
        ("reward_terms", pa.map_(pa.string(), pa.list_(pa.float64()))),
        ("verdicts", pa.list_(pa.float64())),
        ("decided_by", pa.list_(pa.string())),
        ("extractions", pa.list_(pa.string())),
        ("confidence", pa.list_(pa.float64())),
        ("num_tokens", pa.list_(pa.int64())),
        ("truncated", pa.list_(pa.bool_())),
        ("score", pa.float64()),
        ("texts", pa.list_(pa.string())),
    ],
    metadata={"vasari_schema": "2"},
)
"""Columns of a group file, one row per group. `texts` is null where texts are not kept.

`reward_terms` maps the name of each reward term to its weighted value of each rollout, nan or null
where the term does not apply. Schema 1, of 0.1.0, had the columns `accuracy_rewards` and
`format_rewards` in its place, and called the purpose `screen` and the role `revisit` both `probe`;
`read_groups` reads both.
"""

MAX_STORED_CHARACTERS = 20_000
"""Number of characters after which the stored text of a rollout is cut."""

_TERMS_OF_SCHEMA_1 = {"accuracy": "accuracy_rewards", "format": "format_rewards"}
_RENAMED_SINCE_SCHEMA_1 = {"purpose": "screen", "role": "revisit"}
"""What `probe` became in these columns."""


class GroupLog:
    """Callable for `LoopOptions.record` that writes each batch's rollout groups to Parquet."""

    def __init__(
        self,
        folder: Path,
        prompt_ids: Sequence[str],
        *,
        updates_per_batch: int = 1,
        keep_texts: bool = True,
    ) -> None:
        """Make a log that writes its files into `folder`.

        Args:
            folder: Of the training run; see `RunDir.groups`.
            prompt_ids: One id a prompt of the pool.
            updates_per_batch: Optimizer steps a batch, from which the column `step` follows.
            keep_texts: Keep the texts of rollouts.
        """
        self.folder = folder
        self._prompt_ids = prompt_ids
        self._updates_per_batch = updates_per_batch
        self._keep_texts = keep_texts

    def __call__(self, groups: Sequence[ScoredGroup], batch: int) -> None:
        """Write a file with the groups of a batch, or with its refresh (sampler-only) rollouts."""
        rows = [self._row(group, batch) for group in groups]
        write_groups(
            self.folder, batch, "refresh" if groups[0].purpose == "refresh" else "train", rows
        )

    def _row(self, group: ScoredGroup, batch: int) -> Mapping[str, Any]:
        rollouts = group.rollouts
        index = rollouts[0].index
        terms = {
            name: [rollout.reward.breakdown[name] for rollout in rollouts]
            for name in rollouts[0].reward.breakdown
        }
        return {
            "batch": batch,
            "step": batch * self._updates_per_batch,
            "prompt_index": index,
            "prompt_id": self._prompt_ids[index],
            "purpose": group.purpose,
            "role": group.role,
            "rewards": [r.reward.total for r in rollouts],
            "reward_terms": terms,
            "verdicts": [r.verdict.value for r in rollouts],
            "decided_by": [r.verdict.decided_by for r in rollouts],
            "extractions": [r.answer for r in rollouts],
            "confidence": [math.nan if r.confidence is None else r.confidence for r in rollouts],
            "num_tokens": [len(r.token_ids) for r in rollouts],
            "truncated": [r.truncated for r in rollouts],
            "score": group.score,
            "texts": [r.text[:MAX_STORED_CHARACTERS] for r in rollouts]
            if self._keep_texts
            else None,
        }


def write_groups(folder: Path, batch: int, purpose: str, rows: Iterable[Mapping[str, Any]]) -> Path:
    """Write a batch's rollout groups (or its sampler-only rollouts) to Parquet; return the path.

    Args:
        folder: Of the training run; see `RunDir.groups`.
        batch: Counted from 0.
        purpose: What the file is named after: `refresh`, or `train` for a batch with all that its
            gate left out.
        rows: By the columns of `GROUP_SCHEMA`; `reward_terms` as a mapping, a column that is
            missing is null.

    Raises:
        DataError: A row has a column that the schema does not have.
        StorageError: The disk refused.
    """
    content = [_writable(row) for row in rows]
    path = folder / f"{batch:06d}-{purpose}.parquet"
    with writing(path) as file:
        pq.write_table(pa.Table.from_pylist(content, schema=GROUP_SCHEMA), file, compression="zstd")
    return path


def read_groups(folder: Path, columns: Sequence[str] | None = None) -> pa.Table:
    """Return the stored groups of a training run as a table in batch order; empty if none.

    Files that 0.1.0 wrote are read too, beside newer ones, and come under today's names.

    Args:
        folder: Of the training run; see `RunDir.groups`.
        columns: Those of `GROUP_SCHEMA` to read, in this order; None for all.

    Raises:
        DataError: A file has a schema that this version does not know.
    """
    schema = pa.schema(
        [GROUP_SCHEMA.field(name) for name in columns or GROUP_SCHEMA.names], GROUP_SCHEMA.metadata
    )
    files = sorted(folder.glob("*.parquet"))
    return (
        pa.concat_tables([_read_group_file(file, schema) for file in files])
        if files
        else schema.empty_table()
    )


def _writable(row: Mapping[str, Any]) -> dict[str, Any]:
    unknown = sorted(set(row) - set(GROUP_SCHEMA.names))
    if unknown:
        raise DataError(
            f"a stored group has no column {', '.join(map(repr, unknown))}; it has"
            f" {', '.join(GROUP_SCHEMA.names)}"
        )
    terms = row.get("reward_terms")
    return {**row, "reward_terms": list(terms.items()) if isinstance(terms, Mapping) else terms}


def _read_group_file(file: Path, schema: pa.Schema) -> pa.Table:
    with pq.ParquetFile(file) as opened:
        written = (opened.schema_arrow.metadata or {}).get(b"vasari_schema", b"2")
        if written not in (b"1", b"2"):
            raise DataError(
                f"{file}: stored groups of schema {written.decode()!r}, and this vasari reads up to"
                " 2; update it"
            )
        if written == b"2":
            return opened.read(schema.names).select(schema.names).cast(schema)
        stored = [part for name in schema.names for part in _columns_of_schema_1(name)]
        table = opened.read(stored)
    return pa.Table.from_arrays(
        [_from_schema_1(table, name) for name in schema.names], schema=schema
    )


def _columns_of_schema_1(name: str) -> list[str]:
    return list(_TERMS_OF_SCHEMA_1.values()) if name == "reward_terms" else [name]


def _from_schema_1(table: pa.Table, name: str) -> pa.Array:
    """A column of today's schema from a table of schema 1."""
    if name == "reward_terms":
        num, terms = len(table), list(_TERMS_OF_SCHEMA_1)
        values = pa.concat_arrays(
            [table[column].combine_chunks() for column in _TERMS_OF_SCHEMA_1.values()]
        )
        # A map holds one row's entries after another; the columns hold one term's rows after
        # another.
        by_row = pa.array(np.arange(len(terms) * num).reshape(len(terms), num).T.ravel())
        offsets = pa.array(range(0, len(terms) * num + 1, len(terms)), type=pa.int32())
        return pa.MapArray.from_arrays(
            offsets, pa.array(terms * num, type=pa.string()), values.take(by_row)
        )
    column = table[name].combine_chunks()
    if name in _RENAMED_SINCE_SCHEMA_1:
        return pc.if_else(pc.equal(column, "probe"), _RENAMED_SINCE_SCHEMA_1[name], column)
    return column


def drop_groups_from(folder: Path, batch: int) -> int:
    """Delete the stored groups of batches from `batch` on; return how many rollouts they had."""
    repeated = 0
    for file in sorted(folder.glob("*.parquet")):
        if int(file.name[:6]) >= batch:
            repeated += sum(
                len(row) for row in pq.read_table(file, columns=["rewards"])["rewards"].to_pylist()
            )
            file.unlink()
    return repeated
