"""The whole model in every process, where training spreads its weights over several."""

from __future__ import annotations

import contextlib
from collections.abc import Iterator
from typing import Any

import torch
import torch.distributed
from torch.distributed.fsdp import FSDPModule, fully_shard
from trl.models.utils import unwrap_model_for_generation

from vasari.core.errors import ConfigError
from vasari.model.families import without_adapters


def join_deepspeed(args: Any) -> None:
    """Let DeepSpeed use the process group that there is, before a model is loaded in parts.

    It would else count one process.

    Args:
        args: A TRL config.
    """
    if args.deepspeed and torch.distributed.is_initialized():
        import deepspeed  # type: ignore[import-not-found]  # noqa: PLC0415  (an extra)

        deepspeed.init_distributed(torch.distributed.get_backend(), auto_mpi_discovery=False)


def prepare_spreading(trainer: Any) -> None:
    """Let FSDP wrap the layers that a model has, of all that its class names.

    Gemma 3 names a layer of another vision encoder, for which accelerate would look in vain. On
    CPUs, accelerate trains a whole copy in each process instead, without a word.

    Raises:
        ConfigError: It does.
    """
    if trainer.args.fsdp and trainer.accelerator.num_processes > 1 and not trainer.is_fsdp_enabled:
        raise ConfigError(
            "trl.fsdp: accelerate would train a whole copy of the model in each process"
            f" ({trainer.accelerator.distributed_type.value}), as FSDP needs accelerators; leave it"
            " out"
        )
    plugin = getattr(trainer.accelerator.state, "fsdp_plugin", None)
    if plugin is not None and plugin.transformer_cls_names_to_wrap is None:
        there = {type(module).__name__ for module in trainer.model.modules()}
        named = getattr(without_adapters(trainer.model), "_no_split_modules", None) or ()
        plugin.transformer_cls_names_to_wrap = sorted(there.intersection(named))


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
    parts = _parts(model)
    # transformers lets `generate` begin and end like a forward pass. The forward passes within have
    # ended theirs by then, and the weights are spread again, whatever is said below.
    hooked = {part: vars(part).pop("generate") for part in parts if "generate" in vars(part)}
    for part in parts:
        part.set_reshard_after_forward(False, recurse=False)
        part.unshard()
    try:
        yield
    finally:
        for part, generate in hooked.items():
            part.generate = generate
        for part in parts:
            part.reshard()
            plugin = accelerator.state.fsdp_plugin
            part.set_reshard_after_forward(bool(plugin.reshard_after_forward), recurse=False)


@contextlib.contextmanager
def whole_head(model: Any) -> Iterator[None]:
    """Context manager in which the output layer of a model under FSDP2 has all of its weights.

    TRL's log-probabilities read these weights without calling the layer. FSDP does not see that:
    each process would learn its own rows of them from its own rollouts alone.
    """
    head = model.get_output_embeddings()
    is_spread = isinstance(head, FSDPModule) and bool(_parts(model))
    if is_spread:
        head.unshard()
    yield
    if is_spread and not torch.is_grad_enabled():
        head.reshard()


def _parts(model: Any) -> list[Any]:
    """The modules of a model that FSDP2 spreads, the model itself first; none if it does not."""
    parts: list[Any] = [module for module in model.modules() if isinstance(module, FSDPModule)]
    for root in parts[:1]:
        # Else the first part that runs is taken for the whole.
        fully_shard.state(root)._lazy_init()  # type: ignore[attr-defined]
    return parts
