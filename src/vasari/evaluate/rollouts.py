"""Rollouts with verdicts on a training run's own test sets: one Parquet file per model."""

from __future__ import annotations

import json
import shutil
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from itertools import islice
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq

from vasari.core.errors import DataError, StateError, StorageError
from vasari.core.files import writing
from vasari.core.progress import Tell, silent
from vasari.evaluate.collect import Entry, Pass, collect
from vasari.evaluate.outputs import output_rows
from vasari.evaluate.protocols import AS_IN_TRAINING, StoredOutput
from vasari.model.base import Policy

ROLLOUT_SCHEMA = pa.schema(
    [
        ("pass_key", pa.string()),
        ("set", pa.string()),
        ("decoding", pa.string()),
        ("prompt_id", pa.string()),
        ("prompt_digest", pa.string()),
        ("category", pa.string()),
        ("difficulty", pa.string()),
        ("texts", pa.list_(pa.string())),
        ("verdicts", pa.list_(pa.float64())),
        ("decided_by", pa.list_(pa.string())),
        ("extractions", pa.list_(pa.string())),
        ("num_tokens", pa.list_(pa.int64())),
        ("truncated", pa.list_(pa.bool_())),
    ]
)
"""One row per prompt of a set and decoding; verdicts are 1, 0, or nan for an unverifiable
rollout."""

_SCHEMA_VERSION = "1"

Row = Mapping[str, Any]
"""A row of `ROLLOUT_SCHEMA`."""


@dataclass(frozen=True, slots=True)
class PassRows:
    """Rollouts with verdicts on one prompt set with one decoding, and the seconds they took."""

    rows: list[Row]
    """[prompts] in the order of the prompts."""
    seconds: float
    """Time that generating and judging took, earlier attempts included."""


def judged_rollouts(
    policy: Policy,
    plan: Sequence[Pass],
    *,
    name: str,
    out: Path,
    fingerprint: str,
    tell: Tell = silent,
) -> list[PassRows]:
    """Return rollouts with verdicts for each `Pass`, and write all to `out/NAME-rollouts.parquet`.

    A pass that the file holds is read. Outputs of unfinished passes lie in the folder
    `out/NAME-rollouts-parts`, which is removed once all is done.

    Args:
        policy: Generates what is not there yet.
        plan: The passes that are wanted; all entries of a pass have the same key.
        name: Name of the model.
        out: Folder of the results.
        fingerprint: Digest of the model; without one nothing is reused.
        tell: Called with the rollouts done and their total.

    Raises:
        DataError: The policy gave another number of groups or rollouts than it was asked for.
        StateError: A server left rollouts without an answer.
        StorageError: The disk refused.
    """
    path, parts = out / f"{name}-rollouts.parquet", out / f"{name}-rollouts-parts"
    if not fingerprint:
        shutil.rmtree(parts, ignore_errors=True)
    kept = _read_passes(path) if fingerprint else {}
    todo = [item for item in plan if item.keys[0] not in kept]
    total = sum(item.num_rollouts for item in plan)
    before = total - sum(item.num_rollouts for item in todo)
    collected = collect(
        policy,
        todo,
        lambda item: _part_file(parts, item),
        model=name,
        timed=True,
        tell=lambda done, _total, note="": tell(before + done, total, note),
    )
    if collected.failures:
        raise StateError(
            f"{len(collected.failures)} rollouts have no answer, the first because of"
            f" {collected.failures[0]['reason']}; what came is kept, run the same again for more"
        )
    results = [kept.get(item.keys[0]) or _judged(item, _part_file(parts, item)) for item in plan]
    if set(kept) != {item.keys[0] for item in plan}:
        _write_rows(path, plan, results, fingerprint)
    shutil.rmtree(parts, ignore_errors=True)
    tell(total, total)
    return results


