"""Compares two curation runs: prompts added, removed and changed, and settings that differ."""

from __future__ import annotations

import hashlib
from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pyarrow.parquet as pq

from vasari.core.errors import StateError
from vasari.core.files import read_json

_COMPARED = ("question", "answer", "choices", "category", "difficulty", "solution")
_SHOWN = 5


@dataclass(frozen=True, slots=True, kw_only=True)
class SetDiff:
    """How one data set differs between two curation runs: prompts added, removed and changed."""

    before: int
    after: int
    added: tuple[str, ...]
    """Ids that only the second run has, in its order."""
    removed: tuple[str, ...]
    """Ids that only the first run has, in its order."""
    changed: Mapping[str, int]
    """Number of prompts in both runs whose field differs, by field."""
    removed_because: Mapping[str, int]
    """Number of removed prompts by the stage and reason for which the second run dropped them; "not
    read" where it never saw them."""


@dataclass(frozen=True, slots=True, kw_only=True)
class CurationDiff:
    """How two curation runs differ: settings, data sets, and dropped rows by reason."""

    settings: Mapping[str, tuple[Any, Any]]
    """Settings that differ, by their path in the recipe: (first, second); None where a run has
    none."""
    sets: Mapping[str, SetDiff]
    reasons: Mapping[str, tuple[int, int]]
    """Dropped rows by stage and reason: (first, second), those that differ."""

    def __str__(self) -> str:
        lines = ["settings:" if self.settings else "settings: the same"]
        lines += [
            f"  {place}: {before!r} -> {after!r}"
            for place, (before, after) in self.settings.items()
        ]
        for name, one in self.sets.items():
            moved = f"{len(one.added):,} added, {len(one.removed):,} removed"
            lines.append(f"{name}.parquet: {one.before:,} -> {one.after:,} prompts; {moved}")
            lines += [f"  added {_ids(one.added)}"] if one.added else []
            lines += [f"  removed {_ids(one.removed)}"] if one.removed else []
            lines += [f"  removed: {why} {count:,}" for why, count in one.removed_because.items()]
            lines += [f"  {field} changed in {count:,}" for field, count in one.changed.items()]
        lines.append(
            "dropped rows:" if self.reasons else "dropped rows: the same by stage and reason"
        )
        lines += [
            f"  {name}: {before:,} -> {after:,}" for name, (before, after) in self.reasons.items()
        ]
        return "\n".join(lines)


def diff_curations(before: Path, after: Path) -> CurationDiff:
    """Compare two finished curation runs, given their folders.

    Memory: about 200 bytes for each prompt of both runs.

    Raises:
        StateError: A folder holds no finished run.
    """
    first, second = _manifest(before), _manifest(after)
    old, new = _flat(first["recipe"]), _flat(second["recipe"])
    places = [
        place
        for place in [*old, *(place for place in new if place not in old)]
        if old.get(place) != new.get(place)
    ]
    names = sorted({*first["sets"], *second["sets"]}, reverse=True)
    was, now = _reasons(before), _reasons(after)
    return CurationDiff(
        settings={place: (old.get(place), new.get(place)) for place in places},
        sets={name: _set_diff(before, after, name) for name in names},
        reasons={
            name: (was[name], now[name]) for name in sorted(was | now) if was[name] != now[name]
        },
    )


def _set_diff(before: Path, after: Path, name: str) -> SetDiff:
    old, new = _digests(before / f"{name}.parquet"), _digests(after / f"{name}.parquet")
    removed = tuple(key for key in old if key not in new)
    changed: Counter[str] = Counter()
    for key, digests in old.items():
        if key in new:
            changed.update(
                field for field, a, b in zip(_COMPARED, digests, new[key], strict=True) if a != b
            )
    why: Counter[str] = Counter()
    if removed:
        reasons = _reason_of(after, name)
        why.update(reasons.get(key, "not read") for key in removed)
    return SetDiff(
        before=len(old),
        after=len(new),
        added=tuple(key for key in new if key not in old),
        removed=removed,
        changed=dict(changed),
        removed_because=dict(why.most_common()),
    )


def _digests(path: Path) -> dict[str, tuple[bytes, ...]]:
    """Digests of the compared fields of each prompt."""
    if not path.exists():
        return {}
    found: dict[str, tuple[bytes, ...]] = {}
    with pq.ParquetFile(path) as file:
        for batch in file.iter_batches(batch_size=4096, columns=["id", *_COMPARED]):
            for row in batch.to_pylist():
                found[row["id"]] = tuple(
                    hashlib.blake2b(
                        repr(row[field]).encode(errors="surrogatepass"), digest_size=8
                    ).digest()
                    for field in _COMPARED
                )
    return found


def _reason_of(root: Path, name: str) -> dict[str, str]:
    """Why each prompt is not in a set, by id."""
    table = pq.read_table(root / "dropped.parquet", columns=["id", "stage", "branch", "reason"])
    return {
        row["id"]: f"{row['stage']}: {row['reason']}"
        for row in table.to_pylist()
        if row["branch"] in ("both", name)
    }


def _reasons(root: Path) -> Counter[str]:
    table = pq.read_table(root / "dropped.parquet", columns=["stage", "branch", "reason"])
    return Counter(f"{row['branch']}, {row['stage']}: {row['reason']}" for row in table.to_pylist())


def _manifest(root: Path) -> dict[str, Any]:
    path = root / "manifest.json"
    if not path.exists():
        raise StateError(
            f"{root}: holds no finished curation (no manifest.json); give the folder that `vasari"
            " curate` wrote"
        )
    content = read_json(path)
    if not isinstance(content, dict) or "sets" not in content:
        raise StateError(f"{path}: not the manifest of a curation")
    return content


def _flat(value: Any, place: str = "") -> dict[str, Any]:
    """Flatten nested settings to values by path: `grade.num_rollouts`, `sources.0.folder`."""
    if isinstance(value, dict) and value:
        entries = [(f"{place}.{key}" if place else str(key), inner) for key, inner in value.items()]
    elif isinstance(value, list) and value:
        entries = [(f"{place}.{number}", inner) for number, inner in enumerate(value)]
    else:
        return {place: value}
    return {key: found for name, inner in entries for key, found in _flat(inner, name).items()}


def _ids(ids: tuple[str, ...]) -> str:
    more = f" and {len(ids) - _SHOWN:,} more" if len(ids) > _SHOWN else ""
    return ", ".join(ids[:_SHOWN]) + more
