"""How weights, gradients and optimizer states are divided over GPUs, and what each GPU keeps."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, Literal

from vasari.train.trl_settings import TrlSettings

Engine = Literal["torch", "deepspeed", "fsdp"]

_MAX_LIVE = 1_000_000_000
"""DeepSpeed's default of `stage3_max_live_parameters`."""
_PREFETCH = 50_000_000
"""DeepSpeed's default of `stage3_prefetch_bucket_size`."""
_BUCKET = 500_000_000
"""DeepSpeed's default of `reduce_bucket_size`."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Division:
    """Who divides the training's state over the GPUs, and which parts of it."""

    engine: Engine
    num_gpus: int
    stage: int = 0
    """ZeRO's stage: 1 divides optimizer states, 2 gradients too, 3 weights too."""
    offloads_optimizer: bool = False
    """Whether optimizer states lie in the machine's memory."""
    offloads_weights: bool = False
    """Whether weights lie in the machine's memory."""
    max_live: int = _MAX_LIVE
    """Weights that ZeRO-3 keeps gathered at once, at most."""
    prefetch: int = _PREFETCH
    """Weights that ZeRO-3 gathers before they are needed."""
    bucket: int = _BUCKET
    """Gradients that DeepSpeed reduces at once."""
    num_buckets: int = 2
    """Buckets of gradients in memory: one is filled while the other is sent."""

    @property
    def name(self) -> str:
        """Name for tables: "plain", "ZeRO-2", "FSDP"."""
        if self.engine == "fsdp":
            return "FSDP"
        return f"ZeRO-{self.stage}" if self.engine == "deepspeed" else "plain"

    def over(self, stage: int) -> int:
        """Return over how many GPUs is divided what this stage of ZeRO divides."""
        if self.engine == "fsdp" or (self.engine == "deepspeed" and self.stage >= stage):
            return self.num_gpus
        return 1


def division_of(trl: TrlSettings, *, num_gpus: int, width: int | None = None) -> Division:
    """Return the division that a recipe's settings for TRL name.

    Args:
        trl: The settings.
        num_gpus: GPUs, each with one process.
        width: Of the model's hidden states, from which transformers computes buckets that are
            "auto"; None: DeepSpeed's defaults.
    """
    if trl.fsdp:
        return Division(engine="fsdp", num_gpus=num_gpus)
    if not isinstance(trl.deepspeed, dict):
        return Division(engine="torch", num_gpus=num_gpus)
    zero = trl.deepspeed.get("zero_optimization", {})
    return Division(
        engine="deepspeed",
        num_gpus=num_gpus,
        stage=int(zero.get("stage", 0)),
        offloads_optimizer=_is_offloaded(zero, "offload_optimizer"),
        offloads_weights=_is_offloaded(zero, "offload_param"),
        max_live=_size(zero, "stage3_max_live_parameters", _MAX_LIVE, automatic=None),
        prefetch=_size(
            zero, "stage3_prefetch_bucket_size", _PREFETCH, automatic=width and int(0.9 * width**2)
        ),
        bucket=_size(zero, "reduce_bucket_size", _BUCKET, automatic=width and width**2),
        num_buckets=1 if zero.get("overlap_comm") is False else 2,
    )


def _size(zero: dict[str, Any], name: str, default: int, *, automatic: int | None) -> int:
    """A number of weights in DeepSpeed's file; `automatic` where transformers fills it in."""
    given = zero.get(name, default)
    if isinstance(given, int | float) and not isinstance(given, bool):
        return int(given)
    return automatic or default


def _is_offloaded(zero: dict[str, Any], name: str) -> bool:
    return bool((zero.get(name) or {}).get("device", "none") != "none")


@dataclass(frozen=True, slots=True, kw_only=True)
class Weights:
    """Numbers of weights, and the bytes of each, that a training has in memory."""

    frozen: int
    """Weights without gradient."""
    trained: int
    """Weights with gradient, adapters among them."""
    largest_layer: int
    """Weights of the largest layer, which are gathered or cast at a time."""
    frozen_bytes: int
    """Bytes of a frozen weight where PyTorch alone keeps it."""
    optimizer_bytes: int
    """Bytes of a trained weight's optimizer states."""
    bf16: bool
    """Whether products are computed in bfloat16."""
    checkpointing: bool
    """Whether activations are recomputed."""
    reference: bool
    """Whether a second, frozen model is kept for the KL divergence."""

    @property
    def total(self) -> int:
        """Number of weights."""
        return self.frozen + self.trained


def optimizer_bytes(name: str) -> int:
    """Return the bytes that an optimizer of transformers keeps for each trained weight."""
    if "8bit" in name:
        return 2
    if "4bit" in name:
        return 1
    return {"sgd": 0, "adafactor": 0, "rmsprop": 4, "adagrad": 4, "lion_32bit": 4}.get(name, 8)


def kept_state(weights: Weights, division: Division) -> dict[str, float]:
    """Return the bytes of weights, copies, gradients and optimizer states of one GPU, by part.

    docs/scale.md explains each number.
    """
    makers = {"torch": _with_torch, "deepspeed": _with_deepspeed, "fsdp": _with_fsdp}
    return makers[division.engine](weights, division)


def _with_torch(weights: Weights, division: Division) -> dict[str, float]:
    trained, frozen = weights.trained, weights.frozen
    # Autocast keeps the bfloat16 copy of a trained weight until the forward pass ends, and the
    # graph keeps that of any weight until its backward pass, if it is not recomputed.
    copied = trained + (weights.largest_layer if weights.checkpointing and frozen else frozen)
    has_copies = weights.bf16 and weights.frozen_bytes == 4
    buckets = 4 * trained if division.num_gpus > 1 else 0
    return {
        "weights": weights.frozen_bytes * frozen + 4 * trained,
        "bfloat16 copies": 2.0 * (copied if has_copies else trained * weights.bf16),
        "gradients": 4 * trained + buckets,
        "optimizer": weights.optimizer_bytes * trained,
        "reference model": 4 * weights.total * weights.reference,
    }


def _with_deepspeed(weights: Weights, division: Division) -> dict[str, float]:
    width = 2 if weights.bf16 else 4
    whole = division.over(3) == 1
    # A layer is gathered whatever the limit, and the next weights beside it.
    live = max(division.max_live, weights.largest_layer + division.prefetch)
    gathered = 0 if whole else width * min(weights.total, live)
    bucket = division.num_buckets * width * min(weights.trained, division.bucket)
    buckets = bucket if division.num_gpus > 1 else 0
    on_gpu = not division.offloads_optimizer
    master = 4 * weights.trained / division.over(1) if weights.bf16 else 0
    return {
        "weights": width * weights.total / division.over(3) * (not division.offloads_weights),
        "gathered weights": gathered,
        "float32 weights": master * on_gpu,
        "gradients": width * weights.trained / division.over(2) + buckets,
        "optimizer": weights.optimizer_bytes * weights.trained / division.over(1) * on_gpu,
        "reference model": width * weights.total / division.over(3) * weights.reference,
    }


def _with_fsdp(weights: Weights, division: Division) -> dict[str, float]:
    width = 2 if weights.bf16 else 4
    num = division.num_gpus
    return {
        "weights": 4 * weights.total / num,
        # One layer computes while the next is gathered.
        "gathered weights": 2 * width * weights.largest_layer,
        "gradients": 4 * weights.trained / num,
        "optimizer": weights.optimizer_bytes * weights.trained / num,
        "reference model": 4 * weights.total / num * weights.reference,
    }
