"""Outputs to verdicts by named protocols: the work of `vasari rescore`, with a verdict line for
each rollout.
"""

from __future__ import annotations

import json
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from vasari.core.errors import ConfigError, StateError
from vasari.core.files import write_bytes
from vasari.core.progress import Tell, silent
from vasari.core.records import Verdict
from vasari.evaluate.benchmarks.settings import BenchmarkDir, BenchmarkSettings
from vasari.evaluate.outputs import OutputKey, read_outputs
from vasari.evaluate.rescore import RescoreSettings, rescore
from vasari.evaluate.verdicts import read_verdicts, verdict_file

if TYPE_CHECKING:  # asking needs packages that scoring does not
    from vasari.verify.judge import JudgeSettings

NEEDS_JUDGE = frozenset({"needs_llm", "unsupported", "random"})
"""Rules after which the official scorer would ask an LLM or draw a letter: undecided, and no fault
of the output."""


@dataclass(frozen=True, slots=True)
class ScoredRollout:
    """A rollout and what each protocol says of it."""

    truncated: bool
    num_tokens: int
    verdicts: tuple[Verdict, ...]
    """[protocols]"""


@dataclass(slots=True)
class ScoredPass:
    """All rollouts of a pass."""

    protocols: tuple[str, ...]
    rollouts: dict[OutputKey, ScoredRollout] = field(default_factory=dict)
    judge: dict[str, Any] | None = None
    """What a judge was asked and what that cost; None without one."""


def score_pass(
    settings: BenchmarkSettings,
    folder: BenchmarkDir,
    name: str,
    *,
    judge: JudgeSettings | None = None,
    tell: Tell = silent,
) -> ScoredPass:
    """The verdicts on the outputs of a pass, as written to its `verdicts*.jsonl`.

    A killed scoring of the same outputs continues where it was; other outputs are scored anew.

    Args:
        settings: Which protocols, on how many processes.
        folder: Where the outputs lie.
        name: Of the pass.
        judge: Asked about what the rules of `paper` and `vasari` leave undecided; None asks nobody.
        tell: Told the outputs done and their number.

    Raises:
        StateError: Outputs and verdicts do not fit.
        StorageError: The disk refused.
    """
    scored = ScoredPass(settings.protocols)
    outputs = folder.outputs(name)
    if not outputs.exists() or outputs.stat().st_size == 0:
        return scored
    asked = RescoreSettings(
        files=(outputs,), protocols=settings.protocols, workers=settings.workers, judge=judge
    )
    place = folder.scoring(name)
    try:
        result = rescore(asked, place, tell=tell)
    except (ConfigError, StateError):  # of outputs that have changed since
        result = rescore(asked, place, overwrite=True, tell=tell)
    scored.judge = result.get("judge")
    lines: dict[str, list[str]] = {protocol: [] for protocol in settings.protocols}
    for row, verdicts in _joined(outputs, place, settings.protocols):
        key = (row["set"], row["id"], int(row["rollout"]))
        scored.rollouts[key] = ScoredRollout(
            bool(row["truncated"]), int(row["num_tokens"]), verdicts
        )
        for protocol, verdict in zip(settings.protocols, verdicts, strict=True):
            lines[protocol].append(_line(row, verdict))
    for protocol, found in lines.items():
        path = verdict_file(folder.of_pass(name), settings.protocols, protocol)
        write_bytes(path, "".join(found).encode())
    return scored


def matrix(
    scored: Sequence[Sequence[ScoredRollout | None]], protocol: int
) -> list[NDArray[np.float64]]:
    """[prompts][rollouts] verdicts by one protocol; nan also where no answer came."""
    return [
        np.array([float("nan") if one is None else one.verdicts[protocol].value for one in group])
        for group in scored
    ]


def _joined(
    path: Path, place: Path, protocols: tuple[str, ...]
) -> Iterator[tuple[dict[str, Any], tuple[Verdict, ...]]]:
    files = [read_verdicts(verdict_file(place, protocols, protocol)) for protocol in protocols]
    try:
        for row, *found in zip(read_outputs(path), *files, strict=True):
            if any(identity != row["id"] for identity, _ in found):
                raise StateError(
                    f"{place}: its verdicts are not those of {path}; remove that folder and"
                    " evaluate again"
                )
            yield row, tuple(verdict for _, verdict in found)
    except ValueError as error:
        raise StateError(
            f"{place}: has not one verdict for each line of {path}; remove that folder"
        ) from error


def _line(row: dict[str, Any], verdict: Verdict) -> str:
    facts = {
        "id": row["id"],
        "set": row["set"],
        "rollout": row["rollout"],
        "outcome": verdict.outcome.value,
        "decided_by": verdict.decided_by,
        "extraction": verdict.extraction,
        "truncated": row["truncated"],
    }
    return json.dumps(facts) + "\n"
