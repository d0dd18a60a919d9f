"""Rows of a table that was written as one JSON document: by id, by column, or as pandas does."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from itertools import chain
from typing import Any

from vasari.data.stored_row import StoredRow

_COLUMNS = frozenset(("prediction", "response", "resps", "answer", "target"))
"""Names by which columns are told from ids."""

_IDS = frozenset(("id", "index", "pid", "question_id"))


def unfolded(rows: Iterator[StoredRow]) -> Iterator[StoredRow]:
    """Yield the rows of a JSON document, whichever way it was written.

    * a list of rows, and rows by their id (pandas' `orient="index"`), whose id is the key if the
      row has none;
    * cells or lists by column (pandas' default, and `to_dict("list")`);
    * names and lists of cells (pandas' `orient="split"`), and rows under `data` (`orient="table"`).

    Args:
        rows: Rows as `read_rows` yields them: entries of a mapping have `_key` and `_value`.
    """
    first = next(rows, None)
    if first is None:
        return
    if first.values is None:
        yield from chain([first], rows)
        return
    if "_key" not in first.values:
        yield from chain([first], rows)
        return
    named = {row.values["_key"]: row.values["_value"] for row in chain([first], rows) if row.values}
    for number, values in enumerate(_rows_of(named), start=1):
        yield StoredRow("", values, number=number)


def _rows_of(named: Mapping[str, Any]) -> list[dict[str, Any]]:
    names, data = named.get("columns"), named.get("data")
    if isinstance(data, list) and all(isinstance(row, dict) for row in data):
        return data
    if isinstance(data, list) and isinstance(names, list):
        return [dict(zip(map(str, names), row, strict=False)) for row in data]
    if all(isinstance(column, dict) for column in named.values()):
        if named.keys() & _COLUMNS:
            keys = dict.fromkeys(key for column in named.values() for key in column)
            return [{name: column.get(key) for name, column in named.items()} for key in keys]
        return [row if row.keys() & _IDS else {"id": key, **row} for key, row in named.items()]
    if named.keys() & _COLUMNS and all(isinstance(column, list) for column in named.values()):
        length = max(len(column) for column in named.values())
        return [
            {name: column[place] for name, column in named.items() if place < len(column)}
            for place in range(length)
        ]
    return [dict(named)]
