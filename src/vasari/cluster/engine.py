"""Processing of shards by actors of a Ray cluster; the shards themselves stay files."""

from __future__ import annotations

import contextlib
import logging
from collections import Counter, deque
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from vasari.cluster.ray_library import ray
from vasari.cluster.shared_folders import SharedFolders
from vasari.cluster.worker import ShardWorker
from vasari.core.errors import StateError, VasariError

if TYPE_CHECKING:
    from vasari.curate.run.engine import MakeWork

logger = logging.getLogger(__name__)

NUM_RETRIES = 3
"""Times that a shard is begun again after its worker died; a shard that kills every worker must not
go on for ever."""

_PATIENCE_SECONDS = 30.0
"""After this long without a worker, a warning says what is waited for."""


@dataclass(frozen=True, slots=True, kw_only=True)
class RayEngine:
    """Engine that processes shards with actors of a Ray cluster that this process has joined."""

    workers: int
    """Actors, of one core each; those for which there is no core yet start when there is."""
    folders: SharedFolders
    """What each actor must see before it works."""

    def run(self, make: MakeWork, numbers: Sequence[int]) -> Iterator[int]:
        """Process the shards `numbers`, and yield the number of each shard once it is finished.

        Raises:
            StateError: A worker does not see the folders, or died again and again; what is finished
                stays.
            VasariError: What the work raised.
        """
        # Not Ray's own retries: they are used up in the seconds before a machine that is lost is
        # known to be.
        actor_class = ray.remote(ShardWorker).options(
            num_cpus=1, max_restarts=0, max_task_retries=0
        )
        # Held here while actors may start; in a list, so that each fetches it when it begins.
        shared = ray.put(make)
        pool = _Pool(
            lambda: actor_class.remote([shared], self.folders),
            min(self.workers, len(numbers)),
            deque(numbers),
        )
        try:
            yield from pool.spread()
        finally:
            pool.stop()


@dataclass
class _Pool:
    """Actors that take one shard at a time; an actor that died is replaced."""

    start: Callable[[], Any]
    size: int
    waiting: deque[int]
    """Shards that no actor works on."""
    running: dict[Any, tuple[Any, int | None]] = field(default_factory=dict)
    """By the answer that is waited for: an actor, and its shard, or None while it begins."""
    lost: Counter[int] = field(default_factory=Counter)
    """By shard: workers that died with it."""
    failed_starts: int = 0
    """Workers that died before they could take a shard, since one could."""

    def spread(self) -> Iterator[int]:
        """Give shards to idle actors until none is left; yield each finished shard's number."""
        for _ in range(self.size):
            self._add()
        warned = False
        while self.waiting or any(number is not None for _, number in self.running.values()):
            done, _ = ray.wait(list(self.running), num_returns=1, timeout=_PATIENCE_SECONDS)
            if done:
                finished = self._take(done[0])
                if finished is not None:
                    yield finished
            elif not warned and all(number is None for _, number in self.running.values()):
                logger.warning(
                    "no Ray worker has started yet; if the cluster's cores are busy, this waits"
                    " until one is free"
                )
                warned = True

    def stop(self) -> None:
        """Kill the actors that are still busy with a shard or starting."""
        for actor, _ in self.running.values():
            _end(actor)

    def _add(self) -> None:
        actor = self.start()
        self.running[actor.begin.remote()] = (actor, None)

    def _take(self, answer: Any) -> int | None:
        """The shard that an actor has finished, if any; the actor gets the next."""
        actor, number = self.running.pop(answer)
        try:
            failure = ray.get(answer)
        except ray.exceptions.RayTaskError:
            raise  # a fault of ours, with its traceback
        except ray.exceptions.RayError as error:
            _end(actor)
            self._replace(number, error)
            return None
        if isinstance(failure, VasariError):
            raise failure
        self.failed_starts = 0
        if self.waiting:
            following = self.waiting.popleft()
            self.running[actor.finish.remote(following)] = (actor, following)
        else:
            _end(actor)  # its core may be what a replacement waits for
        return number

    def _replace(self, number: int | None, error: Exception) -> None:
        if number is None:
            self.failed_starts += 1
            if self.failed_starts > NUM_RETRIES * self.size:
                raise StateError(f"no worker could begin: {_reason(error)}") from error
        else:
            self.lost[number] += 1
            if self.lost[number] > NUM_RETRIES:
                raise StateError(
                    f"shard {number} could not be finished, begun {1 + NUM_RETRIES} times:"
                    f" {_reason(error)}"
                ) from error
            self.waiting.appendleft(number)
        if self.waiting:
            self._add()


def _reason(error: Exception) -> str:
    lines = [line.strip() for line in str(error).splitlines() if line.strip()]
    said = lines[0].rstrip(".")[:200] if lines else type(error).__name__
    return f"{said}; was a process killed, or is memory short? The same command goes on"


def _end(actor: Any) -> None:
    # Ray may be gone already, e.g. when the cluster was stopped under us.
    with contextlib.suppress(ray.exceptions.RayError, RuntimeError):
        ray.kill(actor)
