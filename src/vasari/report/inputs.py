"""What a run's folder holds, as far as it got: parts that are missing are empty, parts that are
damaged are named.
"""

from __future__ import annotations

import json
import math
import re
import zipfile
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
from numpy.typing import NDArray

from vasari.core.errors import DataError, VasariError
from vasari.core.records import Prompt
from vasari.data.prompt_file import read_prompts
from vasari.evaluate.rollouts import read_rollouts as read_evaluated
from vasari.run.layout import RunDir
from vasari.train.group_file import read_groups

NOT_ARMS = ("base", "cold_start")
"""Evaluated models that reinforcement training did not make."""

GROUP_COLUMNS = (
    "batch",
    "prompt_index",
    "prompt_id",
    "purpose",
    "role",
    "rewards",
    "verdicts",
    "extractions",
)
ROLLOUT_COLUMNS = ("prompt_id", "set", "decoding", "texts", "verdicts")

_PURPOSES_OF_0_1_0 = {"probe": "screen"}
"""What 0.1.0 called purposes in its stage files -> today's; `vasari.core.files.read_groups` renames
those of stored groups."""
_METRICS_OF_0_1_0 = {
    f"ledger/{unit}/{old}": f"ledger/{unit}/{new}"
    for unit in ("rollouts", "tokens")
    for old, new in _PURPOSES_OF_0_1_0.items()
}

_UNPRINTABLE = re.compile("[\x00-\x08\x0b\x0c\x0e-\x1f\x7f\ud800-\udfff]")
_DAMAGED = (
    ValueError,
    KeyError,
    TypeError,
    EOFError,
    RecursionError,
    pa.ArrowException,
    zipfile.BadZipFile,
)
UNREADABLE = (OSError, VasariError, *_DAMAGED)
"""What reading a damaged file raises."""


@dataclass(frozen=True, slots=True)
class Arm:
    """The logs of reinforcement training with one sampler."""

    name: str
    metrics: list[dict[str, Any]]
    """Logged lines, in the order of their steps."""
    validation: list[dict[str, Any]]


@dataclass(frozen=True, slots=True)
class Run:
    """The small files of a run, read; the large ones are read by the functions below."""

    root: Path
    settings: Mapping[str, Any]
    stages: Mapping[str, Mapping[str, Any]]
    cold_start: list[dict[str, Any]]
    """Logged lines of supervised training."""
    arms: Mapping[str, Arm]
    evaluation: Mapping[str, Mapping[str, Any]]
    """Results by model: "base", "cold_start", and arms."""
    problems: list[str] = field(default_factory=list)
    """What could not be read, one sentence each; readers add to it."""

    @property
    def place(self) -> RunDir:
        """Where everything lies."""
        return RunDir(self.root)

    @property
    def recipe(self) -> Mapping[str, Any]:
        """The resolved recipe; empty when the settings are missing."""
        found = self.settings.get("recipe")
        return found if isinstance(found, Mapping) else {}

    @property
    def arm_names(self) -> list[str]:
        """Arms that were trained or evaluated, by name."""
        return sorted({*self.arms, *(name for name in self.evaluation if name not in NOT_ARMS)})

    @property
    def final_arm(self) -> str | None:
        """The arm of the recipe's sampler, else the last one by name; None before any arm began."""
        named = dig(self.recipe, "sampler", "name")
        names = self.arm_names
        if named in names:
            return str(named)
        return names[-1] if names else None

    def sampler_settings(self, arm: str | None) -> Any:
        """What the recipe set for the sampler of this arm; None when it set nothing."""
        if arm is None or arm == dig(self.recipe, "sampler", "name"):
            return dig(self.recipe, "sampler", "settings")
        return dig(self.recipe, "sampler", "others", arm)


@dataclass(frozen=True, slots=True)
class Groups:
    """The groups of one arm, in the order of their batches: one entry a group in each field."""

    batch: NDArray[np.int64]
    index: NDArray[np.int64]
    """Position of the prompt in the pool."""
    prompt_id: list[str]
    purpose: NDArray[np.str_]
    role: NDArray[np.str_]
    verdicts: list[list[float]]
    """nan where unverifiable."""
    extractions: list[list[str | None]]
    pass_rate: NDArray[np.float64]
    """Share of correct among verifiable rollouts; nan when none is verifiable."""

    def __len__(self) -> int:
        return len(self.prompt_id)


