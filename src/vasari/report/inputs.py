"""Read a run's folder, finished or not; missing files give empty values, damaged ones are noted."""

from __future__ import annotations

import json
import math
import re
import zipfile
from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
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
from vasari.score.variance import pass_rate
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
ROLLOUT_COLUMNS = ("prompt_id", "set", "decoding", "difficulty", "texts", "verdicts")

_PURPOSES_OF_0_1_0 = {"probe": "screen"}
"""Purpose in stage files of 0.1.0 -> its name today; `train.group_file` renames those of groups."""
_METRICS_OF_0_1_0 = {
    f"ledger/{unit}/{old}": f"ledger/{unit}/{new}"
    for unit in ("rollouts", "tokens")
    for old, new in _PURPOSES_OF_0_1_0.items()
}

_UNPRINTABLE = re.compile("[\x00-\x08\x0b\x0c\x0e-\x1f\x7f\ud800-\udfff]")
_DAMAGE = (
    OSError,
    VasariError,
    ValueError,
    KeyError,
    TypeError,
    EOFError,
    RecursionError,
    pa.ArrowException,
    zipfile.BadZipFile,
)
"""What reading a damaged file raises."""


@dataclass(frozen=True, slots=True)
class Arm:
    """Logs of one training run (arm): reinforcement training with one sampler."""

    name: str
    metrics: list[dict[str, Any]]
    """Logged lines, in the order of their steps."""
    validation: list[dict[str, Any]]


@dataclass(frozen=True, slots=True)
class Run:
    """Contents of a run's small files: settings, stages, logs and evaluation results.

    The functions below read the large files.
    """

    root: Path
    settings: dict[str, Any] = field(default_factory=dict)
    stages: dict[str, dict[str, Any]] = field(default_factory=dict)
    cold_start: list[dict[str, Any]] = field(default_factory=list)
    """Logged lines of supervised training."""
    arms: dict[str, Arm] = field(default_factory=dict)
    evaluation: dict[str, dict[str, Any]] = field(default_factory=dict)
    """Evaluation results by model: "base", "cold_start", or the name of an arm."""
    problems: list[str] = field(default_factory=list)
    """Sentences on what could not be read; the functions that read files add to it."""

    @property
    def place(self) -> RunDir:
        """Paths of the files in the run's folder."""
        return RunDir(self.root)

    def add_problem(self, problem: str) -> None:
        """Add a sentence to `problems` (what could not be read), unless the list already has it."""
        if problem not in self.problems:
            self.problems.append(problem)

    @contextmanager
    def reading(self, part: str | Path) -> Iterator[None]:
        """Context manager that turns errors from reading damaged files into entries of `problems`.

        Args:
            part: What is read, for the problem; a path is shown relative to the run's folder.
        """
        try:
            yield
        except _DAMAGE as error:
            shown_part = part.relative_to(self.root) if isinstance(part, Path) else part
            self.add_problem(f"{shown_part} could not be read: {error}")

    @property
    def recipe(self) -> Mapping[str, Any]:
        """The run's resolved recipe; empty if the settings file is missing or damaged."""
        found = self.settings.get("recipe")
        return found if isinstance(found, Mapping) else {}

    @property
    def arm_names(self) -> list[str]:
        """Names of the arms (training runs) that were trained or evaluated, sorted."""
        return sorted({*self.arms, *(name for name in self.evaluation if name not in NOT_ARMS)})

    @property
    def final_arm(self) -> str | None:
        """Name of the arm (training run) whose model counts as final; None before any arm began.

        The arm of the recipe's sampler if it exists, else the last one by name.
        """
        named = dig(self.recipe, "sampler", "name")
        names = self.arm_names
        if named in names:
            return str(named)
        return names[-1] if names else None

    def sampler_settings(self, arm: str | None) -> Any:
        """Return the recipe's settings for the sampler of an arm (training run), or None."""
        if arm is None or arm == dig(self.recipe, "sampler", "name"):
            return dig(self.recipe, "sampler", "settings")
        return dig(self.recipe, "sampler", "others", arm)


