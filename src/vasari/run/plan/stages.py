"""What one GPU has in memory in each stage of a recipe's run."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING

from vasari.core.errors import ConfigError
from vasari.evaluate.settings import EvaluateSettings
from vasari.run.plan.division import Division, Weights, division_of, optimizer_bytes
from vasari.run.plan.memory import GIB, DeviceMemory, Workload, device_memory
from vasari.run.recipe import Recipe
from vasari.train.batches import grpo_batches, sft_batches
from vasari.train.settings import GrpoSettings, LoraSettings, SftSettings

if TYPE_CHECKING:  # torch takes seconds to import
    from vasari.model.activations import ModelShapes


@dataclass(frozen=True, slots=True, kw_only=True)
class Lengths:
    """Tokens and patches of prompts and answers that memory is computed for."""

    prompt: int
    """Tokens of the longest prompt."""
    prompt_mean: float
    """Tokens of a prompt."""
    patches: int
    """Most patches of a prompt that the vision encoder reads."""
    patches_mean: float
    """Patches of a prompt."""
    answer: int = 0
    """Tokens of the longest answer to learn."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Gpus:
    """GPUs that a recipe is trained on, and what is generated on them."""

    num: int
    """GPUs, each with one process."""
    memory: float | None
    """Bytes of a GPU, of which vLLM reserves a share; None where not known."""
    beside: int
    """Rollouts of a prompt that transformers generates beside the batches, in refreshes or
    validation, and all at once; 0 for none."""


@dataclass(frozen=True, slots=True, kw_only=True)
class TrainedModel:
    """A model as one stage trains it: its weights, and what it keeps for each token."""

    total: int
    """Weights, adapters among them."""
    trained: int
    """Weights that get a gradient."""
    frozen_bytes: int
    """Bytes of a weight without gradient."""
    shapes: ModelShapes

    def weights(self, settings: SftSettings | GrpoSettings) -> Weights:
        """Return the weights for the memory of a stage with these settings."""
        beta = settings.trl.beta if isinstance(settings, GrpoSettings) else 0.0
        return Weights(
            frozen=self.total - self.trained,
            trained=self.trained,
            largest_layer=self.shapes.largest_layer,
            frozen_bytes=self.frozen_bytes,
            optimizer_bytes=optimizer_bytes(str(getattr(settings.trl, "optim", "adamw_torch"))),
            bf16=settings.trl.bf16,
            checkpointing=settings.trl.gradient_checkpointing,
            # With adapters, the reference is the model without them.
            reference=beta > 0 and settings.lora is None,
        )


def sft_memory(
    settings: SftSettings,
    model: TrainedModel,
    lengths: Lengths,
    division: Division | None = None,
    *,
    num_gpus: int,
) -> DeviceMemory:
    """Compute the memory of one GPU in supervised training.

    Raises:
        ConfigError: A batch does not divide over the GPUs.
    """
    batches = sft_batches(settings, num_processes=num_gpus)
    work = Workload(
        sequences=batches.micro,
        length=lengths.prompt + lengths.answer,
        patches=lengths.patches,
        scored=lengths.answer,
        batch_patches=batches.micro * batches.accumulation * lengths.patches_mean,
    )
    chosen = division or division_of(settings.trl, num_gpus=num_gpus, width=model.shapes.hidden)
    return device_memory(model.shapes, model.weights(settings), chosen, work, gpu_bytes=None)


