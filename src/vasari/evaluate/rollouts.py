"""Rollouts of an evaluation, judged and kept on disk part by part: a killed evaluation pays for
nothing twice.
"""

from __future__ import annotations

import hashlib
import json
import shutil
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

import pyarrow as pa
import pyarrow.parquet as pq

from vasari.core.errors import DataError, StorageError
from vasari.core.files import writing
from vasari.core.progress import Tell, silent
from vasari.core.records import Prompt, Rollout
from vasari.data.images import read_image_bytes
from vasari.model.base import Decoding, Policy
from vasari.verify import verify_answer

DecodingName = Literal["sampled", "greedy", "blind"]

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
"""One row a prompt of a set under one decoding; verdicts are 1, 0, or nan for an unverifiable
rollout."""

_SCHEMA_VERSION = "1"

Row = Mapping[str, Any]
"""A row of `ROLLOUT_SCHEMA`."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Pass:
    """One pass over a set of prompts under one decoding."""

    set_name: str
    decoding_name: DecodingName
    decoding: Decoding
    prompts: Sequence[Prompt]
    digests: Sequence[str]
    """[prompts] of their content, by `prompt_digest`."""
    fingerprint: str
    """Of the model."""
    seed: int
    rollouts_per_part: int

    @property
    def key(self) -> str:
        """Hex digest of all that the rollouts depend on: model, decoding, seed, prompts and their
        order.
        """
        what = {
            "model": self.fingerprint,
            "set": self.set_name,
            "name": self.decoding_name,
            "decoding": self.described,
            "seed": self.seed,
            "part": self.rollouts_per_part,
            "prompts": list(self.digests),
        }
        return _hex(json.dumps(what, sort_keys=True).encode())

    @property
    def described(self) -> dict[str, Any]:
        """The decoding as it stands beside every accuracy."""
        # The batch is how rollouts are computed, not what is measured: it may shrink when memory
        # runs out.
        return self.decoding.model_dump(exclude={"batch_rollouts"})

    @property
    def label(self) -> str:
        """Set and decoding, for a person to read."""
        return f"{self.set_name}, {self.decoding_name}"

    @property
    def num_rollouts(self) -> int:
        """Rollouts of the whole pass."""
        return len(self.prompts) * self.decoding.num_rollouts

    @property
    def prompts_per_part(self) -> int:
        """Prompts whose rollouts are saved together."""
        return max(1, self.rollouts_per_part // self.decoding.num_rollouts)


@dataclass(frozen=True, slots=True)
class PassRows:
    """What came of a pass."""

    rows: list[Row]
    """[prompts] in the order of the prompts."""
    seconds: float
    """Time that generating and judging took, earlier attempts included."""


def prompt_digest(prompt: Prompt) -> str:
    """Hex digest of what a prompt asks and what counts as right: id, question, options, answer,
    kind and image bytes.

    Raises:
        ImageError: An image cannot be read.
    """
    images = [_hex(read_image_bytes(ref, where=f"prompt {prompt.id!r}")) for ref in prompt.images]
    what = [prompt.id, prompt.question, prompt.answer, prompt.choices, prompt.kind, images]
    return _hex(json.dumps(what).encode())


def collect_rollouts(
    policy: Policy, passes: Sequence[Pass], *, path: Path, reuse: bool = True, tell: Tell = silent
) -> list[PassRows]:
    """The judged rollouts of each pass, read from disk as far as they are there and generated where
    they are not.

    Finished rollouts lie in `path`; parts of unfinished ones in a folder beside it, which goes once
    all is done.

    Args:
        policy: Answers what is not there yet.
        passes: What is asked for.
        path: Ends in ".parquet".
        reuse: False generates everything anew.
        tell: Told the rollouts done and their total.

    Raises:
        DataError: The policy gave another number of groups or rollouts than it was asked for.
        StorageError: The disk refused.
    """
    parts = path.with_name(f"{path.stem}-parts")
    if not reuse:
        shutil.rmtree(parts, ignore_errors=True)
    kept = _read_passes(path) if reuse else {}
    whole = sum(item.num_rollouts for item in passes)
    results: list[PassRows] = []
    done = 0
    for item in passes:
        results.append(
            kept.get(item.key) or _run_pass(policy, item, parts, tell, before=done, whole=whole)
        )
        done += item.num_rollouts
        tell(done, whole, item.label)
    if set(kept) != {item.key for item in passes}:
        _write_rows(path, passes, results)
    shutil.rmtree(parts, ignore_errors=True)
    return results


def read_rollouts(path: Path, columns: Sequence[str] | None = None) -> list[Row]:
    """The rows of a rollouts file.

    Raises:
        DataError: There is none, or it is no rollouts file.
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


