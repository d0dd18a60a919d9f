"""The quickstart: the commands of a recipe in a row, with a recipe that ships with the package."""

from __future__ import annotations

from collections.abc import Sequence
from importlib import resources
from pathlib import Path

from vasari.cli.commands import gallery_command, report_command, starting_point
from vasari.core.plugins import names_from_a_file
from vasari.model.path import require_training
from vasari.run.evaluation import run_evaluation
from vasari.run.folder import open_run
from vasari.run.prompts import prepare_prompts
from vasari.run.recipe import load_recipe
from vasari.sample import make_sampler

ALL = "all"
"""Compares the recipe's sampler with uniform prompts and VAS, from the same cold start."""

FROM_SCRATCH = (
    "model.path=null",
    "model.new={}",
    "sft.learning_rate=0.002",
    "sft.epochs=12",
)
"""What changes without the base: everything is learnt from the demonstrations, which takes far
longer."""


def run_quickstart(
    out: Path,
    *,
    sampler: str | None,
    tiny: bool,
    from_scratch: bool,
    overrides: Sequence[str],
    resume: bool,
) -> None:
    """Prompts, cold start, reinforcement training, evaluation, gallery and report in one folder.

    Raises:
        ConfigError: There is no such sampler.
    """
    require_training()
    from vasari.run.training import run_grpo, run_sft  # noqa: PLC0415  (torch takes seconds to import)

    path = Path(
        str(
            resources.files("vasari")
            / "assets"
            / "recipes"
            / ("quickstart_tiny.yaml" if tiny else "quickstart.yaml")
        )
    )
    recipe = load_recipe(path, [*(FROM_SCRATCH if from_scratch else ()), *overrides])
    own = recipe.sampler.name
    arms = list(dict.fromkeys(["uniform", "vas", own])) if sampler == ALL else [sampler or own]
    with names_from_a_file():
        for arm in arms:  # a wrong name is refused before the cold start is paid for
            make_sampler(arm, num_prompts=1, seed=0, **recipe.sampler.of(arm))
    run = open_run(recipe, out)
    prompts = prepare_prompts(recipe, run, recipe_folder=path.parent)
    gallery_command(run.root / "gallery.html", per_level=1, seed=recipe.seed)
    run_sft(recipe, run, prompts, resume=resume)
    for arm in arms:
        run_grpo(recipe, run, prompts, arm=arm, start=starting_point(recipe, run), resume=resume)
    run_evaluation(recipe, run, prompts)
    report_command(run.root)