def grpo_memory(
    settings: GrpoSettings,
    model: TrainedModel,
    lengths: Lengths,
    gpus: Gpus,
    division: Division | None = None,
) -> DeviceMemory:
    """Compute the memory of one GPU in GRPO.

    Args:
        settings: Of the recipe.
        model: As it is trained.
        lengths: Of the prompts.
        gpus: That it is trained on.
        division: Another than the recipe's.

    Raises:
        ConfigError: A batch does not divide over the GPUs.
    """
    batches = grpo_batches(settings, num_processes=gpus.num)
    own = batches.micro * batches.forward_passes
    at_once = _at_once(settings.refresh_batch, gpus.beside)
    completion = settings.trl.max_completion_length
    work = Workload(
        sequences=batches.micro,
        length=lengths.prompt + completion,
        patches=lengths.patches,
        scored=completion,
        batch_patches=own * lengths.patches_mean,
        generated=max(at_once, own) if settings.vllm == "off" else 0,
        vllm_share=vllm_share(settings),
        pushes_whole=settings.vllm != "off" and settings.lora is not None,
        vllm_sleeps=bool(getattr(settings.trl, "vllm_enable_sleep_mode", False)),
    )
    chosen = division or division_of(settings.trl, num_gpus=gpus.num, width=model.shapes.hidden)
    weights = model.weights(settings)
    return device_memory(model.shapes, weights, chosen, work, gpu_bytes=gpus.memory)


