"""What fits on 1, 8 and 32 GPUs of 80 GiB, and how long it takes: the tables of docs/scale.md.

    python benchmarks/scale_table.py

All numbers are computed as `vasari plan` does, from the recipes and the models' published sizes.
"""

from __future__ import annotations

import itertools
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from vasari.core.errors import ConfigError
from vasari.run.plan.budget import plan_grpo
from vasari.run.plan.costs import Throughput, generated_tokens, hours, updated_tokens
from vasari.run.plan.division import Division
from vasari.run.plan.lengths import prompt_lengths
from vasari.run.plan.memory import GIB, DeviceMemory
from vasari.run.plan.model import PlannedModel, planned_model
from vasari.run.plan.prompts import planned_prompts
from vasari.run.plan.stages import Gpus, Lengths, TrainedModel, grpo_memory
from vasari.run.recipe import Recipe, load_recipe
from vasari.train.settings import GrpoSettings, LoraSettings

RECIPES = Path(__file__).parents[1] / "recipes"
MODELS = {"3B": "mmr1_3b.yaml", "7B": "mmr1_7b.yaml", "32B": "mmr1_32b.yaml"}
PROMPTS_PER_BATCH = {1: 64, 8: 512, 32: 512}
"""GPUs -> prompts of a batch: the paper's 512, whose images alone would fill one GPU."""
GPU_GIB = 80
POOL = 15_000
"""Prompts of the paper's pool: a refresh of 32 rollouts each is 480,000 (arXiv:2509.21268)."""
COMPLETION = 1_000
"""Tokens of a rollout on average, for the hours: an assumption."""
PACES = ((1_000, 4_000), (2_500, 8_000), (5_000, 16_000))
"""Tokens a second of one GPU, generated and trained on, for the hours: assumptions."""
_MICRO = (64, 32, 16, 8, 4, 2, 1)
"""Micro-batches that are tried."""


@dataclass(frozen=True)
class Way:
    """A way to train a model: which weights, with which optimizer, divided how."""

    settings: Mapping[str, Any]
    """Settings of `grpo` that differ from the recipe's."""
    trl: Mapping[str, Any]
    """Settings under `trl` that differ from the recipe's."""
    zero_3: bool = False
    """Whether DeepSpeed's ZeRO-3 divides the state over the GPUs."""


_LORA: dict[str, Any] = {"lora": LoraSettings(), "freeze_vision": True}
WAYS = {
    "all weights": Way({}, {}),
    "frozen vision, 8-bit Adam, no KL": Way(
        {"freeze_vision": True}, {"optim": "adamw_8bit", "beta": 0.0}
    ),
    "all weights, ZeRO-3": Way({}, {}, zero_3=True),
    "LoRA, frozen vision": Way(_LORA, {}),
    "LoRA, frozen vision, ZeRO-3": Way(_LORA, {}, zero_3=True),
}


def main() -> None:
    """Print the tables."""
    print(fits_table())
    print()
    print(hours_table())


def fits_table() -> str:
    """Return which model fits which number of GPUs in which way, and with what settings."""
    rows = [f"| model | GPUs | {' | '.join(WAYS)} |", "|---|---:|" + "---|" * len(WAYS)]
    for name, file in MODELS.items():
        recipe = load_recipe(RECIPES / file)
        model = planned_model(recipe, RECIPES)
        lengths = prompt_lengths({}, (), recipe, model.config, [])
        for num_gpus in PROMPTS_PER_BATCH:
            cells = [best_fit(recipe, model, lengths, way, num_gpus) for way in WAYS.values()]
            rows.append(f"| {name} | {num_gpus} | {' | '.join(cells)} |")
    return "\n".join(rows)


