"""Read WikiTableQuestions (arXiv:1508.00305): TSV questions, and CSV tables drawn as images."""

from __future__ import annotations

import csv
import io
from collections.abc import Iterator
from pathlib import Path

from vasari.core.errors import DataError
from vasari.data.images import resolve_path
from vasari.data.sources.pictures import draw_table
from vasari.data.stored_row import StoredRow

MAX_TABLE_BYTES = 4 * 2**20

_COLUMNS = ("id", "utterance", "context", "targetValue")


def wikitable_rows(path: Path, folder: Path, shown: str) -> Iterator[StoredRow]:
    """Yield one row per question of a TSV file, with the question's table drawn as an image.

    It has `id`, `question`, `answer` (several joined by "; "), `num_answers`, `context` (its table)
    and `image`.

    Raises:
        DataError: The file lacks a column.
    """
    with path.open("rb") as file:
        header = file.readline(2**16).decode("utf-8-sig", "replace").rstrip("\r\n").split("\t")
        if not set(_COLUMNS) <= set(header):
            raise DataError(
                f"expected the columns {', '.join(_COLUMNS)}, found {', '.join(header)[:200]}"
            )
        for number, line in enumerate(file, start=2):
            where = f"{shown}:{number}"
            if not line.strip():
                continue
            try:
                cells = dict(zip(header, line.decode().rstrip("\r\n").split("\t"), strict=True))
                rows = _table(cells["context"], folder)
                picture = draw_table(rows)
            except (ValueError, csv.Error, OSError) as error:
                reason = (
                    error
                    if isinstance(error, DataError)
                    else f"not a readable question or table: {error}"
                )
                yield StoredRow(where, problem=str(reason))
                continue
            answers = [_unescaped(part) for part in cells["targetValue"].split("|")]
            yield StoredRow(
                where,
                {
                    "id": cells["id"],
                    "question": _unescaped(cells["utterance"]),
                    "answer": "; ".join(answers),
                    "num_answers": len(answers),
                    "context": cells["context"],
                    "image": {"bytes": picture, "path": cells["context"]},
                },
            )


def _table(context: str, folder: Path) -> list[list[str]]:
    """Return the cells of a CSV table, in which quotes are escaped with a backslash.

    Raises:
        DataError: The file is missing, too large, or outside the folder.
    """
    path = resolve_path(context, where="table", root=folder)
    if path.stat().st_size > MAX_TABLE_BYTES:
        raise DataError(f"the table {context} has more than {MAX_TABLE_BYTES:,} bytes")
    text = path.read_bytes().decode()
    return list(csv.reader(io.StringIO(text, newline=""), doublequote=False, escapechar="\\"))


def _unescaped(text: str) -> str:
    """Return a text with the data set's backslash escapes (line break, bar, backslash) undone."""
    out, place = [], 0
    while place < len(text):
        pair = text[place : place + 2]
        out.append({"\\n": "\n", "\\p": "|", "\\\\": "\\"}.get(pair, text[place]))
        place += 2 if pair in ("\\n", "\\p", "\\\\") else 1
    return "".join(out)
