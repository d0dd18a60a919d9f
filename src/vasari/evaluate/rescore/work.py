"""Chunks of outputs scored in order, in this process or in several."""

from __future__ import annotations

import multiprocessing
from collections import deque
from collections.abc import Iterable, Iterator, Sequence
from concurrent.futures import Future, ProcessPoolExecutor
from concurrent.futures.process import BrokenProcessPool
from itertools import islice

from vasari.core.records import Outcome, Verdict
from vasari.evaluate.protocols import StoredOutput, scoring_protocol
from vasari.evaluate.rescore.verdict_file import as_line

CHUNK_SIZE = 64
"""Outputs that are scored and written at once."""

_CHUNKS_A_WORKER = 4

Lines = list[list[str]]
"""[protocols][outputs] lines of the verdict files."""


def score_chunk(outputs: Sequence[StoredOutput], protocols: Sequence[str]) -> Lines:
    """The lines of every protocol for some outputs."""
    rules = [scoring_protocol(name) for name in protocols]
    return [[as_line(output.id, rule.verdict(output)) for output in outputs] for rule in rules]


def score_in_order(
    outputs: Iterable[StoredOutput], protocols: Sequence[str], *, workers: int
) -> Iterator[Lines]:
    """The lines of chunk after chunk, in the order of the outputs, whichever process was first.

    An output that takes a worker process down with it is UNVERIFIABLE, `decided_by: crashed`; the
    others are scored anew.
    """
    chunks = _chunks(outputs)
    if workers == 1:
        for chunk in chunks:
            yield score_chunk(chunk, protocols)
        return
    pool = _Pool(workers)
    waiting: deque[tuple[list[StoredOutput], Future[Lines]]] = deque()
    try:
        for chunk in chunks:
            waiting.append((chunk, pool.submit(chunk, protocols)))
            if len(waiting) >= workers * _CHUNKS_A_WORKER:
                yield _result(pool, waiting, protocols)
        while waiting:
            yield _result(pool, waiting, protocols)
    finally:
        pool.close()


class _Pool:
    """Worker processes, all replaced when one of them died."""

    def __init__(self, workers: int) -> None:
        self._workers = workers
        self._pool = self._fresh(workers)

    def submit(self, chunk: Sequence[StoredOutput], protocols: Sequence[str]) -> Future[Lines]:
        try:
            return self._pool.submit(score_chunk, chunk, protocols)
        except BrokenProcessPool:
            self.replace()
            return self._pool.submit(score_chunk, chunk, protocols)

    def replace(self) -> None:
        self.close()
        self._pool = self._fresh(self._workers)

    def close(self) -> None:
        self._pool.shutdown(wait=True, cancel_futures=True)

    @staticmethod
    def _fresh(workers: int) -> ProcessPoolExecutor:
        # Spawned: a fork would share the symbolic worker's pipes.
        return ProcessPoolExecutor(workers, mp_context=multiprocessing.get_context("spawn"))


def _result(
    pool: _Pool, waiting: deque[tuple[list[StoredOutput], Future[Lines]]], protocols: Sequence[str]
) -> Lines:
    chunk, future = waiting.popleft()
    try:
        return future.result()
    except BrokenProcessPool:
        pool.replace()
    lines: Lines = [[] for _ in protocols]
    for output in chunk:
        for place, row in enumerate(_alone(pool, output, protocols)):
            lines[place] += row
    for place, (later, _) in enumerate(list(waiting)):  # They died with the pool.
        waiting[place] = (later, pool.submit(later, protocols))
    return lines


def _alone(pool: _Pool, output: StoredOutput, protocols: Sequence[str]) -> Lines:
    try:
        return pool.submit([output], protocols).result()
    except BrokenProcessPool:
        pool.replace()
        verdict = Verdict(Outcome.UNVERIFIABLE, None, "crashed", "scoring it took a process down")
        return [[as_line(output.id, verdict)] for _ in protocols]


def _chunks(outputs: Iterable[StoredOutput]) -> Iterator[list[StoredOutput]]:
    stream = iter(outputs)
    while chunk := list(islice(stream, CHUNK_SIZE)):
        yield chunk
