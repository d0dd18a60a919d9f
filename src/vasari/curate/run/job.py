"""Runs a curation recipe into a folder, or forecasts the model requests that it would send."""

from __future__ import annotations

import contextlib
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq

import vasari
from vasari.core.errors import DataError, StorageError
from vasari.core.files import read_object, write_bytes, write_json, write_json_lines, writing
from vasari.core.folders import resolved
from vasari.curate.out.card import make_card, set_counts
from vasari.curate.out.export import write_exports
from vasari.curate.out.export_folder import refuse_exports_of_others
from vasari.curate.out.funnel import make_funnel, render
from vasari.curate.out.read_back import read_back, require_readable
from vasari.curate.recipe import CurationRecipe
from vasari.curate.run.engine import Engine, LocalEngine
from vasari.curate.run.expected import Expected, enough
from vasari.curate.run.models import Models
from vasari.curate.run.own_folder import FILES, OwnFolder, locked
from vasari.curate.run.pipeline import Run, Show
from vasari.curate.run.rows import PromptRows
from vasari.curate.run.shards import (
    DROPPED_SCHEMA,
    StageFolder,
    dropped_tables,
    file_hash,
    is_stage_folder,
    remove_stage_folder,
)
from vasari.curate.run.stage_type import Requests, Stage
from vasari.curate.stage import AskedModel
from vasari.data.prompt_file import write_prompts
from vasari.endpoint import Forecast, Request, forecast

SCHEMA = 1


_CHUNK = 1024
"""Prompts that a dry run holds at once."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Curated:
    """Result of a curation run: its folder, row counts by stage, and the size of each data set."""

    root: Path
    funnel: Mapping[str, Any]
    sizes: Mapping[str, int]
    """Prompts of each set; a set without any has no file."""
    read_back: Mapping[str, Mapping[str, Any]]
    """How each file was read back, as the manifest says it."""
    dead_letters: Sequence[Mapping[str, Any]] = ()
    """The requests of all stages that brought no answer: stage, model, prompt, reason, details."""


@dataclass(frozen=True, slots=True, kw_only=True)
class DryRun:
    """Forecast of a curation's model requests, as far as known before any request is sent."""

    num_prompts: int
    """Prompts that the stages without model calls keep."""
    stages: Mapping[str, Forecast]
    """Upper bound for each stage, as if no earlier stage dropped a prompt and no drawing ended
    early."""
    expected: Mapping[str, int] = field(default_factory=dict)
    """Requests that each is expected to send: earlier stages drop prompts and drawings end early,
    as in what the run has done so far, or else as usual."""
    unknown: Mapping[str, str] = field(default_factory=dict)
    """User-defined stage that asks a model -> the model's name; its requests cannot be forecast."""


def curate(
    recipe: CurationRecipe,
    *,
    base: Path,
    root: Path,
    engine: Engine | None = None,
    show: Show | None = None,
    retry_failed: bool = False,
) -> Curated:
    """Run a curation recipe, or resume its stopped run; return its folder, counts and set sizes.

    Args:
        recipe: The curation recipe.
        base: Folder that the recipe's paths are relative to.
        root: Folder of the run.
        engine: Runs the stages without model calls; in this process by default.
        show: Shows the progress of each stage.
        retry_failed: Ask again what an earlier run got no answer to, where that may pass (a server
            that was down).

    Raises:
        ConfigError: A setting does not fit the data.
        DataError: A source has not the shape that was expected.
        StateError: The run was stopped and can go on, another process works in the folder, or a
            file that was written cannot be read as its readers would.
        StorageError: The disk refused.
    """
    root = resolved(root)
    with (
        locked(root) as folder,
        Models(recipe, base=base, root=root, retry_failed=retry_failed) as models,
    ):
        folder.refuse_files_of_others(_files(recipe))
        others = [name for name in recipe.exports if not folder.has_written(f"exports/{name}")]
        refuse_exports_of_others(root / "exports", others)
        run = Run(
            recipe=recipe,
            base=base,
            root=root,
            engine=engine or LocalEngine(),
            models=models,
            show=show,
            retry_failed=retry_failed,
        )
        for planned in run.plan:
            run.do(planned)
        sets = {output.branch: output for output in run.outputs if output.branch != "both"}
        _remove_stale(run)
        return _write_all(run, folder, sets, models)


