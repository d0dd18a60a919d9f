"""Read stored rollouts by prompt, from JSON lines or Parquet (a row per rollout or per group)."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, get_args

import numpy as np
from numpy.typing import NDArray

from vasari.core.errors import ConfigError, DataError
from vasari.core.progress import Tell, silent
from vasari.core.records import AnswerKind, Outcome, Verdict
from vasari.data.rows import JSON_LINES, raise_problems, read_rows
from vasari.evaluate.protocols.cell_values import is_missing
from vasari.verify import verify_answer

COLUMNS: Mapping[str, tuple[str, ...]] = {
    "prompt": ("prompt_id", "question_id", "pid", "uid", "id"),
    "text": ("texts", "text", "responses", "response", "completions", "completion", "rollout"),
    "tokens": ("token_ids", "response_ids", "completion_ids"),
    "verdict": ("verdicts", "verdict", "correct"),
    "reward": ("rewards", "reward"),
    "answer": ("answer", "reference_answer", "ground_truth"),
    "choices": ("choices", "options"),
    "kind": ("kind",),
    "when": ("batch", "step"),
    "set": ("set",),
    "decoding": ("decoding",),
}
"""Field of a row -> names its column may have; the first that is present is read."""

_WORDS = {outcome.value: Verdict(outcome).value for outcome in Outcome}

GroupKey = tuple[str, str, str]
"""Set, decoding, prompt id; the first two are "" except in files of an evaluation."""


@dataclass(slots=True)
class StoredGroup:
    """Stored rollouts of one prompt: their verdicts, rewards and tokens."""

    when: float = -math.inf
    """Batch or step; -inf if rows name none."""
    verdicts: list[float] = field(default_factory=list)
    """1, 0, or nan: unverifiable, or not given."""
    rewards: list[float] = field(default_factory=list)
    """nan for a rollout without one."""
    tokens: list[NDArray[np.int32] | None] = field(default_factory=list)
    """Token ids, or one integer a word; None if the row has neither, or they were not wanted."""


@dataclass(slots=True)
class StoredRollouts:
    """Rollouts read from stored files, grouped by prompt."""

    groups: dict[GroupKey, StoredGroup] = field(default_factory=dict)
    has_verdicts: bool = False
    """Whether any row has a verdict, or a reference answer to verify its text by."""
    unit: str = ""
    """What diversity is computed on: "token ids" or "words"; "" if neither was read."""
    num_earlier: int = 0
    """Rollouts left out because their prompt has a later group."""


def find_input(path: Path, *, arm: str | None = None) -> list[Path]:
    """Return the rollout files at `path`: the file itself, or all in a folder or training run.

    Args:
        path: A file of rollouts, a folder of group files, or a run's folder.
        arm: Which sampler's groups of a run; None if it has one.

    Raises:
        DataError: There is nothing to read, or the file has another suffix.
        ConfigError: A run has several arms and none was named, or the named one is missing.
    """
    if not path.exists():
        raise DataError(f"{path}: there is no such file or folder")
    if not path.is_dir():
        if not path.name.endswith((".parquet", *JSON_LINES)):
            raise DataError(
                f"{path}: rollouts are read from {', '.join((*JSON_LINES, '.parquet'))} and from"
                " run folders"
            )
        return [path]
    if (path / "rl").is_dir():
        arms = sorted(folder.parent.name for folder in (path / "rl").glob("*/groups"))
        if arm is None and len(arms) > 1:
            raise ConfigError(
                f"{path}: holds several arms, choose one with --arm: {', '.join(arms)}"
            )
        if not arms or (arm is not None and arm not in arms):
            raise ConfigError(
                f"{path}: holds no groups of {f'arm {arm!r}' if arm else 'any arm'}; there are:"
                f" {', '.join(arms) or 'none'}"
            )
        path = path / "rl" / (arm or arms[0]) / "groups"
    elif (path / "groups").is_dir():
        path = path / "groups"
    files = sorted(path.glob("*.parquet"))
    if not files:
        raise DataError(
            f"{path}: holds no group files (*.parquet); give a run's folder, or a file of rollouts"
        )
    return files


def read_groups(
    files: list[Path], *, pooled: bool, with_tokens: bool, tell: Tell = silent
) -> StoredRollouts:
    """Return the rollouts in `files`, grouped by prompt.

    Args:
        files: From `find_input`.
        pooled: True puts all groups of a prompt together; False keeps the one of the last batch or
            step, which is of one policy.
        with_tokens: False leaves texts and token ids unread.
        tell: Shows how much of the files is read.

    Raises:
        DataError: A row is damaged, lacks a field, or contradicts others; file and line are named.
        MissingExtraError: A Parquet file, and pyarrow is not installed.
    """
    reader = _Reader(pooled=pooled, with_tokens=with_tokens)
    known = [name for names in COLUMNS.values() for name in names]
    for place, file in enumerate(files):
        for row, values in raise_problems(read_rows(file, columns=known)):
            reader.add(values, row.where)
            done = int(1000 * (place + row.share))
            tell(done, 1000 * len(files), f"{len(reader.found.groups):,} prompts")
    if not reader.found.groups:
        raise DataError(f"{files[0]}: holds no rollouts")
    return reader.found


class _Reader:
    """Collects rollouts into groups, row by row."""

    def __init__(self, *, pooled: bool, with_tokens: bool) -> None:
        self.found = StoredRollouts()
        self._pooled = pooled
        self._with_tokens = with_tokens
        self._words: dict[str, int] = {}

    def add(self, row: Mapping[str, Any], where: str) -> None:
        """Add a row of a rollout file: a single rollout, or a group of rollouts as lists."""
        given = {
            name: next((row[n] for n in names if row.get(n) is not None), None)
            for name, names in COLUMNS.items()
        }
        if given["prompt"] is None:
            raise DataError(
                f"{where}: has no prompt id (columns read: {', '.join(COLUMNS['prompt'])})"
            )
        key = (str(given["set"] or ""), str(given["decoding"] or ""), str(given["prompt"]))
        where = f"{where}: prompt {key[2]!r}"
        # A verdict of null means unverifiable; a missing one is unknown.
        columns = _columns(given, where, judged=any(name in row for name in COLUMNS["verdict"]))
        size = max((len(column) for column in columns.values() if column is not None), default=1)
        when = (
            -math.inf if given["when"] is None else _number(given["when"], "batch or step", where)
        )
        group = self._group(key, when, size)
        if group is None:
            return
        group.verdicts += self._verdicts(given, columns, size, where)
        group.rewards += [
            _number(value, "reward", where) for value in columns["reward"] or [None] * size
        ]
        group.tokens += self._tokens(columns, size, where)

    def _group(self, key: GroupKey, when: float, size: int) -> StoredGroup | None:
        """Return the group to add a row to; None if a later group of the same prompt is kept."""
        group = self.found.groups.setdefault(key, StoredGroup(when))
        if self._pooled or group.when == when:
            return group
        if when < group.when:
            self.found.num_earlier += size
            return None
        self.found.num_earlier += len(group.verdicts)
        self.found.groups[key] = StoredGroup(when)
        return self.found.groups[key]

    def _verdicts(
        self,
        given: Mapping[str, Any],
        columns: Mapping[str, list[Any] | None],
        size: int,
        where: str,
    ) -> list[float]:
        if columns["verdict"] is not None:
            self.found.has_verdicts = True
            return [_verdict(value, where) for value in columns["verdict"]]
        if is_missing(given["answer"]) or columns["text"] is None:
            return [math.nan] * size
        self.found.has_verdicts = True
        choices, kind = given["choices"], given["kind"] or None
        if kind is not None and kind not in get_args(AnswerKind):
            raise DataError(
                f"{where}: kind must be one of {', '.join(get_args(AnswerKind))}, got {kind!r}"
            )
        options = None if choices is None else [str(option) for option in choices]
        return [
            verify_answer(_text(text, where), str(given["answer"]), options, kind).value
            for text in columns["text"]
        ]

    def _tokens(
        self, columns: Mapping[str, list[Any] | None], size: int, where: str
    ) -> list[NDArray[np.int32] | None]:
        if not self._with_tokens or (columns["tokens"] is None and columns["text"] is None):
            return [None] * size
        unit = "words" if columns["tokens"] is None else "token ids"
        self.found.unit = self.found.unit or unit
        if unit != self.found.unit:
            raise DataError(
                f"{where}: has {unit} where earlier rows have {self.found.unit}; diversity needs"
                " one of them throughout"
            )
        if columns["tokens"] is not None:
            return [_token_ids(ids, where) for ids in columns["tokens"]]
        number = self._words
        return [
            np.array(
                [number.setdefault(word, len(number)) for word in _text(text, where).split()],
                dtype=np.int32,
            )
            for text in columns["text"] or []
        ]


def _columns(given: Mapping[str, Any], where: str, *, judged: bool) -> dict[str, list[Any] | None]:
    """Return the columns text, tokens, verdict and reward as lists of one length."""
    columns: dict[str, list[Any] | None] = {}
    for name in ("text", "tokens", "verdict", "reward"):
        value = given[name]
        is_list = isinstance(value, list)
        if name == "tokens" and is_list and not all(isinstance(part, list) for part in value):
            is_list = False  # one rollout's token ids are a list themselves
        columns[name] = None if value is None else value if is_list else [value]
    sizes = {name: len(column) for name, column in columns.items() if column is not None}
    verifiable = given["answer"] is not None and "text" in sizes
    if not (judged or "reward" in sizes or verifiable):
        raise DataError(
            f"{where}: has no verdict, no reward, and no text with a reference answer to verify it"
            " by; columns read: "
            + ", ".join(
                name for part in ("verdict", "reward", "text", "answer") for name in COLUMNS[part]
            )
        )
    if len(set(sizes.values())) > 1 or 0 in sizes.values():
        raise DataError(f"{where}: the columns do not tell of the same rollouts: {sizes}")
    return columns


def _text(value: Any, where: str) -> str:
    if not isinstance(value, str):
        raise DataError(f"{where}: a rollout's text must be text, got {type(value).__name__}")
    return value


def _number(value: Any, name: str, where: str) -> float:
    """Return the value as a number; nan for null."""
    if value is None:
        return math.nan
    if not isinstance(value, int | float) or math.isinf(value):
        raise DataError(f"{where}: {name} must be a finite number, got {value!r}")
    return float(value)


def _verdict(value: Any, where: str) -> float:
    if isinstance(value, str) and value.lower() in _WORDS:
        return _WORDS[value.lower()]
    number = math.nan if value is None else value
    if not isinstance(number, int | float) or not (number in (0, 1) or math.isnan(number)):
        raise DataError(
            f"{where}: a verdict must be 1, 0, true, false, null or one of {', '.join(_WORDS)}, got"
            f" {value!r}; graded numbers are rewards"
        )
    return float(number)


def _token_ids(value: Any, where: str) -> NDArray[np.int32]:
    try:
        ids = np.asarray(value if len(value) else np.zeros(0, dtype=np.int64))
    except (TypeError, ValueError) as error:
        raise DataError(f"{where}: token ids must be a list of whole numbers") from error
    if ids.ndim != 1 or ids.dtype.kind not in "iu":
        raise DataError(f"{where}: token ids must be a list of whole numbers")
    if ids.size and (ids.min() < 0 or ids.max() >= 2**31):
        raise DataError(
            f"{where}: {int(ids.min() if ids.min() < 0 else ids.max())} is no token id; leave"
            " padding out"
        )
    return ids.astype(np.int32)
