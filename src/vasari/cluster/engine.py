"""The shards of a local stage, worked on by actors of a Ray cluster; the shards themselves stay files."""

from __future__ import annotations

import contextlib
import logging
from collections import deque
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any

from vasari.cluster.ray_library import ray
from vasari.cluster.shared_folders import Meeting
from vasari.cluster.worker import ShardWorker
from vasari.curate.run.engine import MakeWork
from vasari.errors import StateError, VasariError

logger = logging.getLogger(__name__)

NUM_RETRIES = 3
"""Times that a shard is begun again after its worker died; a shard that kills every worker must not go on for ever."""

_PATIENCE_SECONDS = 30.0
"""After this long without a worker, the user is told what is waited for."""


@dataclass(frozen=True, slots=True, kw_only=True)
class RayEngine:
    """A Ray cluster, one machine or many, that this process has joined."""

    workers: int
    """Actors, of one core each; those for which there is no core yet start when there is."""
    meeting: Meeting
    """What each actor must see before it works."""

    def run(self, make: MakeWork, numbers: Sequence[int]) -> Iterator[int]:
        """Give the shards that are finished, as they are.

        Raises:
            StateError: A worker does not see the folders, or died again and again; what is finished stays.
            VasariError: What the work raised.
        """
        options = {"num_cpus": 1, "max_restarts": -1, "max_task_retries": NUM_RETRIES}
        actor_class = ray.remote(ShardWorker).options(**options)
        # Held here while actors may start again; in a list, so that each fetches it when it begins.
        shared = ray.put(make)
        actors = [actor_class.remote([shared], self.meeting) for _ in range(min(self.workers, len(numbers)))]
        try:
            yield from _spread(actors, deque(numbers))
        finally:
            for actor in actors:
                _stop(actor)


def _spread(actors: Sequence[Any], waiting: deque[int]) -> Iterator[int]:
    """Give shards to actors that are ready, one at a time, until none is left."""
    running: dict[Any, tuple[Any, int | None]] = {actor.begin.remote(): (actor, None) for actor in actors}
    told = False
    while waiting or any(number is not None for _, number in running.values()):
        done, _ = ray.wait(list(running), num_returns=1, timeout=_PATIENCE_SECONDS)
        if not done:
            if not told and all(number is None for _, number in running.values()):
                logger.warning("no Ray worker has started yet; if the cluster's cores are busy, this waits until one is free")
                told = True
            continue
        actor, number = running.pop(done[0])
        _raise_failure(done[0], number)
        if waiting:
            following = waiting.popleft()
            running[actor.finish.remote(following)] = (actor, following)
        else:
            _stop(actor)  # its core may be what a worker that is started again waits for
        if number is not None:
            yield number


def _raise_failure(answer: Any, number: int | None) -> None:
    what = "a worker" if number is None else f"shard {number}"
    try:
        failure = ray.get(answer)
    except ray.exceptions.RayTaskError:
        raise  # a fault of ours, with its traceback
    except ray.exceptions.RayError as error:
        tries = "" if number is None else f", begun {1 + NUM_RETRIES} times"
        raise StateError(
            f"{what} could not be finished{tries}: {_first_line(error)}; "
            "was a process killed, or is memory short? The same command goes on"
        ) from error
    if isinstance(failure, VasariError):
        raise failure


def _first_line(error: BaseException) -> str:
    lines = [line.strip() for line in str(error).splitlines() if line.strip()]
    return lines[0].rstrip(".") if lines else type(error).__name__


def _stop(actor: Any) -> None:
    # Ray may be gone already, e.g. when the cluster was stopped under us.
    with contextlib.suppress(ray.exceptions.RayError, RuntimeError):
        ray.kill(actor)
