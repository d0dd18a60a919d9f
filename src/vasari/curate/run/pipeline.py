"""Runs the stages of a curation in order, skipping stages and shards that are done already."""

from __future__ import annotations

import contextlib
import dataclasses
from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from contextlib import AbstractContextManager
from dataclasses import dataclass, field
from functools import cached_property, partial
from pathlib import Path
from typing import Any

import numpy as np

from vasari.core.errors import StateError
from vasari.core.progress import Tell, silent
from vasari.curate.recipe import CurationRecipe
from vasari.curate.run.engine import Engine, LocalEngine, Work
from vasari.curate.run.models import Models
from vasari.curate.run.reading import images_are_lost, read_entries
from vasari.curate.run.rows import Shard, read_shard, row_starts
from vasari.curate.run.shards import StageFolder, source_of
from vasari.curate.run.stage_type import Decide, Given, Stage
from vasari.curate.run.stages import stages_of
from vasari.curate.stage import check_result

Show = Callable[[str], AbstractContextManager[Tell]]
"""Function that shows the progress of the stage with the given name."""

_WRITING = 0.25
"""Time to write a prepared row's shard, for each row, in readings of a row."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Planned:
    """A stage of a run: what its results depend on, and the folder that it fills."""

    stage: Stage
    folder: Path
    settings: Mapping[str, Any]


@dataclass(kw_only=True)
class Run:
    """One run of a curation recipe in a folder, with the outputs of the stages done so far."""

    recipe: CurationRecipe
    base: Path
    """Folder that the recipe's paths are relative to."""
    root: Path
    """Folder of the run."""
    models: Models
    engine: Engine = field(default_factory=LocalEngine)
    show: Show | None = None
    retry_failed: bool = False
    """Send again the requests that failed for good in an earlier run."""
    outputs: list[StageFolder] = field(default_factory=list)
    """Stages that are done, in order."""
    skipped: set[str] = field(default_factory=set)
    """Sets whose later stages have no input, since a dry run left out a stage before them."""

    @cached_property
    def given(self) -> Given:
        """What the stages' decisions are made from."""
        return Given(recipe=self.recipe, base=self.base, models=self.models)

    @cached_property
    def plan(self) -> Sequence[Planned]:
        """The stages of the recipe with their settings: reading these finds what is missing."""
        return [
            Planned(
                stage=stage,
                folder=self.root / "stages" / _folder_name(stage, number),
                settings=stage.settings(stage.part(self.recipe), self.given),
            )
            for number, stage in enumerate(stages_of(self.recipe))
        ]

    def before(self, stage: Stage) -> StageFolder | None:
        """Output of the last stage done for the same set; None if the stage is the first."""
        own = (one for one in reversed(self.outputs) if one.branch in (stage.branch, "both"))
        return next(own, None)

    def output(self, planned: Planned) -> StageFolder:
        """The folder of a stage's output, for the input that the stage before has left."""
        stage, before = planned.stage, self.before(planned.stage)
        return StageFolder(
            planned.folder,
            name=stage.name,
            title=stage.title,
            asks=stage.model(self.recipe) is not None,
            branch=stage.branch,
            settings=planned.settings,
            inputs=before.hashes if before is not None else (),
        )

    def do(self, planned: Planned) -> None:
        """Run a stage, unless done, on the prompts kept by the stage before it for the same set.

        Raises:
            StateError: The run was stopped (budget, interrupt, a server that is down); the same
                command goes on.
        """
        stage, before, folder = planned.stage, self.before(planned.stage), self.output(planned)
        if not folder.open(retry_failed=self.retry_failed and not stage.spread):
            with self._watch(folder) as tell:
                if before is None:
                    num_shards = self._read(folder)
                else:
                    num_shards = len(before.parts)
                    work = self._spread if stage.spread else self._work
                    work(stage, folder, before.parts, tell)
            folder.close(num_shards)
        elif before is None and images_are_lost(folder, self.root):
            with self._watch(folder):
                self._read(folder)
        self.outputs.append(folder)

    def knows_input(self, stage: Stage) -> bool:
        """Whether no stage before this one was left out."""
        return not self.skipped & {stage.branch, "both"}

    def do_without_asking(self, planned: Planned) -> bool:
        """Run a stage that is done already, or asks no model and has its input; whether it ran."""
        stage = planned.stage
        asks = stage.model(self.recipe) is not None
        if self.knows_input(stage) and (not asks or self.output(planned).is_done):
            self.do(planned)
            return True
        self.skipped.add(stage.branch)
        return False

    def _read(self, folder: StageFolder) -> int:
        """Read prompts from the recipe's sources into shards on disk; return their number."""
        return read_entries(
            folder,
            self.recipe.sources,
            self.base,
            seed=self.recipe.seed,
            root=self.root,
            shard_rows=self.recipe.shard_rows,
        )

    def _spread(self, stage: Stage, folder: StageFolder, parts: Sequence[Path], tell: Tell) -> None:
        """Process the shards that are not finished yet, in the processes of the engine."""
        numbers = [number for number in range(len(parts)) if not folder.has(number)]
        # Bound here, since a stage itself cannot go to another process.
        assert stage.make is not None  # noqa: S101  (only reading has none)
        given = self.given.for_workers()
        decision = partial(stage.make, stage.part(given.recipe), given, parts)
        make = partial(_shard_work, stage.name, decision, folder, parts, self.root)
        for done, _ in enumerate(self.engine.run(make, numbers), start=1):
            tell(done, len(numbers))

    def _work(self, stage: Stage, folder: StageFolder, parts: Sequence[Path], tell: Tell) -> None:
        """Process the shards that are not finished yet, in this process."""
        sizes = np.diff(row_starts(parts)).tolist()
        todo = [number for number in range(len(parts)) if not folder.has(number)]
        # Of what this run has to do; what an earlier one did says nothing about the time left.
        onward = _Onward(tell, sum(sizes[number] for number in todo), self._weights(stage))
        given = dataclasses.replace(self.given, prepared=onward.prepared)
        decide = stage.decision(given, parts) if todo else None
        for number in todo:
            shard = read_shard(parts[number], self.root, number=number)
            onward.begin(sizes[number])
            shard.progress = onward.within
            assert decide is not None  # noqa: S101  (something is to do)
            _finish(stage.name, folder, shard, decide, self.root)
            onward.end()

    def _weights(self, stage: Stage) -> list[int]:
        """Answers a prompt of each round of requests that a stage makes for a shard."""
        rounds = stage.requests(stage.part(self.recipe), self.recipe) if stage.requests else ()
        return [one.times for one in rounds] or [1]

    def _watch(self, folder: StageFolder) -> AbstractContextManager[Tell]:
        if self.show is None:
            return contextlib.nullcontext(silent)
        name = folder.name if folder.branch == "both" else f"{folder.branch}: {folder.name}"
        return self.show(name.replace("_", " "))


