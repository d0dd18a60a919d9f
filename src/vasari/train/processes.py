"""Running one command in several processes with torchrun, on one machine or on several."""

from __future__ import annotations

import contextlib
import datetime
import gc
import os
import socket
import sys
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Any, TypeVar

from vasari.core.errors import ConfigError, StateError, VasariError

T = TypeVar("T")


@dataclass(frozen=True, slots=True)
class Processes:
    """This process among those that run the same command together."""

    rank: int
    """Number of this process; 0 is the main one."""
    count: int
    """Number of processes."""
    host: str = ""
    """Name of the machine of this process."""

    @property
    def is_main(self) -> bool:
        """Whether this process is the main one."""
        return self.rank == 0

    @property
    def many(self) -> bool:
        """Whether other processes run the same command."""
        return self.count > 1

    def gather(self, value: T) -> list[T]:
        """Return the values of all processes, in their order; all must call this."""
        if not self.many:
            return [value]
        from torch.distributed import all_gather_object  # noqa: PLC0415  (takes seconds to import)

        found: list[Any] = [None] * self.count
        all_gather_object(found, value)
        return found

    def everywhere(self, work: Callable[[], T]) -> T:
        """Call `work` in every process, and return its result in each.

        Raises:
            StateError: It failed in another process; names it, its machine, and the error. The
                process where it failed raises its own error.
        """
        found: T = self._attempted(work)
        return found

    def main_first(self, work: Callable[[], T]) -> T:
        """Call `work` in the main process first, then in the other processes; return its result.

        Raises:
            StateError: It failed in another process, as with `everywhere`.
        """
        if not self.many:
            return work()
        mains = self._attempted(work if self.is_main else None)
        others = self._attempted(None if self.is_main else work)
        found: T = mains if self.is_main else others
        return found

    def _attempted(self, work: Callable[[], Any] | None) -> Any:
        """Do this process's part, if it has one; raise in all processes if any of them failed."""
        result, error = None, None
        try:
            result = None if work is None else work()
        except Exception as caught:  # noqa: BLE001  (raised below, once all know of it)
            error = caught
        said = None if error is None else _line(error)
        found = self.gather((self.host, said))
        if error is not None:
            raise error
        for rank, (host, line) in enumerate(found):
            if line is not None:
                raise StateError(f"process {rank} on {host}: {line}")
        return result


def _line(error: Exception) -> str:
    first = str(error).strip().split("\n")[0]
    return first if isinstance(error, VasariError) else f"{type(error).__name__}: {first}"


def current_processes() -> Processes:
    """Return which of torchrun's processes this one is."""
    return Processes(
        rank=int(os.environ.get("RANK", "0")),
        count=int(os.environ.get("WORLD_SIZE", "1")),
        host=socket.gethostname(),
    )


@contextlib.contextmanager
def start_processes() -> Iterator[Processes]:
    """Context manager that joins torchrun's process group; does nothing for a single process.

    Raises:
        ConfigError: There are fewer GPUs on this machine than processes.
    """
    current = current_processes()
    if current.many:
        _join(current)
    try:
        yield current
    finally:
        torch = sys.modules.get("torch")
        if torch is not None and torch.distributed.is_initialized():
            # A trainer that lies about in a cycle holds the group, whose threads then outlive the
            # interpreter and abort the process ("terminate called without an active exception").
            gc.collect()
            torch.distributed.destroy_process_group()


def _join(current: Processes) -> None:
    import torch  # noqa: PLC0415  (takes seconds to import, which one process need not wait for)
    import torch.distributed  # noqa: PLC0415

    if torch.distributed.is_initialized():
        return
    if torch.cuda.is_available():
        place = int(os.environ.get("LOCAL_RANK", "0"))
        if place >= torch.cuda.device_count():
            raise ConfigError(
                f"process {current.rank} on {current.host}: there are"
                f" {torch.cuda.device_count()} GPUs for"
                f" {os.environ.get('LOCAL_WORLD_SIZE', '?')} processes; lower --nproc_per_node"
            )
        # Before anything is gathered: NCCL would take the first GPU for all.
        torch.cuda.set_device(place)
    backend = "nccl" if torch.cuda.is_available() else "gloo"
    torch.distributed.init_process_group(backend, timeout=datetime.timedelta(hours=2))


@contextlib.contextmanager
def computing_with(threads: int | None) -> Iterator[None]:
    """Context manager in which torch computes with so many threads; None leaves torch's own number.

    Sums come out in another order with another number of threads, and so do their last digits.
    """
    import torch  # noqa: PLC0415

    before = torch.get_num_threads()
    try:
        if threads is not None:
            torch.set_num_threads(threads)
        yield
    finally:
        torch.set_num_threads(before)