def dry_run(
    recipe: CurationRecipe,
    *,
    base: Path,
    root: Path,
    engine: Engine | None = None,
    show: Show | None = None,
) -> DryRun:
    """Run the stages that call no model, and forecast the model requests of the other stages.

    Nothing is sent, and no key is needed.

    What a stage will drop is not known before it has asked: the upper bounds of later stages are as
    if it dropped nothing, and what is expected goes by what is usual.

    Raises:
        ConfigError: A setting does not fit the data.
        DataError: A source has not the shape that was expected.
        StateError: Another process works in the folder.
        StorageError: The disk refused.
    """
    root = resolved(root)
    with locked(root), Models(recipe, base=base, root=root) as models:
        run = Run(
            recipe=recipe,
            base=base,
            root=root,
            engine=engine or LocalEngine(),
            models=models,
            show=show,
        )
        found: dict[str, Forecast] = {}
        unknown: dict[str, str] = {}
        expected, likely = Expected(recipe), dict[str, int]()
        for planned in run.plan:
            stage, known = planned.stage, run.knows_input(planned.stage)
            if run.do_without_asking(planned):
                continue
            before = run.before(stage)
            counts = None
            if known and before is not None:
                counts = enough(run.output(planned).so_far(len(before.parts)))
            for requests, most in _forecasts(run, stage, unknown):
                found[requests.label] = most
                likely[requests.label] = expected.requests(
                    stage, requests, counts, most=most.requests, known=most.from_store
                )
            expected.leave(stage, counts)
        num_prompts = next(one for one in reversed(run.outputs) if one.branch == "both").num_kept
        return DryRun(num_prompts=num_prompts, stages=found, expected=likely, unknown=unknown)


def _forecasts(
    run: Run, stage: Stage, unknown: dict[str, str]
) -> Iterator[tuple[Requests, Forecast]]:
    """Yield the upper bounds of a stage's requests; where only it knows them, note it instead."""
    name, before = stage.model(run.recipe), run.before(stage)
    if name is None or before is None:
        return
    if stage.requests is None:
        unknown[stage.name] = name
        return
    model, prompts = run.models(name), PromptRows(before.parts, run.root)
    for requests in stage.requests(stage.part(run.recipe), run.recipe):
        wanted = _all_requests(prompts, requests, model)
        yield (
            requests,
            forecast(model.settings, model.store, wanted, num_responses=requests.times),
        )


def decontamination(run: Run) -> dict[str, Any]:
    """Benchmarks that prompts were compared with, and number of prompts removed, or why none."""
    if why := run.recipe.why_not_decontaminated():
        return {"compared": False, "why": why}
    counts = next(output.counts for output in run.outputs if output.name == "decontaminate")
    names = {key.removeprefix("benchmark_"): count for key, count in counts["notes"].items()}
    return {
        "compared": True,
        "benchmarks": {
            name: count
            for name, count in names.items()
            if not name.endswith(("_unread", "_text_only"))
        },
        "text_only": {
            name.removesuffix("_text_only"): n
            for name, n in names.items()
            if name.endswith("_text_only")
        },
        "unread": {
            name.removesuffix("_unread"): count
            for name, count in names.items()
            if name.endswith("_unread")
        },
        "removed": sum(sum(reasons.values()) for reasons in counts["dropped"].values()),
    }


def _files(recipe: CurationRecipe) -> list[str]:
    """Names of the files that a recipe writes into its folder."""
    sets = {"sft.parquet": recipe.sft, "rl.parquet": recipe.rl}
    return [name for name in FILES if sets.get(name, recipe) is not None]