@dataclass(frozen=True, slots=True)
class Groups:
    """Stored rollout groups of one training run, by batch; each field has one entry per group."""

    batch: NDArray[np.int64]
    index: NDArray[np.int64]
    """Position of the prompt in the pool."""
    prompt_id: list[str]
    purpose: NDArray[np.str_]
    role: NDArray[np.str_]
    verdicts: list[list[float]]
    """Verdict of each rollout of the group; nan for an unverifiable one."""
    extractions: list[list[str | None]]
    pass_rate: NDArray[np.float64]
    """Share of correct rollouts among the verifiable ones; nan if none is verifiable."""

    def __len__(self) -> int:
        return len(self.prompt_id)


def read_run(root: Path) -> Run:
    """Read the small files of a run's folder, whether the run is finished or not.

    Raises:
        DataError: There is no such folder.
    """
    if not root.is_dir():
        raise DataError(f"{root}: there is no such run folder")
    place, run = RunDir(root), Run(root)
    run.settings.update(_object(run, place.settings))
    for path in sorted(place.stages.glob("*.json")):
        run.stages[path.stem] = _stage_of_today(_object(run, path))
    run.cold_start.extend(_lines(run, place.cold_start / "metrics.jsonl"))
    for path in sorted(path for path in (root / "rl").glob("*") if path.is_dir()):
        metrics = [_metrics_of_today(row) for row in _lines(run, path / "metrics.jsonl")]
        run.arms[path.name] = Arm(path.name, metrics, _lines(run, path / "validation.jsonl"))
    for path in sorted(place.evaluation.glob("*.json")):
        if found := _object(run, path):
            run.evaluation[path.stem] = found
    return run


def read_pool(run: Run, name: str) -> list[Prompt]:
    """Read the prompts of `RUN/prompts/<name>.parquet`; an empty list if missing or damaged."""
    path = run.place.prompts / f"{name}.parquet"
    if path.is_file():
        with run.reading(path):
            return read_prompts(path)
    return []


def read_arm_groups(run: Run, arm: str) -> Groups | None:
    """Read the stored rollout groups of one training run (arm); None if there are none."""
    with run.reading(f"the groups of {arm}"):
        table = read_groups(run.place.groups(arm), GROUP_COLUMNS)
        if table.num_rows:
            return _groups(table)
    return None


def read_snapshots(run: Run, arm: str) -> Mapping[str, NDArray[np.float64]]:
    """Read a training run's promotion scores over time; empty if `scores.npz` is missing or bad.

    The arrays are `batch` [snapshots], the last one whose rollouts the scores know, counted from 0
    as in the stored groups, and `vps` [snapshots, prompts].
    """
    path = run.place.rl(arm) / "scores.npz"
    arrays: dict[str, NDArray[np.float64]] = {}
    if path.is_file():
        with run.reading(path):
            arrays = _snapshots(path, number(dig(run.recipe, "grpo", "updates_per_batch")))
    return arrays


def _snapshots(path: Path, updates_per_batch: float | None) -> dict[str, NDArray[np.float64]]:
    with np.load(path, allow_pickle=False) as file:
        batch, vps = (np.asarray(file[name], dtype=np.float64) for name in ("batch", "vps"))
        if updates_per_batch and "step" in file:  # old files name the batch after it
            batch = (np.asarray(file["step"], dtype=np.float64) - 1) // updates_per_batch
    if vps.ndim != 2 or batch.shape != vps.shape[:1]:
        raise DataError(f"batch {batch.shape} and vps {vps.shape} do not fit each other")
    return {"batch": batch, "vps": vps}


def read_rollouts(run: Run, model: str, decoding: str = "sampled") -> dict[str, dict[str, Any]]:
    """Read a model's rollouts on test prompts: prompt id to `difficulty`, `texts`, `verdicts`.

    Args:
        run: The run.
        model: "base", "cold_start", or the name of an arm.
        decoding: "sampled", "greedy" or "blind".
    """
    path = run.place.evaluation / f"{model}-rollouts.parquet"
    found: dict[str, dict[str, Any]] = {}
    if path.is_file():
        with run.reading(path):
            found = {
                str(row["prompt_id"]): {
                    "difficulty": str(row["difficulty"] or ""),
                    "texts": row["texts"] or [],
                    "verdicts": numbers(row["verdicts"] or []),
                }
                for row in read_evaluated(path, ROLLOUT_COLUMNS)
                if row["set"] == "test" and row["decoding"] == decoding
            }
    return found


