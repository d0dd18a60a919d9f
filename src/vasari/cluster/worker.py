"""Code that runs in a worker process of the Ray cluster, on any of its machines."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from functools import partial
from typing import TYPE_CHECKING, Any

from vasari.cluster.ray_library import ray
from vasari.cluster.shared_folders import SharedFolders, check_folders
from vasari.core.errors import VasariError

if TYPE_CHECKING:  # a process that only looks for folders imports no more than that takes
    from vasari.curate.run.engine import MakeWork, Work


def find_trouble(folders: SharedFolders) -> VasariError | None:
    """Return the error that keeps worker processes on this machine from working, or None."""
    return _error_of(partial(check_folders, folders))


def _error_of(work: Callable[[], object]) -> VasariError | None:
    """Return the error that the work raises, if a user can act on it, or None."""
    try:
        work()
    except VasariError as error:
        return error
    return None


class ShardWorker:
    """Worker that processes shards; the engine runs it as a Ray actor in its own process.

    Errors that a user can act on are answers: Ray would wrap what is raised.
    """

    def __init__(self, make: Sequence[Any], folders: SharedFolders) -> None:
        """Take a list with the `MakeWork`'s place in Ray, and what must be found here."""
        (self._make,), self._folders = make, folders
        self._work: Work | None = None

    def begin(self) -> VasariError | None:
        """Prepare for the first shard; return an error that the user can act on, or None."""
        return _error_of(self._ready)

    def finish(self, number: int) -> VasariError | None:
        """Process one shard; return an error that the user can act on, or None."""
        return _error_of(lambda: self._ready()(number))

    def _ready(self) -> Work:
        if self._work is None:
            check_folders(self._folders)
            make: MakeWork = ray.get(self._make)
            self._work = make()
        return self._work
