"""Runs the stages of a curation in order, skipping stages and shards that are done already."""

from __future__ import annotations

import contextlib
from collections import Counter
from collections.abc import Callable, Sequence
from contextlib import AbstractContextManager
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path

from vasari.core.errors import StateError
from vasari.core.progress import Tell, silent
from vasari.curate.recipe import CurationRecipe
from vasari.curate.run.engine import Engine, LocalEngine, Work
from vasari.curate.run.reading import read_entries, source_state
from vasari.curate.run.rows import Shard, read_shard, row_starts
from vasari.curate.run.shards import StageFolder, source_of
from vasari.curate.run.stages import Decide, Stage
from vasari.curate.stage import check_result

Show = Callable[[str], AbstractContextManager[Tell]]
"""Function that shows the progress of the stage with the given name."""


@dataclass(kw_only=True)
class Run:
    """One run of a curation recipe in a folder, with the outputs of the stages done so far."""

    recipe: CurationRecipe
    base: Path
    """Folder that the recipe's paths are relative to."""
    root: Path
    """Folder of the run."""
    engine: Engine = field(default_factory=LocalEngine)
    show: Show | None = None
    retry_failed: bool = False
    """Send again the requests that failed for good in an earlier run."""
    outputs: list[StageFolder] = field(default_factory=list)
    """Stages that are done, in order."""

    def read(self) -> None:
        """Read prompts from the recipe's sources into shards on disk, as the first stage."""
        recipe = self.recipe
        settings = {
            "sources": [
                source_state(entry, self.base, seed=recipe.seed) for entry in recipe.sources
            ],
            "shard_rows": recipe.shard_rows,
        }
        folder = StageFolder(
            self.root / "stages" / "00-read", name="read", branch="both", settings=settings
        )
        if not folder.open():
            with self._watch(folder):
                num_shards = read_entries(
                    folder,
                    recipe.sources,
                    self.base,
                    seed=recipe.seed,
                    root=self.root,
                    shard_rows=recipe.shard_rows,
                )
            folder.close(num_shards)
        self.outputs.append(folder)

    def do(self, stage: Stage) -> None:
        """Run a stage, unless done, on the prompts kept by the stage before it for the same set.

        Raises:
            StateError: The run was stopped (budget, interrupt, a server that is down); the same
                command goes on.
        """
        before = next(
            output for output in reversed(self.outputs) if output.branch in (stage.branch, "both")
        )
        name = stage.name if stage.branch == "both" else f"{stage.branch}-{stage.name}"
        folder = StageFolder(
            self.root / "stages" / f"{len(self.outputs):02d}-{name}",
            name=stage.name,
            branch=stage.branch,
            settings=stage.settings,
            inputs=before.hashes,
        )
        if not folder.open(retry_failed=self.retry_failed and not stage.spread):
            with self._watch(folder) as tell:
                if stage.spread:
                    self._spread(stage, folder, before.parts, tell)
                else:
                    self._work(stage, folder, before.parts, tell)
            folder.close(len(before.parts))
        self.outputs.append(folder)

    def _spread(self, stage: Stage, folder: StageFolder, parts: Sequence[Path], tell: Tell) -> None:
        """Process the shards that are not finished yet, in the processes of the engine."""
        numbers = [number for number in range(len(parts)) if not folder.has(number)]
        make = partial(_shard_work, stage, folder, parts, self.root)
        for done, _ in enumerate(self.engine.run(make, numbers), start=1):
            tell(done, len(numbers))

    def _work(self, stage: Stage, folder: StageFolder, parts: Sequence[Path], tell: Tell) -> None:
        """Process the shards that are not finished yet, in this process."""
        starts, decide = row_starts(parts), None
        for number, first in enumerate(starts[:-1]):
            if not folder.has(number):
                decide = decide or stage.make(parts)
                shard = read_shard(parts[number], self.root, number=number)
                shard.progress = partial(_onward, tell, first, starts[-1])
                _finish(stage, folder, shard, decide, self.root)
            tell(starts[number + 1], starts[-1])

    def _watch(self, folder: StageFolder) -> AbstractContextManager[Tell]:
        if self.show is None:
            return contextlib.nullcontext(silent)
        name = folder.name if folder.branch == "both" else f"{folder.branch}: {folder.name}"
        return self.show(name.replace("_", " "))


def _finish(stage: Stage, folder: StageFolder, shard: Shard, decide: Decide, root: Path) -> None:
    """Run a stage on one shard, and write the kept prompts, the dropped rows and the counts."""
    result = check_result(decide(shard), len(shard.prompts), stage=stage.name)
    dropped = sum(drop.reason == "not_asked" for drop in result.dropped)
    waiting = dropped or result.counts.get("not_asked", 0)
    if waiting and stage.model is not None:
        raise StateError(
            f"stage {stage.name!r} was stopped before it had asked about {waiting} prompts"
            " (interrupt, budget, or a server that is down); every answer so far is kept, and the"
            " same command goes on"
        )
    folder.write(
        shard.number,
        given=Counter(map(source_of, shard.prompts)),
        kept=result.kept,
        facts=shard.facts,
        dropped=[(source_of(shard.prompts[drop.index]), drop) for drop in result.dropped],
        notes=result.counts,
        root=root,
    )


def _onward(tell: Tell, first: int, total: int, done: int, _: int) -> None:
    tell(first + done, total)


def _shard_work(stage: Stage, folder: StageFolder, parts: Sequence[Path], root: Path) -> Work:
    decide = stage.make(parts)

    def work(number: int) -> None:
        shard = read_shard(parts[number], root, number=number)
        _finish(stage, folder, shard, decide, root)

    return work
