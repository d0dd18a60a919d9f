"""Read the values of a row by the column names that a data set's description uses.

`qid` is a column, `metadata.subject` one within another, `turns.0.text` the first of a list.
`images/{pid}.png` is a text with columns filled in, `{id:012d}` with leading zeros, `{url|name}`
with the last part of a path and `{url|stem}` without its suffix; a list filled in gives a list.
`=Which?` is a text as it stands.

Every row also has `_key` (its name, where rows are a mapping), `_value` (what it is, there or where
it is not a mapping), `_outer` (the row around it, under `each`), `_row` (its number, from 1),
`_file`, `_dir` (its file and the folder of that, relative to the data set's) and `_split`.
"""

from __future__ import annotations

import math
import re
from collections.abc import Iterable, Mapping
from pathlib import PurePosixPath
from typing import Any

_SLOT = re.compile(r"\{([^{}|:]+)(?:\|(name|stem))?(?::0(\d{1,2})d)?\}")


def first_value(row: Mapping[str, Any], columns: Iterable[str]) -> Any:
    """Return the first non-empty value among the given columns of a row; None if all are empty."""
    values = (column_value(row, column) for column in columns)
    return next((value for value in values if not is_empty(value)), None)


def is_empty(value: Any) -> bool:
    """Whether a value is null, nan, or an empty text, list or mapping."""
    return (
        value is None
        or (isinstance(value, float) and math.isnan(value))
        or (isinstance(value, str | list | dict) and not value)
    )


def column_value(row: Mapping[str, Any], column: str) -> Any:
    """Return a row's value at a path ("turns.0.text") or template ("{id}.png"); None if missing."""
    if column.startswith("="):
        return column[1:]
    if "{" not in column:
        return _descend(row, column)
    slots = [
        (match.group(0), _filled(_descend(row, match.group(1)), match))
        for match in _SLOT.finditer(column)
    ]
    if any(value is None for _, value in slots):
        return None
    texts = [column]
    for slot, value in slots:
        options = value if isinstance(value, list) else [value]
        texts = [
            text.replace(slot, option, 1)
            for text in texts
            for option in options
            if isinstance(option, str)
        ]
    return texts if any(isinstance(value, list) for _, value in slots) else texts[0]


def _descend(row: Any, path: str) -> Any:
    """Return the value at a dotted path; a column whose whole name is the path comes first."""
    if isinstance(row, Mapping) and path in row:
        return row[path]
    head, _, rest = path.partition(".")
    if isinstance(row, Mapping):
        inner = row.get(head)
    elif isinstance(row, list) and head.isdecimal():
        inner = row[int(head)] if int(head) < len(row) else None
    else:
        return None
    return _descend(inner, rest) if rest else inner


def _filled(value: Any, match: re.Match[str]) -> str | list[str] | None:
    if isinstance(value, list):
        parts = [_filled(part, match) for part in value if not isinstance(part, list)]
        return [part for part in parts if isinstance(part, str)]
    if isinstance(value, bool) or not isinstance(value, str | int):
        return None
    text, change, digits = str(value), match.group(2), match.group(3)
    if digits:
        text = text.zfill(int(digits))
    if change:
        path = PurePosixPath(text.split("?")[0])
        text = path.name if change == "name" else path.stem
    return text