def read_run(root: Path) -> Run:
    """The run of a folder, however far it got.

    Raises:
        DataError: There is no such folder.
    """
    if not root.is_dir():
        raise DataError(f"{root}: there is no such run folder")
    place, problems = RunDir(root), list[str]()
    folders = sorted(path for path in (root / "rl").glob("*") if path.is_dir())
    results = sorted(place.evaluation.glob("*.json"))
    return Run(
        root=root,
        settings=_object(place.settings, problems),
        stages={
            path.stem: _stage_of_today(_object(path, problems))
            for path in sorted(place.stages.glob("*.json"))
        },
        cold_start=_lines(place.cold_start / "metrics.jsonl", problems),
        arms={
            path.name: Arm(
                path.name,
                [_metrics_of_today(row) for row in _lines(path / "metrics.jsonl", problems)],
                _lines(path / "validation.jsonl", problems),
            )
            for path in folders
        },
        evaluation={path.stem: found for path in results if (found := _object(path, problems))},
        problems=problems,
    )


def read_pool(run: Run, name: str) -> list[Prompt]:
    """The prompts of `RUN/prompts/<name>.parquet`; none when the file is missing or damaged."""
    path = run.place.prompts / f"{name}.parquet"
    if not path.is_file():
        return []
    try:
        return read_prompts(path)
    except UNREADABLE as error:
        run.problems.append(f"{path.relative_to(run.root)} could not be read: {error}")
        return []


def read_arm_groups(run: Run, arm: str) -> Groups | None:
    """The groups of an arm; None when there are none."""
    try:
        table = read_groups(run.place.groups(arm), list(GROUP_COLUMNS))
        return _groups(table) if table.num_rows else None
    except UNREADABLE as error:
        name_problem(run, f"the groups of {arm} could not be read: {error}")
        return None


def name_problem(run: Run, problem: str) -> None:
    """Add what could not be read to the run's problems, once."""
    if problem not in run.problems:
        run.problems.append(problem)


def read_snapshots(run: Run, arm: str) -> Mapping[str, NDArray[np.float64]]:
    """The arrays of `scores.npz` as float64: `batch` [k] and `vps` [k, prompts], `ovs`, `tds` when
    saved; else empty.
    """
    path = run.place.rl(arm) / "scores.npz"
    if not path.is_file():
        return {}
    try:
        with np.load(path, allow_pickle=False) as file:
            arrays = {
                name: np.asarray(file[name], dtype=np.float64)
                for name in ("batch", "vps", "ovs", "tds")
                if name in file
            }
        if arrays["vps"].ndim != 2 or arrays["batch"].shape != arrays["vps"].shape[:1]:
            raise DataError(
                f"batch {arrays['batch'].shape} and vps {arrays['vps'].shape} do not fit each other"
            )
    except UNREADABLE as error:
        run.problems.append(f"{path.relative_to(run.root)} could not be read: {error}")
        return {}
    return arrays


def read_rollouts(
    run: Run, model: str, *, dataset: str = "test", decoding: str = "sampled"
) -> dict[str, dict[str, Any]]:
    """The stored rollouts of an evaluated model by prompt id: `texts` and `verdicts`; empty when
    there are none.
    """
    path = run.place.evaluation / f"{model}-rollouts.parquet"
    if not path.is_file():
        return {}
    try:
        rows = read_evaluated(path, ROLLOUT_COLUMNS)
    except UNREADABLE as error:
        run.problems.append(f"{path.relative_to(run.root)} could not be read: {error}")
        return {}
    return {
        str(row["prompt_id"]): {
            "texts": row["texts"] or [],
            "verdicts": numbers(row["verdicts"] or []),
        }
        for row in rows
        if row["set"] == dataset and row["decoding"] == decoding
    }


def dig(content: Any, *keys: str) -> Any:
    """The value under these keys, one level each; None when a level is missing or is no object."""
    for key in keys:
        if not isinstance(content, Mapping):
            return None
        content = content.get(key)
    return content


def number(value: Any) -> float | None:
    """A finite number as it is; anything else is None."""
    if isinstance(value, bool) or not isinstance(value, int | float) or not math.isfinite(value):
        return None
    return value


