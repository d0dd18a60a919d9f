"""What a curation would ask, and what that costs, before anything is sent."""

from __future__ import annotations

import contextlib
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path

from vasari.core.errors import DataError
from vasari.curate.recipe import CurationRecipe
from vasari.curate.run.engine import Engine, LocalEngine
from vasari.curate.run.job import locked
from vasari.curate.run.models import Models
from vasari.curate.run.pipeline import Run, Show
from vasari.curate.run.rows import PromptRows
from vasari.curate.run.stages import Requests, later_stages, local_stages
from vasari.curate.stage import AskedModel
from vasari.endpoint import Forecast, Request, forecast

_CHUNK = 1024


@dataclass(frozen=True, slots=True, kw_only=True)
class DryRun:
    """A curation as far as it can be known before a model is asked."""

    num_prompts: int
    """Prompts that the local stages keep."""
    stages: Mapping[str, Forecast]
    """By stage: at most, as if no stage before it dropped a prompt and no drawing ended early."""
    unknown: Mapping[str, str] = field(default_factory=dict)
    """Stages of the user's own that ask a model, and its name: what they will ask, only they
    know."""


def dry_run(
    recipe: CurationRecipe,
    *,
    base: Path,
    root: Path,
    engine: Engine | None = None,
    show: Show | None = None,
) -> DryRun:
    """Run the local stages and forecast the others; nothing is sent, and no key is needed.

    The later a stage, the further its forecast lies above the truth: what grading will drop is not
    known yet.

    Raises:
        ConfigError: A setting does not fit the data.
        DataError: A source has not the shape that was expected.
        StateError: Another process works in the folder.
        StorageError: The disk refused.
    """
    root = root.resolve()
    with locked(root), Models(recipe, base=base, root=root) as models:
        run = Run(recipe=recipe, base=base, root=root, engine=engine or LocalEngine(), show=show)
        run.read()
        for stage in local_stages(recipe, base):
            run.do(stage)
        prompts = PromptRows(run.outputs[-1].parts, root)
        found = {}
        unknown = {}
        for stage in later_stages(recipe, base, models):
            if stage.requests is None:
                unknown[stage.name] = str(stage.model)
            for requests in stage.requests or ():
                model = models(str(stage.model))
                found[requests.label] = forecast(
                    model.settings,
                    model.store,
                    _all_requests(prompts, requests, model),
                    num_responses=requests.times,
                )
        return DryRun(num_prompts=run.outputs[-1].num_kept, stages=found, unknown=unknown)


def _all_requests(prompts: PromptRows, requests: Requests, model: AskedModel) -> Iterator[Request]:
    for start in range(0, len(prompts), _CHUNK):
        for prompt in requests.wanted(prompts[start : start + _CHUNK]):
            # The stage drops a prompt without asking where no request can be made.
            with contextlib.suppress(DataError):
                yield requests.make(prompt, model)
