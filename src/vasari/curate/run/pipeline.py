"""The stages of a curation in order, each from the shards of the one before; what is done already
is not done again.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from contextlib import AbstractContextManager
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path
from typing import Any

from vasari.core.errors import StateError
from vasari.core.progress import Tell, silent
from vasari.core.records import Prompt
from vasari.curate.recipe import CurationRecipe
from vasari.curate.run.engine import Engine, LocalEngine, Work
from vasari.curate.run.rows import ImageFacts, num_rows, read_rows
from vasari.curate.run.shards import Lost, Stage, StageOutput
from vasari.curate.stage import StageResult, check_result

Show = Callable[[str], AbstractContextManager[Tell]]
"""Shows the progress of the stage with this name."""

Progress = Callable[[int, int], None]
"""Told the prompts done and their total."""

Decide = Callable[[Sequence[Prompt], int, Progress], StageResult]
"""What becomes of the prompts of a shard, the first of which is this one of the stage's."""


@dataclass(kw_only=True)
class Run:
    """One run of a recipe in a folder."""

    recipe: CurationRecipe
    base: Path
    """Folder that the recipe's paths are relative to."""
    root: Path
    """Folder of the run."""
    engine: Engine = field(default_factory=LocalEngine)
    show: Show | None = None
    retry_failed: bool = False
    """Ask again what failed for good in an earlier run."""
    outputs: list[StageOutput] = field(default_factory=list)
    """Stages that are done, in order."""

    def stage(
        self, name: str, branch: str, settings: Mapping[str, Any], inputs: Sequence[str]
    ) -> Stage:
        """A stage's folder, numbered by its place in the run."""
        folder = (
            self.root
            / "stages"
            / f"{len(self.outputs):02d}-{name if branch == 'both' else f'{branch}-{name}'}"
        )
        return Stage(folder, name=name, branch=branch, settings=settings, inputs=inputs)

    def done(self, stage: Stage) -> StageOutput:
        """Take a finished stage into the run."""
        output = stage.result()
        self.outputs.append(output)
        return output

    def watch(self, stage: Stage) -> AbstractContextManager[Tell]:
        """Shows a stage's progress."""
        name = stage.name if stage.branch == "both" else f"{stage.branch}: {stage.name}"
        return self.show(name.replace("_", " ")) if self.show is not None else _Unwatched()

    def apply(
        self,
        name: str,
        before: StageOutput,
        decide: Decide,
        *,
        settings: Mapping[str, Any],
        branch: str = "both",
    ) -> StageOutput:
        """Decide about every prompt in this process, shard by shard.

        Raises:
            StateError: The run was stopped (budget, interrupt, a server that is down); the same
                command goes on.
        """
        stage = self.stage(name, branch, settings, before.hashes)
        if not stage.open(retry_failed=self.retry_failed):
            with self.watch(stage) as shown:
                first = 0
                for number, path in enumerate(before.parts):
                    if not stage.has(number):
                        progress = partial(_onward, shown, first, before.num_kept)
                        work = partial(_checked, decide, first, progress, name)
                        finish_shard(stage, number, path, work, root=self.root)
                    first += num_rows(path)
                    shown(first, before.num_kept)
            stage.close(len(before.parts))
        return self.done(stage)

    def spread(
        self,
        name: str,
        before: StageOutput,
        make: Callable[[], ShardDecision],
        *,
        settings: Mapping[str, Any],
        branch: str = "both",
    ) -> StageOutput:
        """Decide about every prompt wherever the engine works; `make` is called once in each
        process.
        """
        stage = self.stage(name, branch, settings, before.hashes)
        if not stage.open():
            numbers = [number for number in range(len(before.parts)) if not stage.has(number)]
            work = partial(_shard_work, stage, before.parts, make, self.root)
            with self.watch(stage) as shown:
                for done, _ in enumerate(self.engine.run(work, numbers), start=1):
                    shown(done, len(numbers))
            stage.close(len(before.parts))
        return self.done(stage)


ShardDecision = Callable[
    [int, Sequence[Prompt], Mapping[str, ImageFacts]], tuple[StageResult, Mapping[str, ImageFacts]]
]
"""Number of a shard, its prompts, the facts of their images -> what becomes of them, and the facts,
perhaps more."""


def finish_shard(
    stage: Stage, number: int, path: Path, decide: ShardDecision, *, root: Path
) -> None:
    """Read a shard, decide about it and write what is left of it."""
    rows = read_rows(path, root)
    result, facts = decide(number, rows.prompts, rows.facts)
    lost = [Lost.of(drop, rows.prompts[drop.index]) for drop in result.dropped]
    given = Counter(str(prompt.metadata.get("source", "")) for prompt in rows.prompts)
    stage.write(
        number,
        given=given,
        kept=result.kept,
        facts=facts,
        lost=lost,
        notes=result.counts,
        root=root,
    )


def _onward(shown: Tell, first: int, total: int, done: int, _: int) -> None:
    shown(first + done, total)


def _checked(
    decide: Decide,
    first: int,
    progress: Progress,
    name: str,
    _: int,
    prompts: Sequence[Prompt],
    facts: Mapping[str, ImageFacts],
) -> tuple[StageResult, Mapping[str, ImageFacts]]:
    result = check_result(decide(prompts, first, progress), len(prompts), stage=name)
    waiting = sum(drop.reason == "not_asked" for drop in result.dropped) or result.counts.get(
        "not_asked", 0
    )
    if waiting:
        raise StateError(
            f"stage {name!r} was stopped before it had asked about {waiting} prompts (interrupt,"
            " budget, or a server that is down); every answer so far is kept, and the same command"
            " goes on"
        )
    return result, facts


def _shard_work(
    stage: Stage, parts: Sequence[Path], make: Callable[[], ShardDecision], root: Path
) -> Work:
    decide = make()

    def work(number: int) -> None:
        finish_shard(stage, number, parts[number], decide, root=root)

    return work


class _Unwatched:
    """Nobody watches."""

    def __enter__(self) -> Tell:
        return silent

    def __exit__(self, *_: object) -> None:
        return None
