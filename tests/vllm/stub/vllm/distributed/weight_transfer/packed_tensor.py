"""Broadcasting tensors: here, a safetensors file that the server waits for."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Any

from safetensors.torch import save_file


def packed_nccl_broadcast_producer(
    iterator: Iterator[tuple[str, Any]],
    group: Any,
    src: int,
    post_iter_func: Callable[[tuple[str, Any]], Any],
) -> None:
    sent = {item[0]: post_iter_func(item).detach().clone().contiguous() for item in iterator}
    path = group.folder / f"update-{group.num_sent}.safetensors"
    save_file(sent, path.with_suffix(".part"))
    path.with_suffix(".part").rename(path)
    group.num_sent += 1
