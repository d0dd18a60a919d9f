"""Score stored outputs by named protocols, and store the verdicts in files."""

from __future__ import annotations

import json
import multiprocessing
from collections import deque
from collections.abc import Iterable, Iterator, Sequence
from concurrent.futures import Future, ProcessPoolExecutor
from concurrent.futures.process import BrokenProcessPool
from itertools import islice
from pathlib import Path

from vasari.core.errors import StateError
from vasari.core.records import Outcome, Verdict
from vasari.evaluate.protocols import StoredOutput, file_name_of, scoring_protocol

CHUNK_SIZE = 64
"""Outputs that are scored and written at once."""

_CHUNKS_A_WORKER = 4
_CRASHED = Verdict(Outcome.UNVERIFIABLE, None, "crashed", "scoring it took a process down")

Lines = list[list[str]]
"""[protocols][outputs] lines of the verdict files."""


def verdict_file(folder: Path, protocols: Sequence[str], name: str) -> Path:
    """Return the path of the file in `folder` with the verdicts that protocol `name` gave.

    `verdicts.jsonl` for the first protocol, `verdicts.NAME.jsonl` for the others.
    """
    part = "" if name == protocols[0] else f".{file_name_of(name)}"
    return folder / f"verdicts{part}.jsonl"


def verdict_facts(verdict: Verdict) -> dict[str, str | None]:
    """Return the fields of a verdict that files keep: outcome, deciding rule, extracted answer."""
    return {
        "outcome": verdict.outcome.value,
        "decided_by": verdict.decided_by,
        "extraction": verdict.extraction,
    }


def as_line(identity: str, verdict: Verdict) -> str:
    """Return the JSON line of a verdict: `id`, `outcome`, `decided_by` and `extraction`."""
    return json.dumps({"id": identity} | verdict_facts(verdict)) + "\n"


def of_line(line: str) -> tuple[str, Verdict]:
    """Return the output id and the verdict on a line of `as_line`; its reason is not stored."""
    row = json.loads(line)
    return row["id"], Verdict(Outcome(row["outcome"]), row["extraction"], row["decided_by"])


def read_verdicts(path: Path) -> Iterator[tuple[str, Verdict]]:
    """Yield the output id and the verdict on each line of a verdict file.

    A verdict's reason is not stored.

    Raises:
        StateError: A line is not a verdict.
    """
    with path.open(encoding="utf-8") as file:
        for number, line in enumerate(file, start=1):
            try:
                yield of_line(line)
            except (ValueError, TypeError, KeyError) as error:
                raise StateError(
                    f"{path}:{number}: is no verdict; score again with --overwrite"
                ) from error


def score_in_order(
    outputs: Iterable[StoredOutput], protocols: Sequence[str], *, workers: int
) -> Iterator[Lines]:
    """Score outputs in `workers` processes; yield JSON lines of verdicts by chunk, in output order.

    An output that takes a worker process down with it is UNVERIFIABLE, `decided_by: crashed`; the
    others are scored again.
    """
    stream = iter(outputs)
    chunks = iter(lambda: list(islice(stream, CHUNK_SIZE)), [])
    if workers == 1:
        for chunk in chunks:
            yield _score_chunk(chunk, protocols)
        return
    pool = _Pool(workers, protocols)
    try:
        for chunk in chunks:
            pool.submit(chunk)
            if len(pool.waiting) >= workers * _CHUNKS_A_WORKER:
                yield pool.first()
        while pool.waiting:
            yield pool.first()
    finally:
        pool.close()


def _score_chunk(outputs: Sequence[StoredOutput], protocols: Sequence[str]) -> Lines:
    rules = [scoring_protocol(name) for name in protocols]
    return [[as_line(output.id, rule.verdict(output)) for output in outputs] for rule in rules]


class _Pool:
    """Worker processes that score chunks; all are replaced when one of them dies."""

    def __init__(self, workers: int, protocols: Sequence[str]) -> None:
        self.waiting: deque[tuple[list[StoredOutput], Future[Lines]]] = deque()
        self._workers, self._protocols = workers, protocols
        self._start()

    def _start(self) -> None:
        # Spawned: a fork would share the symbolic worker's pipes.
        spawn = multiprocessing.get_context("spawn")
        self._processes = ProcessPoolExecutor(self._workers, mp_context=spawn)

    def close(self) -> None:
        self._processes.shutdown(wait=True, cancel_futures=True)

    def submit(self, chunk: list[StoredOutput]) -> None:
        self.waiting.append((chunk, self._begin(chunk)))

    def first(self) -> Lines:
        """Wait for the earliest submitted chunk of outputs; return its verdicts as JSON lines."""
        chunk, future = self.waiting.popleft()
        try:
            return future.result()
        except BrokenProcessPool:
            self._restart()
        alone = [self._alone(output) for output in chunk]
        for place, (later, _) in enumerate(list(self.waiting)):  # They died with the processes.
            self.waiting[place] = (later, self._begin(later))
        return [[lines[place][0] for lines in alone] for place in range(len(self._protocols))]

    def _begin(self, chunk: list[StoredOutput]) -> Future[Lines]:
        try:
            return self._processes.submit(_score_chunk, chunk, self._protocols)
        except BrokenProcessPool:
            self._restart()
            return self._processes.submit(_score_chunk, chunk, self._protocols)

    def _restart(self) -> None:
        self.close()
        self._start()

    def _alone(self, output: StoredOutput) -> Lines:
        try:
            return self._begin([output]).result()
        except BrokenProcessPool:
            self._restart()
            return [[as_line(output.id, _CRASHED)] for _ in self._protocols]
