"""Memory of one GPU by part, computed for a training's settings and its longest prompts."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING

from vasari.run.plan.division import Division, Weights, kept_state

if TYPE_CHECKING:  # torch takes seconds to import
    from vasari.model.activations import ModelShapes, Precision

GIB = 2**30
_RESERVED = 2 * GIB
"""CUDA's context, kernels, buffers of communication and fragments: an assumption."""
_HEAD_TILE = 4096 * 32_768
"""Logits that TRL's output head has in memory at once: 4,096 tokens of 32,768 words."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Workload:
    """What one GPU computes at a time: sequences of a forward pass, and of a generation."""

    sequences: int
    """Sequences of a forward pass."""
    length: int
    """Tokens of the longest sequence, answer included."""
    patches: int
    """Most patches of a sequence that the vision encoder reads."""
    scored: int
    """Tokens of a sequence whose probability is learned from."""
    batch_patches: float = 0.0
    """Patches of all images of a batch, which stay in memory while it trains."""
    generated: int = 0
    """Rollouts that are generated at once by transformers; 0: none, or vLLM generates."""
    vllm_share: float = 0.0
    """Share of the GPU that vLLM reserves."""
    vllm_sleeps: bool = False
    """Whether vLLM gives its memory back while weights are updated."""
    pushes_whole: bool = False
    """Whether weights that ZeRO-3 divides are gathered all at once for vLLM: TRL merges adapters
    into whole weights."""


@dataclass(frozen=True, slots=True, kw_only=True)
class DeviceMemory:
    """Bytes of one GPU by part, at the moment when most are in use."""

    division: str
    """"plain", "ZeRO-3", "FSDP"."""
    parts: Mapping[str, float]
    """Bytes of each part."""
    updating: Mapping[str, float]
    """Parts that are in use while weights are updated."""
    generating: Mapping[str, float]
    """Parts that are in use while rollouts are generated; none for a training without them."""

    update: float
    """Bytes in use while weights are updated."""
    generation: float
    """Bytes in use while rollouts are generated; 0 for a training without them."""

    @property
    def peak(self) -> float:
        """Most bytes in use."""
        return max(self.update, self.generation)


def device_memory(
    shapes: ModelShapes,
    weights: Weights,
    division: Division,
    work: Workload,
    *,
    gpu_bytes: float | None,
) -> DeviceMemory:
    """Compute the memory of one GPU.

    Args:
        shapes: What the model keeps for each token.
        weights: What is trained, and in which precision.
        division: Over the GPUs.
        work: What is computed at a time.
        gpu_bytes: Memory of the GPU, of which vLLM reserves a share; None: vLLM is left out.
    """
    precision = precision_of(weights, division)
    state = kept_state(weights, division)
    update = {
        "activations": _activations(shapes, weights, work, precision),
        "output head": _output_head(shapes, work, trains_head=not shapes.head_is_frozen),
    }
    images = {"images of the batch": work.batch_patches * shapes.patch_bytes}
    caches = _generation(shapes, weights, division, work)
    vllm = {"vLLM": work.vllm_share * (gpu_bytes or 0.0)}
    always = {**state, **images, "reserved": float(_RESERVED)}
    generating = {**caches, **vllm}
    updating = {**always, **update, **({} if work.vllm_sleeps else vllm)}
    generation = {**always, **generating} if sum(generating.values()) else {}
    return DeviceMemory(
        division=division.name,
        parts={**state, **images, **update, **caches, **vllm, "reserved": float(_RESERVED)},
        updating=updating,
        generating=generation,
        update=sum(updating.values()),
        generation=sum(generation.values()),
    )


def precision_of(weights: Weights, division: Division) -> Precision:
    """Return in which precision activations are computed and kept."""
    if not weights.bf16:
        return "float32"
    return "bfloat16" if division.engine == "deepspeed" else "autocast"


def _activations(
    shapes: ModelShapes, weights: Weights, work: Workload, precision: Precision
) -> float:
    checkpointing = weights.checkpointing
    tokens, patches = work.sequences * work.length, work.sequences * work.patches
    language = shapes.language[precision].of(
        tokens, length=work.length, checkpointing=checkpointing
    )
    if shapes.vision_is_frozen:
        return language
    return language + shapes.vision[precision].of(
        patches, length=work.patches, checkpointing=checkpointing
    )


def _output_head(shapes: ModelShapes, work: Workload, *, trains_head: bool) -> float:
    """Hidden states that are scored and their gradients, a tile of logits, the head's gradient."""
    scored = work.sequences * work.scored
    if not scored:
        return 0.0
    hidden = 2 * 4 * scored * shapes.hidden
    tile = 2 * min(_HEAD_TILE, scored * shapes.vocabulary)
    return hidden + tile + 4 * shapes.vocabulary * shapes.hidden * trains_head


def _generation(
    shapes: ModelShapes, weights: Weights, division: Division, work: Workload
) -> dict[str, float]:
    """What transformers needs to generate: caches of all rollouts, the weights if divided.

    For vLLM, the weights alone if they are divided and pushed at once.
    """
    width = 2 if division.engine == "deepspeed" and weights.bf16 else 4
    width = 2 if weights.frozen_bytes == 2 else width
    whole = 0 if division.over(3) == 1 else width * weights.total
    if work.pushes_whole and division.engine == "deepspeed" and whole:
        return {"whole weights to push": whole}
    if not work.generated:
        return {}
    logits = 4 * shapes.vocabulary
    return {
        "keys and values": work.generated * (shapes.cache(work.length, width) + logits),
        "whole weights to generate": whole,
    }