def _at_once(batch: int, rollouts: int) -> int:
    """Rollouts that transformers generates at once: those of whole prompts, or a part of one's."""
    return min(batch, max(1, batch // rollouts) * rollouts) if rollouts else 0


def vllm_share(settings: GrpoSettings) -> float:
    """Return the share of a GPU that vLLM reserves beside the training."""
    if settings.vllm != "colocate":
        return 0.0
    return float(getattr(settings.trl, "vllm_gpu_memory_utilization", 0.3))


def vllm_problem(
    settings: GrpoSettings, model: TrainedModel, lengths: Lengths, gpus: Gpus
) -> ConfigError | None:
    """Return an error if vLLM's share of a GPU holds neither its weights nor one rollout."""
    if settings.vllm != "colocate" or gpus.memory is None:
        return None
    parallel = int(getattr(settings.trl, "vllm_tensor_parallel_size", 1))
    needed = _needed_by_vllm(model, lengths.prompt + settings.trl.max_completion_length) / parallel
    room = vllm_share(settings) * gpus.memory
    if needed <= room:
        return None
    return ConfigError(
        f"grpo: vLLM reserves {room / GIB:.0f} GiB of a GPU and needs {needed / GIB:.0f} for its"
        " weights and one rollout; raise trl.vllm_gpu_memory_utilization or"
        " trl.vllm_tensor_parallel_size"
    )


def evaluation_vllm_problem(
    settings: EvaluateSettings, model: TrainedModel, lengths: Lengths, gpu_bytes: float | None
) -> ConfigError | None:
    """Return an error if the vLLM of an evaluation has no room for its weights and one rollout."""
    if settings.vllm == "off" or gpu_bytes is None:
        return None
    needed = _needed_by_vllm(model, lengths.prompt + settings.max_tokens)
    room = settings.vllm_gpu_memory_utilization * gpu_bytes
    if needed <= room:
        return None
    return ConfigError(
        f"evaluate: vLLM reserves {room / GIB:.0f} GiB of a GPU and needs {needed / GIB:.0f} for"
        " its weights and one rollout; raise evaluate.vllm_gpu_memory_utilization, or serve the"
        " model on several GPUs (docs/benchmarks.md)"
    )


def _needed_by_vllm(model: TrainedModel, longest: int) -> float:
    """Bytes of the merged model in bfloat16, and of the keys and values of one rollout."""
    return 2 * model.total + model.shapes.cache(longest, 2)


def evaluation_memory(
    recipe: Recipe, model: TrainedModel, lengths: Lengths, gpu_bytes: float | None
) -> DeviceMemory:
    """Compute the memory of the one GPU that evaluates; weights are those that were saved.

    With vLLM, they are in the share of the GPU that it takes.
    """
    settings = recipe.evaluate
    by_vllm = settings.vllm != "off"
    weights = Weights(
        frozen=0 if by_vllm else model.total,
        trained=0,
        largest_layer=model.shapes.largest_layer,
        frozen_bytes=2 if recipe.model.dtype == "bfloat16" else 4,
        optimizer_bytes=0,
        bf16=False,
        checkpointing=True,
        reference=False,
    )
    work = Workload(
        sequences=0,
        length=lengths.prompt + settings.max_tokens,
        patches=0,
        scored=0,
        generated=0 if by_vllm else _at_once(settings.batch_rollouts, settings.num_rollouts),
        vllm_share=settings.vllm_gpu_memory_utilization if by_vllm else 0.0,
    )
    division = Division(engine="torch", num_gpus=1)
    return device_memory(model.shapes, weights, division, work, gpu_bytes=gpu_bytes)


def other_ways(
    settings: GrpoSettings, models: Mapping[bool, TrainedModel], lengths: Lengths, gpus: Gpus
) -> dict[str, DeviceMemory]:
    """Compute the memory of GRPO with all weights or adapters, plain or divided by ZeRO-3.

    Args:
        settings: Of the recipe.
        models: The model with all weights trained (False) and with adapters (True).
        lengths: Of the prompts.
        gpus: That it is trained on.
    """
    found = {}
    divisions = (
        Division(engine="torch", num_gpus=gpus.num),
        Division(engine="deepspeed", num_gpus=gpus.num, stage=3),
    )
    for has_adapters, name in ((False, ""), (True, "LoRA")):
        lora = (settings.lora or LoraSettings()) if has_adapters else None
        changed = settings.model_copy(update={"lora": lora})
        for division in divisions:
            memory = grpo_memory(changed, models[has_adapters], lengths, gpus, division)
            found[f"{name} {division.name}".strip()] = memory
    return found


_REMEDIES: Mapping[str, Mapping[str, str]] = {
    "sft": {
        "images of the batch": "lower model.max_pixels or sft.batch_prompts",
        "activations": "lower sft.micro_batch, or set sft.trl.gradient_checkpointing",
        "output head": "lower sft.micro_batch",
    },
    "grpo": {
        "images of the batch": "lower model.max_pixels or grpo.prompts_per_batch",
        "activations": "lower grpo.micro_batch, or set grpo.trl.gradient_checkpointing",
        "output head": "lower grpo.micro_batch",
        "keys and values": "lower grpo.refresh_batch or grpo.trl.max_completion_length",
        "whole weights to generate": "take GPUs with more memory, or train adapters (grpo.lora)",
        "whole weights to push": "take GPUs with more memory, or train all weights (no grpo.lora)",
        "vLLM": "lower grpo.trl.vllm_gpu_memory_utilization, or set"
        " grpo.trl.vllm_enable_sleep_mode",
    },
    "evaluate": {
        "keys and values": "lower evaluate.batch_rollouts or evaluate.max_tokens",
        "weights": "set model.dtype to bfloat16, or serve the model on several GPUs"
        " (docs/benchmarks.md)",
        "vLLM": "lower evaluate.vllm_gpu_memory_utilization",
    },
}
"""Stage -> largest part -> what to change."""


def fitting(memory: DeviceMemory, gpu_bytes: float, *, stage: str) -> ConfigError | None:
    """Return an error if the memory of a stage exceeds the GPU's, naming the largest part.

    Args:
        memory: Of the stage.
        gpu_bytes: Of a GPU.
        stage: `sft`, `grpo` or `evaluate`.
    """
    if memory.peak <= gpu_bytes:
        return None
    updates = memory.update >= memory.generation and stage != "evaluate"
    when, parts = (
        ("updating weights", memory.updating) if updates else ("generating", memory.generating)
    )
    part, size = max(parts.items(), key=lambda entry: entry[1])
    what = _REMEDIES[stage].get(
        part, f"divide the weights ({stage}.trl.deepspeed, ZeRO-3) or train adapters ({stage}.lora)"
    )
    return ConfigError(
        f"{stage}: {when} takes {memory.peak / GIB:.0f} GiB of a GPU that has"
        f" {gpu_bytes / GIB:.0f}, the most for {part} ({size / GIB:.0f} GiB); {what}:"
        " docs/scale.md"
    )