def _part_of(tell: Tell, *, before: int, rollouts: int, whole: int, label: str) -> Tell:
    """Progress of one part, in whatever unit, as progress of the whole in rollouts."""

    def shifted(done: int, total: int, note: str = "") -> None:
        tell(before + rollouts * done // max(1, total), whole, note or label)

    return shifted


def _run_pass(
    policy: Policy, item: Pass, parts: Path, tell: Tell, *, before: int, whole: int
) -> PassRows:
    rows: list[Row] = []
    seconds = 0.0
    for start in range(0, len(item.prompts), item.prompts_per_part):
        path = parts / f"{item.key}-{start:08d}.parquet"
        part = _read_passes(path).get(item.key)
        if part is None:
            rollouts = (
                len(item.prompts[start : start + item.prompts_per_part])
                * item.decoding.num_rollouts
            )
            done = before + start * item.decoding.num_rollouts
            part = _generate(
                policy,
                item,
                start,
                _part_of(tell, before=done, rollouts=rollouts, whole=whole, label=item.label),
            )
            _write_rows(path, [item], [part])
        rows += part.rows
        seconds += part.seconds
    return PassRows(rows, seconds)


def _generate(policy: Policy, item: Pass, start: int, tell: Tell) -> PassRows:
    started = time.monotonic()
    stop = start + item.prompts_per_part
    prompts, digests = item.prompts[start:stop], item.digests[start:stop]
    # One seed a part, so that a resumed evaluation draws what an unbroken one would have drawn.
    seed = (
        int.from_bytes(
            hashlib.blake2b(
                f"{item.seed} {item.set_name} {item.decoding_name} {start}".encode()
            ).digest()[:4]
        )
        >> 1
    )
    groups = policy.generate(prompts, item.decoding, seed=seed, tell=tell)
    if [len(group) for group in groups] != [item.decoding.num_rollouts] * len(prompts):
        raise DataError(
            f"the policy was asked for {item.decoding.num_rollouts} rollouts of {len(prompts)}"
            f" prompts and gave {sum(map(len, groups))} in {len(groups)} groups"
        )
    rows = [_row(item, *entry) for entry in zip(prompts, digests, groups, strict=True)]
    return PassRows(rows, time.monotonic() - started)


def _row(item: Pass, prompt: Prompt, digest: str, group: Sequence[Rollout]) -> Row:
    verdicts = [
        verify_answer(rollout.text, prompt.answer, prompt.choices, prompt.kind) for rollout in group
    ]
    return {
        "pass_key": item.key,
        "set": item.set_name,
        "decoding": item.decoding_name,
        "prompt_id": prompt.id,
        "prompt_digest": digest,
        "category": prompt.category,
        "difficulty": prompt.difficulty,
        "texts": [_storable(rollout.text) for rollout in group],
        "verdicts": [verdict.value for verdict in verdicts],
        "decided_by": [verdict.decided_by for verdict in verdicts],
        "extractions": [
            None if verdict.extraction is None else _storable(verdict.extraction)
            for verdict in verdicts
        ],
        "num_tokens": [len(rollout.token_ids) for rollout in group],
        "truncated": [rollout.truncated for rollout in group],
    }


def _write_rows(path: Path, passes: Sequence[Pass], results: Sequence[PassRows]) -> None:
    facts = {
        item.key: {
            "set": item.set_name,
            "name": item.decoding_name,
            "decoding": item.described,
            "seconds": result.seconds,
            "fingerprint": item.fingerprint,
            "seed": item.seed,
        }
        for item, result in zip(passes, results, strict=True)
    }
    schema = ROLLOUT_SCHEMA.with_metadata(
        {"vasari_schema": _SCHEMA_VERSION, "vasari_passes": json.dumps(facts)}
    )
    rows = [dict(row) for result in results for row in result.rows]
    with writing(path) as file:
        pq.write_table(pa.Table.from_pylist(rows, schema=schema), file, compression="zstd")


def _read_passes(path: Path) -> dict[str, PassRows]:
    """Passes of a file by key; none when the file is missing, damaged or of another schema, which
    costs new rollouts.
    """
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
    """The text with lone surrogates as question marks: they are no Unicode, and Parquet refuses
    them.
    """
    return text.encode(errors="replace").decode()


def _hex(content: bytes) -> str:
    return hashlib.blake2b(content, digest_size=16).hexdigest()
