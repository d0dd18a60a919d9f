"""The side of the workers: what runs in a process of the cluster, on this machine or another."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

from vasari.cluster.ray_library import ray
from vasari.cluster.shared_folders import Meeting, check_meeting
from vasari.core.errors import VasariError

if TYPE_CHECKING:  # a process that only looks for folders imports no more than that takes
    from vasari.curate.run.engine import MakeWork, Work


def look_around(meeting: Meeting) -> VasariError | None:
    """What keeps a process here from working, if anything does."""
    try:
        check_meeting(meeting)
    except VasariError as error:
        return error
    return None


class ShardWorker:
    """A process that works on shards, made into an actor by the engine.

    Errors that a user can act on are answers: Ray would wrap what is raised.
    """

    def __init__(self, make: Sequence[Any], meeting: Meeting) -> None:
        """Take where the `MakeWork` lies in Ray, as the one thing in a list, and what has to be
        seen here.
        """
        (self._make,), self._meeting = make, meeting
        self._work: Work | None = None

    def begin(self) -> VasariError | None:
        """Be ready for the first shard."""
        try:
            self._ready()
        except VasariError as error:
            return error
        return None

    def finish(self, number: int) -> VasariError | None:
        """Finish a shard."""
        try:
            self._ready()(number)
        except VasariError as error:
            return error
        return None

    def _ready(self) -> Work:
        if self._work is None:
            check_meeting(self._meeting)
            make: MakeWork = ray.get(self._make)
            self._work = make()
        return self._work