def whole(value: Any) -> int | None:
    """A finite number as a whole one; anything else is None."""
    found = number(value)
    return None if found is None else round(found)


def numbers(values: Sequence[Any]) -> list[float]:
    """Floats, nan for what is no number."""
    return [math.nan if v is None else float(v) for v in values]


def shown(text: Any, limit: int = 2_000) -> str:
    """Text for the page: without control characters and lone surrogates, cut at a limit."""
    plain = _UNPRINTABLE.sub("\ufffd", str(text))
    return plain if len(plain) <= limit else plain[: limit - 1] + "\u2026"


def interval(value: Any) -> dict[str, Any] | None:
    """`mean`, `low`, `high`, `n` of a stored score, which may lie under "accuracy"; None without a
    mean.
    """
    if isinstance(value, Mapping) and "mean" not in value:
        value = value.get("accuracy", value.get("sampled"))
        return interval(value) if isinstance(value, Mapping) or number(value) is not None else None
    if not isinstance(value, Mapping):
        value = {"mean": value}
    if number(value.get("mean")) is None:
        return None
    bounds = {name: number(value.get(name)) for name in ("low", "high")}
    return {"mean": value["mean"], **bounds, "n": whole(value.get("n"))}


def _groups(table: pa.Table) -> Groups:
    if table["prompt_index"].null_count or min(table["prompt_index"].to_pylist()) < 0:
        raise DataError("a group has no position in the pool, or a negative one")
    verdicts = [numbers(row or []) for row in table["verdicts"].to_pylist()]
    rates = np.array([_pass_rate(row) for row in verdicts], dtype=np.float64)
    extractions = [list(row or []) for row in table["extractions"].to_pylist()]
    return Groups(
        batch=np.asarray(table["batch"].to_numpy(), dtype=np.int64),
        index=np.asarray(table["prompt_index"].to_numpy(), dtype=np.int64),
        prompt_id=[str(value) for value in table["prompt_id"].to_pylist()],
        purpose=np.array([str(value) for value in table["purpose"].to_pylist()]),
        role=np.array([str(value) for value in table["role"].to_pylist()]),
        verdicts=verdicts,
        extractions=extractions,
        pass_rate=rates,
    )


def _pass_rate(verdicts: Sequence[float]) -> float:
    seen = [value for value in verdicts if not math.isnan(value)]
    return sum(seen) / len(seen) if seen else math.nan


def _stage_of_today(stage: dict[str, Any]) -> dict[str, Any]:
    """A stage's facts with today's purposes in its counts."""
    counts = {
        unit: stage[unit] for unit in ("rollouts", "tokens") if isinstance(stage.get(unit), dict)
    }
    return stage | {
        unit: {
            _PURPOSES_OF_0_1_0.get(purpose, purpose): count for purpose, count in by_purpose.items()
        }
        for unit, by_purpose in counts.items()
    }


def _metrics_of_today(row: dict[str, Any]) -> dict[str, Any]:
    """A logged line with today's purposes in the names of its counts."""
    return {_METRICS_OF_0_1_0.get(key, key): value for key, value in row.items()}


def _object(path: Path, problems: list[str]) -> dict[str, Any]:
    """A JSON object; empty when the file is missing or damaged."""
    if not path.is_file():
        return {}
    try:
        content = json.loads(path.read_text(encoding="utf-8"))
        if not isinstance(content, dict):
            raise DataError("expected an object")
    except UNREADABLE as error:
        problems.append(f"{path.name} could not be read: {error}")
        return {}
    return content


def _lines(path: Path, problems: list[str]) -> list[dict[str, Any]]:
    """The objects of a JSON-lines file that have a step, in order; a line that a crash cut off is
    named.
    """
    if not path.is_file():
        return []
    rows, damaged = [], 0
    try:
        text = path.read_text(encoding="utf-8", errors="replace")
    except OSError as error:
        problems.append(f"{path.name} could not be read: {error}")
        return []
    for line in text.splitlines():
        try:
            row = json.loads(line)
        except (ValueError, RecursionError):
            damaged += 1
            continue
        if isinstance(row, dict) and number(row.get("step")) is not None:
            rows.append(row)
    if damaged:
        problems.append(f"{path.parent.name}/{path.name}: {damaged} damaged lines were left out")
    return rows