def read_rollouts(path: Path, columns: Sequence[str] | None = None) -> list[Row]:
    """Return the rows of an evaluation's rollouts file, with all columns or only `columns`.

    Raises:
        DataError: The file is missing, or is no rollouts file.
    """
    try:
        table = pq.read_table(path, columns=list(columns) if columns else None)
    except FileNotFoundError as error:
        raise DataError(f"{path}: there is no such file") from error
    except (pa.ArrowException, OSError) as error:
        raise DataError(f"{path}: cannot be read as rollouts of an evaluation: {error}") from error
    expected = set(columns or ROLLOUT_SCHEMA.names)
    if missing := expected - set(table.column_names):
        raise DataError(
            f"{path}: is no rollouts file of an evaluation, it lacks {', '.join(sorted(missing))}"
        )
    rows: list[Row] = table.to_pylist()
    return rows


def _part_file(parts: Path, item: Pass) -> Path:
    return parts / f"{item.keys[0]}.jsonl"


def _judged(item: Pass, path: Path) -> PassRows:
    started, outputs = time.monotonic(), output_rows(path)
    rows, seconds = [], 0.0
    for entry in item.entries:
        group = list(islice(outputs, item.decoding.num_rollouts))
        rows.append(_row(item, entry, group))
        seconds += sum(float(output.get("seconds", 0.0)) for output in group)
    return PassRows(rows, seconds + time.monotonic() - started)


def _row(item: Pass, entry: Entry, group: Sequence[Mapping[str, Any]]) -> Row:
    prompt = entry.prompt
    verdicts = [
        AS_IN_TRAINING.verdict(
            StoredOutput(
                benchmark=item.set_name,
                id=prompt.id,
                response=output["response"],
                answer=prompt.answer,
                choices=prompt.choices,
                kind=prompt.kind,
            )
        )
        for output in group
    ]
    return {
        "pass_key": item.keys[0],
        "set": item.set_name,
        "decoding": item.name,
        "prompt_id": prompt.id,
        "prompt_digest": entry.digest,
        "category": prompt.category,
        "difficulty": prompt.difficulty,
        "texts": [_storable(output["response"]) for output in group],
        "verdicts": [verdict.value for verdict in verdicts],
        "decided_by": [verdict.decided_by for verdict in verdicts],
        "extractions": [
            None if verdict.extraction is None else _storable(verdict.extraction)
            for verdict in verdicts
        ],
        "num_tokens": [output["num_tokens"] for output in group],
        "truncated": [output["truncated"] for output in group],
    }


def _write_rows(
    path: Path, plan: Sequence[Pass], results: Sequence[PassRows], fingerprint: str
) -> None:
    facts = {
        item.keys[0]: {
            "set": item.set_name,
            "name": item.name,
            "decoding": item.described,
            "seconds": result.seconds,
            "fingerprint": fingerprint,
            "seed": item.seed,
        }
        for item, result in zip(plan, results, strict=True)
    }
    schema = ROLLOUT_SCHEMA.with_metadata(
        {"vasari_schema": _SCHEMA_VERSION, "vasari_passes": json.dumps(facts)}
    )
    rows = [dict(row) for result in results for row in result.rows]
    with writing(path) as file:
        pq.write_table(pa.Table.from_pylist(rows, schema=schema), file, compression="zstd")


def _read_passes(path: Path) -> dict[str, PassRows]:
    """Return the passes of a file by key; none when it is missing, damaged or of another schema."""
    try:
        table = pq.read_table(path)
    except (FileNotFoundError, pa.ArrowException):
        return {}
    except OSError as error:
        raise StorageError(f"{path}: cannot be read: {error.strerror or error}") from error
    facts = table.schema.metadata or {}
    if (
        facts.get(b"vasari_schema") != _SCHEMA_VERSION.encode()
        or table.column_names != ROLLOUT_SCHEMA.names
    ):
        return {}
    rows: dict[str, list[Row]] = {}
    for row in table.to_pylist():
        rows.setdefault(row["pass_key"], []).append(row)
    passes = json.loads(facts[b"vasari_passes"])
    return {key: PassRows(found, float(passes[key]["seconds"])) for key, found in rows.items()}


def _storable(text: str) -> str:
    """Return the text with lone surrogates as question marks: Parquet refuses them."""
    return text.encode(errors="replace").decode()