def _write_all(
    run: Run, folder: OwnFolder, sets: Mapping[str, StageFolder], models: Models
) -> Curated:
    root, recipe, claim = run.root, run.recipe, folder.claim
    before = read_object(root / "manifest.json")
    funnel = make_funnel(recipe.name, run.outputs, decontamination(run))
    hashes = {name: _write_set(folder, name, output) for name, output in sets.items()}
    for name in {"sft", "rl"} - set(sets):
        folder.remove(f"{name}.parquet")
    _write_dropped(claim("dropped.parquet"), run)
    write_json(claim("funnel.json"), funnel)
    write_bytes(claim("funnel.html"), render(funnel).encode("utf-8", "replace"))
    counts = {name: set_counts(output) for name, output in sets.items()}
    write_bytes(claim("README.md"), make_card(recipe, funnel, counts).encode("utf-8", "replace"))
    dead = _dead_letters(run)
    write_json_lines(claim("dead_letters.jsonl"), dead)
    rows = {name: PromptRows(output.parts, root) for name, output in sets.items()}
    content = {name: output.hashes for name, output in sets.items()}
    folder.note(*(f"exports/{name}" for name in recipe.exports))
    exports = write_exports(root / "exports", recipe.exports, rows, content=content)
    sizes = {name: output.num_kept for name, output in sets.items()}
    manifest = {
        "schema": SCHEMA,
        "vasari": vasari.__version__,
        "recipe": recipe.model_dump(mode="json"),
        "stages": [
            {
                "name": o.name,
                "branch": o.branch,
                "fingerprint": o.fingerprint,
                "counts": o.counts,
            }
            for o in run.outputs
        ],
        "sets": {
            n: {"prompts": sizes[n], "hash": hashes[n], "shards": list(sets[n].hashes)}
            for n in sets
        },
        "exports": exports,
        "decontamination": funnel["decontamination"],
        "dead_letters": len(dead),
        "spending": models.spending(),
    }
    with run.show("read back") if run.show is not None else contextlib.nullcontext():
        found = read_back(root, manifest, before)
    write_json(claim("manifest.json"), manifest | {"read_back": found})
    require_readable(root, found)
    return Curated(root=root, funnel=funnel, sizes=sizes, read_back=found, dead_letters=dead)


def _dead_letters(run: Run) -> list[dict[str, Any]]:
    return [
        {"stage": output.name, "set": output.branch, **failure}
        for output in run.outputs
        for failure in output.failures
    ]


def _write_set(folder: OwnFolder, name: str, output: StageFolder) -> str | None:
    """Write a set with its images, and return the file's hash; None, and no file, if empty."""
    root, file = folder.root, f"{name}.parquet"
    if not output.num_kept:
        folder.remove(file)
        return None
    path = folder.claim(file)
    sets = read_object(root / "manifest.json").get("sets")
    written = sets.get(name) if isinstance(sets, dict) else None
    if (
        isinstance(written, dict)
        and written.get("shards") == list(output.hashes)
        and path.is_file()
        and written.get("hash") == file_hash(path)
    ):
        return str(written["hash"])
    write_prompts(path, PromptRows(output.parts, root))
    return file_hash(path)


def _write_dropped(path: Path, run: Run) -> None:
    try:
        with (
            writing(path) as file,
            pq.ParquetWriter(file, DROPPED_SCHEMA, compression="zstd") as writer,
        ):
            for table in dropped_tables(run.outputs):
                writer.write_table(table)
    except pa.ArrowException as error:
        raise StorageError(f"{path}: could not be written: {error}") from error


def _remove_stale(run: Run) -> None:
    """Remove what stages that this recipe does not have wrote, and nothing else."""
    known = {output.folder for output in run.outputs}
    for folder in (run.root / "stages").iterdir():
        if folder not in known and not folder.is_symlink() and is_stage_folder(folder):
            remove_stage_folder(folder)


def _all_requests(prompts: PromptRows, requests: Requests, model: AskedModel) -> Iterator[Request]:
    for start in range(0, len(prompts), _CHUNK):
        for prompt in requests.wanted(prompts[start : start + _CHUNK]):
            # The stage drops a prompt without asking where no request can be made.
            with contextlib.suppress(DataError):
                yield requests.make(prompt, model)
