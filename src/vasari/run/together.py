"""A run opened by all processes that train it, and what must be the same in all of them."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from vasari.core.records import Prompt
from vasari.run.folder import open_run
from vasari.run.layout import RunDir
from vasari.run.prompts import prepare_prompts
from vasari.run.recipe import Recipe
from vasari.train.agreement import (
    compare_clocks,
    model_files,
    prompt_contents,
    require_same,
    require_same_rows,
    require_same_versions,
    require_shared,
)
from vasari.train.processes import Processes


def open_together(
    processes: Processes,
    recipe: Recipe,
    out: Path | None,
    *,
    recipe_folder: Path,
    options: Mapping[str, Any],
) -> tuple[RunDir, dict[str, list[Prompt]]]:
    """Return the run's folder and its prompts by split, the same in every process.

    Args:
        processes: That train together.
        recipe: As this process read it.
        out: Folder of the run; None: by the recipe's name.
        recipe_folder: What paths in the recipe are relative to.
        options: Of the command, beside the recipe.

    Raises:
        StateError: A process has another version, recipe or option, does not see the run's folder,
            or has other prompts; names it, its machine, and what differs.
    """
    if processes.many:
        require_same_versions(processes)
        facts = {**options, **recipe.model_dump(mode="json")}
        require_same(processes, facts, advice="give every machine the same recipe and options")
        compare_clocks(processes)
    run = processes.main_first(lambda: open_run(recipe, out))
    require_shared(processes, run.root)
    prompts = processes.main_first(
        lambda: prepare_prompts(recipe, run, recipe_folder=recipe_folder)
    )
    if processes.many:
        advice = "give every machine the same data"
        require_same(processes, {"prompts": sorted(prompts)}, advice=advice)
        # One exchange a split: all processes must come to them in one order.
        for split, own in sorted(prompts.items()):
            require_same_rows(processes, split, [p.id for p in own], prompt_contents(own))
    return run, prompts


def require_same_model(processes: Processes, path: str) -> None:
    """Raise if a process finds another model at the path than the main one.

    Raises:
        StateError: As `require_same`.
    """
    if processes.many:
        require_same(
            processes,
            model_files(path),
            what="model",
            advice="put the same model on every machine, or on a disk that they share",
        )
