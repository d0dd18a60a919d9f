"""Running one command in several processes with torchrun."""

from __future__ import annotations

import contextlib
import datetime
import gc
import os
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import TypeVar

import torch
import torch.distributed

T = TypeVar("T")


@dataclass(frozen=True, slots=True)
class Processes:
    """Whether this process is the main one, and whether other processes run the same command."""

    is_main: bool
    many: bool

    def main_first(self, work: Callable[[], T]) -> T:
        """Call `work` in the main process first, then in the other processes; return its result."""
        if not self.is_main:
            torch.distributed.barrier()
        result = work()
        if self.is_main and self.many:
            torch.distributed.barrier()
        return result


def current_processes() -> Processes:
    """Return which of torchrun's processes this one is."""
    many = int(os.environ.get("WORLD_SIZE", "1")) > 1
    return Processes(is_main=int(os.environ.get("RANK", "0")) == 0, many=many)


@contextlib.contextmanager
def start_processes() -> Iterator[Processes]:
    """Context manager that joins torchrun's process group; does nothing for a single process."""
    current = current_processes()
    if current.many and not torch.distributed.is_initialized():
        backend = "nccl" if torch.cuda.is_available() else "gloo"
        torch.distributed.init_process_group(backend, timeout=datetime.timedelta(hours=2))
    try:
        yield current
    finally:
        if torch.distributed.is_initialized():
            # A trainer that lies about in a cycle holds the group, whose threads then outlive the
            # interpreter and abort the process ("terminate called without an active exception").
            gc.collect()
            torch.distributed.destroy_process_group()


@contextlib.contextmanager
def computing_with(threads: int | None) -> Iterator[None]:
    """Context manager in which torch computes with so many threads; None leaves torch's own number.

    Sums come out in another order with another number of threads, and so do their last digits.
    """
    before = torch.get_num_threads()
    try:
        if threads is not None:
            torch.set_num_threads(threads)
        yield
    finally:
        torch.set_num_threads(before)