def _finish(name: str, folder: StageFolder, shard: Shard, decide: Decide, root: Path) -> None:
    """Run a stage on one shard, and write the kept prompts, the dropped rows and the counts."""
    result = check_result(decide(shard), len(shard.prompts), stage=name)
    dropped = sum(drop.reason == "not_asked" for drop in result.dropped)
    waiting = dropped or result.counts.get("not_asked", 0)
    if waiting and folder.asks:
        raise StateError(
            f"stage {name!r} was stopped before it had asked about {waiting} prompts:"
            f" {shard.stopped_by or 'it does not say why'}; every answer so far is kept, and the"
            " same command goes on"
        )
    folder.write(
        shard.number,
        given=Counter(map(source_of, shard.prompts)),
        kept=result.kept,
        facts=shard.facts,
        dropped=[(source_of(shard.prompts[drop.index]), drop) for drop in result.dropped],
        notes=result.counts,
        failures=shard.failures,
        root=root,
    )


class _Onward:
    """Progress of a stage over shards, in rows: preparation and rounds count by their time."""

    def __init__(self, tell: Tell, total: int, rounds: Sequence[int]) -> None:
        self._tell, self._total, self._prepared = tell, total, 0
        self._rounds = [one / sum(rounds) for one in rounds]
        self._done = self._size = self._round = self._last = 0

    def prepared(self, done: int, total: int, note: str = "") -> None:
        """Tell how much of the preparation is done, in readings of a row."""
        self._prepared = total
        self._tell(done, total + round(_WRITING * self._total), note)

    def begin(self, size: int) -> None:
        """Begin a shard of so many rows."""
        self._size, self._round, self._last = size, 0, 0

    def within(self, done: int, total: int) -> None:
        """Tell how much of the shard's round of requests is done; a step back begins the next."""
        if done < self._last:
            self._round = min(self._round + 1, len(self._rounds) - 1)
        self._last = done
        share = sum(self._rounds[: self._round])
        share += self._rounds[self._round] * done / max(total, 1)
        self._show(self._done + share * self._size)

    def end(self) -> None:
        """End the shard."""
        self._done += self._size
        self._show(self._done)

    def _show(self, rows: float) -> None:
        each = _WRITING if self._prepared else 1.0
        whole = self._prepared + round(each * self._total)
        self._tell(self._prepared + round(each * rows), whole)


def _shard_work(
    name: str,
    decision: Callable[[], Decide],
    folder: StageFolder,
    parts: Sequence[Path],
    root: Path,
) -> Work:
    decide = decision()

    def work(number: int) -> None:
        _finish(name, folder, read_shard(parts[number], root, number=number), decide, root)

    return work


def _folder_name(stage: Stage, number: int) -> str:
    name = stage.name if stage.branch == "both" else f"{stage.branch}-{stage.name}"
    return f"{number:02d}-{name}"
