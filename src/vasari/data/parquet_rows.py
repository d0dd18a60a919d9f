"""Read the rows of Parquet files: a value that cannot be read costs its row, a page its group."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

from vasari.core.errors import MissingExtraError
from vasari.data.opened import open_data
from vasari.data.stored_row import StoredRow

_BATCH = 64


def parquet_rows(path: Path, shown: str, columns: Sequence[str] | None) -> Iterator[StoredRow]:
    """Yield the rows of a Parquet file.

    Args:
        path: A regular file.
        shown: What messages call it.
        columns: Columns to read, as far as the file has them; None for all.

    Raises:
        DataError: There is no such file, or it may not be opened.
        MissingExtraError: pyarrow is not installed.
    """
    try:
        import pyarrow as pa  # noqa: PLC0415
        import pyarrow.parquet as pq  # noqa: PLC0415
    except ImportError as error:
        raise MissingExtraError(
            f"{shown}: reading Parquet needs pyarrow: pip install 'vasari[jobs]'"
        ) from error
    open_data(path, shown).close()
    # pyarrow raises any of these on damaged files, and on dates that Python cannot hold.
    damaged = (pa.ArrowException, OSError, ValueError, OverflowError, MemoryError)
    number = 0
    try:
        with pq.ParquetFile(path, page_checksum_verification=True) as file:
            sizes, asked = _checked(file, columns)
            for group, size in enumerate(sizes):
                start = number
                try:
                    for batch in file.iter_batches(_BATCH, row_groups=[group], columns=asked):
                        for values, problem in _rows(batch, damaged):
                            number += 1
                            yield StoredRow(
                                f"{shown}: row {number}",
                                values,
                                problem,
                                number,
                                number / max(1, sum(sizes)),
                            )
                except damaged as error:
                    yield StoredRow(
                        f"{shown}: rows {number + 1} to {start + size}",
                        problem=f"cannot be read as Parquet: {error}",
                        number=number + 1,
                    )
                number = start + size
    except damaged as error:
        yield StoredRow(
            f"{shown}: after row {number}",
            problem=f"cannot be read as Parquet: {error}",
            number=number,
        )


def _checked(file: Any, columns: Sequence[str] | None) -> tuple[list[int], list[str] | None]:
    """Return the numbers of rows of a file's groups, and the columns to read (None: all).

    Raises:
        ValueError: Its footer contradicts itself, or two columns have one name.
    """
    total = file.metadata.num_rows
    sizes = [file.metadata.row_group(group).num_rows for group in range(file.num_row_groups)]
    if sum(sizes) != total:
        raise ValueError(f"its footer counts {total} rows, its row groups {sum(sizes)}")
    present = file.schema_arrow.names
    twice = next((name for name in present if present.count(name) > 1), None)
    if twice is not None:
        raise ValueError(f"two columns are called {twice!r}")
    return sizes, None if columns is None else [name for name in present if name in columns]


def _rows(
    batch: Any, damaged: tuple[type[BaseException], ...]
) -> list[tuple[dict[str, Any] | None, str]]:
    """Return the values of each row of a batch, or None and the problem."""
    try:
        return [(row, "") for row in batch.to_pylist()]
    except damaged:
        return [_row(batch.slice(place, 1), damaged) for place in range(len(batch))]


def _row(batch: Any, damaged: tuple[type[BaseException], ...]) -> tuple[dict[str, Any] | None, str]:
    values = {}
    for name in batch.schema.names:
        try:
            values[name] = batch.column(name)[0].as_py()
        except UnicodeDecodeError:
            return None, f"the column {name!r} is not valid UTF-8"
        except damaged as error:
            return None, f"the column {name!r} cannot be read: {error}"
    return values, ""
