"""The whole model in every process, where training spreads its weights over several."""

from __future__ import annotations

import contextlib
from collections.abc import Iterator
from typing import Any

import torch.distributed
from torch.distributed.fsdp import FSDPModule
from trl.models.utils import unwrap_model_for_generation


def join_deepspeed(args: Any) -> None:
    """Let DeepSpeed use the process group that there is, before a model is loaded in parts.

    It would else count one process.

    Args:
        args: A TRL config.
    """
    if args.deepspeed and torch.distributed.is_initialized():
        import deepspeed  # type: ignore[import-not-found]  # noqa: PLC0415  (an extra)

        deepspeed.init_distributed(torch.distributed.get_backend(), auto_mpi_discovery=False)


@contextlib.contextmanager
def whole_model(trainer: Any) -> Iterator[Any]:
    """Context manager that gives a trainer's model to generate with, without what wraps it.

    All processes enter it, and each has all weights: it may generate as often, and as many tokens,
    as it needs, whatever the others do.
    """
    with (
        unwrap_model_for_generation(
            trainer.model_wrapped,
            trainer.accelerator,
            gradient_checkpointing_kwargs=trainer.args.gradient_checkpointing_kwargs,
        ) as model,
        unsharded(model, trainer.accelerator),
    ):
        yield model


@contextlib.contextmanager
def unsharded(model: Any, accelerator: Any) -> Iterator[None]:
    """Context manager in which a model under FSDP2 has all of its weights in every process.

    Else every forward pass gathers them, and processes that generate unequally many tokens wait for
    each other for ever.
    """
    parts = [module for module in model.modules() if isinstance(module, FSDPModule)]
    for part in parts:
        part.set_reshard_after_forward(False, recurse=False)
        part.unshard()
    try:
        yield
    finally:
        for part in parts:
            part.reshard()
            plugin = accelerator.state.fsdp_plugin
            part.set_reshard_after_forward(bool(plugin.reshard_after_forward), recurse=False)
