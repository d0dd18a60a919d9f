"""Throughput of this machine for a recipe, measured by a few real steps."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from vasari.core.records import Prompt
from vasari.run.plan.costs import Throughput
from vasari.run.plan.memory import GIB
from vasari.run.recipe import Recipe
from vasari.sample import make_sampler
from vasari.train.calibration import calibrate
from vasari.train.run_grpo import GrpoTraining


def calibrated(
    recipe: Recipe,
    model_path: str,
    pool: Sequence[Prompt],
    *,
    stated: Throughput,
    prompt_tokens: float,
) -> tuple[Throughput, str]:
    """Return the measured throughput, and a line on how it was measured.

    Args:
        recipe: With a `grpo` section.
        model_path: Folder or hub name of the recipe's model.
        pool: Prompts at hand.
        stated: What the user says, which goes before what is measured.
        prompt_tokens: Tokens of a prompt on average.

    Raises:
        VasariError: The model cannot be loaded, or a step fails.
    """
    assert recipe.grpo is not None  # noqa: S101  (the caller's)
    training = GrpoTraining(
        model_path=model_path,
        prompts=pool,
        sampler=make_sampler("uniform", num_prompts=len(pool), seed=recipe.seed),
        settings=recipe.grpo,
        system=recipe.model.system,
        out=Path(),
        seed=recipe.seed,
        max_pixels=recipe.model.max_pixels,
        thinking=recipe.model.thinking,
        attn_implementation=recipe.model.attn_implementation,
    )
    found = calibrate(training, prompt_tokens=prompt_tokens)
    memory = "" if found.peak_bytes is None else f", {found.peak_bytes / GIB:.1f} GiB of GPU memory"
    note = (
        f"calibrated on one process in {found.seconds:.0f} s with {found.rollouts} rollouts at once"
        f" of the model before any training: {found.generated:,.0f} tokens generated and"
        f" {found.updated:,.0f} trained on a second, {found.completion:,.0f} tokens a rollout,"
        f" {found.truncated:.0%} cut{memory}; larger batches generate faster"
    )
    throughput = Throughput(
        generated=stated.generated or found.generated,
        updated=stated.updated or found.updated,
        completion=stated.completion or found.completion,
        measured=True,
    )
    return throughput, note