def dig(content: Any, *keys: str) -> Any:
    """Return the value at a path of keys in nested mappings; None if a key or level is missing."""
    for key in keys:
        if not isinstance(content, Mapping):
            return None
        content = content.get(key)
    return content


def number(value: Any) -> float | None:
    """Return the value if it is a finite number, else None."""
    if isinstance(value, bool) or not isinstance(value, int | float) or not math.isfinite(value):
        return None
    return value


def whole(value: Any) -> int | None:
    """Return the value rounded to an integer if it is a finite number, else None."""
    found = number(value)
    return None if found is None else round(found)


def numbers(values: Sequence[Any]) -> list[float]:
    """Convert the values to floats, None to nan."""
    return [math.nan if v is None else float(v) for v in values]


def known_sum(values: Iterable[float | None]) -> float | None:
    """Return the sum of the values that are not None; None if all are."""
    known = [value for value in values if value is not None]
    return sum(known) if known else None


def solved_share(verdicts: Sequence[float]) -> float:
    """Return the share of rollouts judged correct; unverifiable ones count as not correct."""
    known = [value for value in verdicts if not math.isnan(value)]
    return sum(known) / len(verdicts) if verdicts else 0.0


def shown(text: Any, limit: int = 2_000) -> str:
    """Return a value as text for the page: cut at `limit`, unprintable characters replaced."""
    plain = _UNPRINTABLE.sub("\ufffd", str(text))
    return plain if len(plain) <= limit else plain[: limit - 1] + "\u2026"


def interval(value: Any) -> dict[str, Any] | None:
    """Return `mean`, bounds (`low`, `high`) and `n` of a stored score; None if it has no mean.

    A mapping without a mean is read at "accuracy", else at "sampled"; a bare number is a mean.
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
    return Groups(
        batch=np.asarray(table["batch"].to_numpy(), dtype=np.int64),
        index=np.asarray(table["prompt_index"].to_numpy(), dtype=np.int64),
        prompt_id=[str(value) for value in table["prompt_id"].to_pylist()],
        purpose=np.array([str(value) for value in table["purpose"].to_pylist()]),
        role=np.array([str(value) for value in table["role"].to_pylist()]),
        verdicts=verdicts,
        extractions=[list(row or []) for row in table["extractions"].to_pylist()],
        pass_rate=np.array([pass_rate(row) for row in verdicts], dtype=np.float64),
    )


def _stage_of_today(stage: dict[str, Any]) -> dict[str, Any]:
    """Rename the purposes of version 0.1.0 in a stage's counts of rollouts and tokens."""
    return stage | {
        unit: {_PURPOSES_OF_0_1_0.get(purpose, purpose): n for purpose, n in stage[unit].items()}
        for unit in ("rollouts", "tokens")
        if isinstance(stage.get(unit), dict)
    }


def _metrics_of_today(row: dict[str, Any]) -> dict[str, Any]:
    """Rename the purposes of version 0.1.0 in the keys of a logged line."""
    return {_METRICS_OF_0_1_0.get(key, key): value for key, value in row.items()}


def _object(run: Run, path: Path) -> dict[str, Any]:
    """Read a JSON file that holds an object; empty if the file is missing or damaged."""
    if path.is_file():
        with run.reading(path.name):
            content = json.loads(path.read_text(encoding="utf-8"))
            if not isinstance(content, dict):
                raise DataError("expected an object")
            return content
    return {}


def _lines(run: Run, path: Path) -> list[dict[str, Any]]:
    """Read the objects with a step from a JSON-lines file, in order; damaged lines are left out."""
    text = ""
    if path.is_file():
        with run.reading(path.name):
            text = path.read_text(encoding="utf-8", errors="replace")
    rows, damaged = [], 0
    for line in text.splitlines():
        try:
            row = json.loads(line)
        except (ValueError, RecursionError):
            damaged += 1
            continue
        if isinstance(row, dict) and number(row.get("step")) is not None:
            rows.append(row)
    if damaged:
        run.add_problem(f"{path.parent.name}/{path.name}: {damaged} damaged lines were left out")
    return rows
