"""Settings of a shrunk recipe: fewer rows and steps, and nothing that only GPUs have."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

from vasari.core.errors import ConfigError
from vasari.core.plugins import names_from_a_file
from vasari.run.recipe import Recipe
from vasari.sample import make_sampler

BATCHES = 4
"""Batches of reinforcement training: one before it is killed, and a refresh after that."""
MAX_TOKENS = 32
"""Longest rollout of a small copy, in tokens; a shipped model keeps its own limit."""
MAX_PIXELS = 50_176
"""Most pixels of an image, where the recipe limits them."""

_SAMPLER = {"refresh_every": 2, "num_refresh_rollouts": 2}
_TASKS = {
    "num_cold_start": 16,
    "num_train": 16,
    "num_validation": 4,
    "num_test": 8,
    "num_held_out_style": 4,
}
_FOR_GPUS: Mapping[str, Any] = {
    "deepspeed": None,
    "fsdp": None,
    "fsdp_config": None,
    "use_liger_kernel": False,
    "report_to": [],
}
"""Setting of TRL -> its value on a CPU, where a run is not worth a tracker either."""

_OF_TRACKERS = (
    "run_name",
    "project",
    "trackio_space_id",
    "trackio_bucket_id",
    "trackio_static_space_id",
)


def shrunk_settings(recipe: Recipe, *, model_path: str | None, files: Mapping[str, str]) -> Any:
    """Return the content of a shrunk recipe, for YAML.

    Args:
        recipe: The recipe.
        model_path: Folder of the small model, relative to the shrunk recipe; None: its own.
        files: Path of each split's prompt file, relative to the shrunk recipe.
    """
    content = recipe.model_dump(mode="json")
    content["shrunk_from"] = recipe.model.path or "a new model"
    if recipe.prompts.tasks is not None:
        tasks = content["prompts"]["tasks"]
        tasks.update({key: min(tasks[key], most) for key, most in _TASKS.items()})
    else:
        content["prompts"]["files"].update({**files, "limit": None})
    model = content["model"]
    if model_path is not None:
        model["path"] = model_path
    if model["max_pixels"] is not None:
        model["max_pixels"] = min(model["max_pixels"], MAX_PIXELS)
    if (model["attn_implementation"] or "").startswith("flash"):
        model["attn_implementation"] = None
    for section in ("sft", "grpo"):
        if content[section] is not None:
            _without_gpus(content[section]["trl"])
    if recipe.sft is not None:
        content["sft"] |= {"epochs": 1.0, "batch_prompts": 4, "micro_batch": 2, "validate_every": 2}
    if recipe.grpo is not None:
        content["sampler"]["settings"] |= _less_refreshing(recipe)
        _shrink_grpo(content["grpo"])
    content["evaluate"] |= {"num_rollouts": min(2, recipe.evaluate.num_rollouts), "vllm": "off"}
    if model_path is not None:
        _shorten(content)
    return content


def settings_differences(
    before: Any, after: Any, place: str = ""
) -> Iterator[tuple[str, Any, Any]]:
    """Yield what differs between two settings: its key, its value before and after."""
    if isinstance(before, dict) and isinstance(after, dict):
        for key in dict.fromkeys((*before, *after)):
            yield from settings_differences(
                before.get(key), after.get(key), f"{place}.{key}" if place else str(key)
            )
    elif before != after:
        yield place, before, after


def _without_gpus(trl: dict[str, Any]) -> None:
    trl.update({key: value for key, value in _FOR_GPUS.items() if trl.get(key)})
    unread = ["liger_kernel_config", *_OF_TRACKERS]
    optimizer = str(trl.get("optim", ""))
    if "8bit" in optimizer or optimizer.startswith("paged_"):
        trl["optim"] = "adamw_torch"
        unread += ["optim_args", "optim_target_modules"]
    for key in unread:
        trl.pop(key, None)  # nothing would read it any more, which is an error


def _less_refreshing(recipe: Recipe) -> dict[str, int]:
    """Settings under which the recipe's sampler refreshes within the few batches, if it does."""
    name, settings = recipe.sampler.name, recipe.sampler.settings
    fewer = {}
    for key, value in _SAMPLER.items():
        try:
            with names_from_a_file():
                make_sampler(name, num_prompts=1, seed=0, **(settings | {key: value}))
        except ConfigError:
            continue  # a sampler without refreshes
        fewer[key] = value
    return fewer


def _shrink_grpo(grpo: dict[str, Any]) -> None:
    updates, rollouts = grpo["updates_per_batch"], min(8, grpo["rollouts_per_prompt"])
    prompts = next(count for count in range(4, 4 + updates) if not count * rollouts % updates)
    per_update = prompts * rollouts // updates
    most = min(8, grpo["micro_batch"])
    micro = next(count for count in range(most, 0, -1) if not per_update % count)
    grpo |= {
        "steps": BATCHES * updates,
        "prompts_per_batch": min(prompts, grpo["prompts_per_batch"]),
        "rollouts_per_prompt": rollouts,
        "micro_batch": micro,
        "validate_every": updates,
        "save_every": updates,
        "refresh_batch": min(64, grpo["refresh_batch"]),
        "vllm": "off",
    }


def _shorten(content: dict[str, Any]) -> None:
    """Limit rollouts to what a model that was taught short answers needs."""
    trl = (content["grpo"] or {}).get("trl", {"max_completion_length": MAX_TOKENS})
    for settings, key in ((trl, "max_completion_length"), (content["evaluate"], "max_tokens")):
        settings[key] = min(MAX_TOKENS, settings[key])