def best_fit(recipe: Recipe, model: PlannedModel, lengths: Lengths, way: Way, num_gpus: int) -> str:
    """Return the largest micro-batch that fits; where none does, what a micro-batch of 1 takes."""
    changed = changed_settings(recipe, way, num_gpus)
    trained = model.as_trained(changed)
    fitting = {
        micro: memory
        for micro in _MICRO
        if (memory := memory_of(changed, trained, lengths, way, num_gpus, micro))
        and memory.peak <= GPU_GIB * GIB
    }
    if not fitting:
        memory = memory_of(changed, trained, lengths, way, num_gpus, 1)
        if memory is None:
            return "-"
        return f"no: {memory.peak / GIB:,.0f} GiB, {memory.update / GIB:,.0f} to update"
    micro = max(fitting)
    return f"{micro}: {fitting[micro].peak / GIB:.0f} GiB"


def changed_settings(recipe: Recipe, way: Way, num_gpus: int) -> GrpoSettings:
    """Return a recipe's GRPO settings for a way to train."""
    if recipe.grpo is None:
        raise ConfigError(f"recipe {recipe.name} has no grpo section")
    trl = recipe.grpo.trl.model_copy(update=dict(way.trl) | {"vllm_enable_sleep_mode": True})
    changes = {"prompts_per_batch": PROMPTS_PER_BATCH[num_gpus], "trl": trl}
    return recipe.grpo.model_copy(update=changes | dict(way.settings))


def memory_of(
    settings: GrpoSettings,
    model: TrainedModel,
    lengths: Lengths,
    way: Way,
    num_gpus: int,
    micro: int,
) -> DeviceMemory | None:
    """Return the memory of one GPU; None where micro-batches do not divide a batch."""
    # vLLM's weights in bfloat16, over up to 8 GPUs if they are large, and 10 GiB for its cache.
    parallel = min(num_gpus, 8) if model.total > 20e9 else 1
    share = min(0.95, (2 * model.total / parallel + 10 * GIB) / (GPU_GIB * GIB))
    trl = settings.trl.model_copy(update={"vllm_gpu_memory_utilization": share})
    sized = settings.model_copy(update={"micro_batch": micro, "trl": trl})
    division = Division(engine="deepspeed" if way.zero_3 else "torch", stage=3, num_gpus=num_gpus)
    gpus = Gpus(num=num_gpus, memory=GPU_GIB * GIB, beside=32)
    try:
        return grpo_memory(sized, model, lengths, gpus, division)
    except ConfigError:
        return None


def hours_table() -> str:
    """Return the hours of the paper's schedule on each number of GPUs, refreshes beside updates."""
    recipe = load_recipe(RECIPES / MODELS["7B"])
    prompts = planned_prompts(recipe, folder=Path("nowhere"), assumed=POOL)
    plan = plan_grpo(recipe, prompts, [])
    if plan is None:
        raise ConfigError(f"recipe {recipe.name} has no grpo section")
    lengths = prompt_lengths({}, (), recipe, planned_model(recipe, RECIPES).config, [])
    training = plan.training
    trained = updated_tokens(training, prompt=lengths.prompt_mean, completion=COMPLETION)
    rows = [
        "| tokens a second of a GPU | GPUs | batches | refreshes | updates |",
        "|---|---:|---:|---:|---:|",
    ]
    for (generated, updated), num_gpus in itertools.product(PACES, PROMPTS_PER_BATCH):
        pace = Throughput(generated=generated, updated=updated, completion=COMPLETION)
        tokens = generated_tokens(plan.rollouts, dict.fromkeys(plan.rollouts, 4096), pace)
        found = hours(tokens, trained, pace, num_gpus=num_gpus)
        cells = " | ".join(f"{found[name]:,.1f}" for name in ("train", "refresh", "updates"))
        rows.append(f"| {generated:,} and {updated:,} | {num_gpus} | {cells} |")
    counted = (
        f"{training.train.most:,} rollouts in {training.batches} batches;"
        f" {len(training.refreshes)} refreshes of {training.refresh_cycle:,} are"
        f" {training.refresh.most:,} rollouts, {training.refresh_ratio:.2f} for each that trains."
    )
    return f"{counted}\n\n" + "\n".join(rows)


if __name__ == "__main__":
    main()
