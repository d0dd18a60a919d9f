"""A curation from its recipe to its folder: the two sets, what was dropped, the funnel, the card
and the manifest.
"""

from __future__ import annotations

import contextlib
import fcntl
import json
import os
import shutil
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq

import vasari
from vasari.core.errors import StateError, StorageError
from vasari.core.files import read_json, write_bytes, write_json, writing
from vasari.curate.out.card import make_card, set_counts
from vasari.curate.out.export import write_exports
from vasari.curate.out.funnel import make_funnel, render
from vasari.curate.recipe import CurationRecipe
from vasari.curate.run.engine import Engine, LocalEngine
from vasari.curate.run.pipeline import Run, Show
from vasari.curate.run.reading import data_path
from vasari.curate.run.rows import PromptRows
from vasari.curate.run.shards import DROPPED_SCHEMA, StageOutput, dropped_tables, file_hash
from vasari.curate.run.steps import graded, local_stages, rl_stages, sft_stages
from vasari.curate.stage import AskedModel
from vasari.data.prompt_file import write_prompts
from vasari.endpoint import TRANSIENT, EndpointSettings, RateLimits, ResponseStore
from vasari.endpoint.cost import money_spent
from vasari.verify.judge import Judged, JudgeItem, judge_all

SCHEMA = 1


@dataclass(frozen=True, slots=True, kw_only=True)
class Curated:
    """What a run left in its folder."""

    root: Path
    funnel: Mapping[str, Any]
    sizes: Mapping[str, int]
    """Prompts of each set; a set without any has no file."""


class Models:
    """The models of a recipe, each with a store of its answers; opened when first asked. Use as a
    context.
    """

    def __init__(
        self, recipe: CurationRecipe, *, base: Path, root: Path, retry_failed: bool = False
    ) -> None:
        self._recipe, self._base = recipe, base
        self._retry = tuple(sorted(TRANSIENT)) if retry_failed else ()
        self._folder = (
            root / "responses" if recipe.responses is None else data_path(recipe.responses, base)
        )
        self._asked: dict[str, AskedModel] = {}
        self._judge: ResponseStore | None = None
        self._limits: dict[tuple[object, ...], RateLimits] = {}

    def __enter__(self) -> Models:
        return self

    def __exit__(self, *_: object) -> None:
        for model in self._asked.values():
            model.store.close()
        if self._judge is not None:
            self._judge.close()

    def __call__(self, name: str) -> AskedModel:
        """The model that the recipe knows by this name."""
        if name not in self._asked:
            entry = self._recipe.models[name]
            store = ResponseStore(self._folder / name)
            self._asked[name] = AskedModel(
                settings=entry.endpoint,
                store=store,
                model=entry.model,
                sampling=entry.sampling(),
                retry_failed=self._retry,
                limits=self._limits_of(entry.endpoint),
            )
        return self._asked[name]

    def appeal(self, items: Sequence[JudgeItem]) -> Judged:
        """Put what the rules leave undecided to the recipe's judge."""
        settings = self._recipe.judge
        assert settings is not None  # noqa: S101  (asked by the caller)
        if self._judge is None:
            self._judge = ResponseStore(
                self._folder / "judge" if settings.store is None else self._base / settings.store
            )
        return judge_all(items, settings, self._judge, limits=self._limits_of(settings.endpoint))

    def _limits_of(self, endpoint: EndpointSettings) -> RateLimits:
        """One for each server, key and limits: a server counts by account, whatever the recipe
        calls its models.
        """
        minute = (endpoint.requests_per_minute, endpoint.tokens_per_minute)
        return self._limits.setdefault(
            (endpoint.base_url, endpoint.api_key_env, *minute), RateLimits.of(endpoint)
        )

    def spending(self) -> dict[str, Any]:
        """What each model was asked in all, in tokens and money."""
        found = {}
        for name, model in self._asked.items():
            used = model.store.usage
            money = money_spent(model.settings.prices, used)
            found[name] = {
                "model": model.model,
                "requests": sum(one.requests for one in used.values()),
                "input_tokens": sum(one.input_tokens for one in used.values()),
                "output_tokens": sum(one.output_tokens for one in used.values()),
                "money": str(money) if model.model in model.settings.prices else None,
            }
        return found

    def write_dead_letters(self, path: Path) -> int:
        """Write the requests whose last word is a failure, a line each, and return how many there
        are.
        """
        lines = [
            json.dumps({"asked": name} | failure.summary())
            for name, model in sorted(self._asked.items())
            for failure in model.store.failures()
        ]
        write_bytes(path, "".join(f"{line}\n" for line in lines).encode())
        return len(lines)


def curate(
    recipe: CurationRecipe,
    *,
    base: Path,
    root: Path,
    engine: Engine | None = None,
    show: Show | None = None,
    retry_failed: bool = False,
) -> Curated:
    """Run a recipe, or what an earlier run of it left to do.

    Args:
        recipe: What to make.
        base: Folder that the recipe's paths are relative to.
        root: Folder of the run.
        engine: Where local stages work; this process by default.
        show: Shows the progress of each stage.
        retry_failed: Ask again what an earlier run got no answer to, where that may pass (a server
            that was down).

    Raises:
        ConfigError: A setting does not fit the data.
        DataError: A source has not the shape that was expected.
        StateError: The run was stopped and can go on, or another process works in the folder.
        StorageError: The disk refused.
    """
    root = root.resolve()
    with locked(root), Models(recipe, base=base, root=root, retry_failed=retry_failed) as models:
        run = Run(
            recipe=recipe,
            base=base,
            root=root,
            engine=engine or LocalEngine(),
            show=show,
            retry_failed=retry_failed,
        )
        appeal = models.appeal if recipe.judge is not None else None
        common = graded(run, local_stages(run), models, appeal)
        sets: dict[str, StageOutput] = {}
        if recipe.sft is not None:
            sets["sft"] = sft_stages(run, common, recipe.sft, models, appeal)
        if recipe.rl is not None:
            sets["rl"] = rl_stages(run, common, recipe.rl, models)
        _remove_stale(run)
        return _write_all(run, sets, models)


@contextlib.contextmanager
def locked(root: Path) -> Iterator[None]:
    """Keep other runs out of a folder.

    Raises:
        StateError: Another process works in it.
        StorageError: The folder cannot be made.
    """
    try:
        root.mkdir(parents=True, exist_ok=True)
        file = os.open(root / ".lock", os.O_RDWR | os.O_CREAT, 0o644)
    except OSError as error:
        raise StorageError(
            f"{root}: the folder cannot be used: {error.strerror or error}"
        ) from error
    try:
        fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        yield
    except BlockingIOError as error:
        raise StateError(
            f"{root}: another process curates in this folder; wait for it, or choose another --out"
        ) from error
    finally:
        os.close(file)


def decontamination(run: Run) -> dict[str, Any]:
    """What the sets were compared with, what was removed, and why nothing was."""
    if run.recipe.decontaminate is None:
        return {"compared": False, "why": "the recipe switches it off (decontaminate: null)"}
    if not run.recipe.decontaminate.benchmarks:
        return {
            "compared": False,
            "why": "the recipe names no benchmark (decontaminate.benchmarks)",
        }
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


def _write_all(run: Run, sets: Mapping[str, StageOutput], models: Models) -> Curated:
    root, recipe = run.root, run.recipe
    funnel = make_funnel(recipe.name, run.outputs, decontamination(run))
    hashes = {
        name: _write_set(root / f"{name}.parquet", output, root) for name, output in sets.items()
    }
    for name in {"sft", "rl"} - set(sets):
        (root / f"{name}.parquet").unlink(missing_ok=True)
    _write_dropped(root / "dropped.parquet", run)
    write_json(root / "funnel.json", funnel)
    write_bytes(root / "funnel.html", render(funnel).encode("utf-8", "replace"))
    counts = {name: set_counts(output) for name, output in sets.items()}
    write_bytes(root / "README.md", make_card(recipe, funnel, counts).encode("utf-8", "replace"))
    dead = models.write_dead_letters(root / "dead_letters.jsonl")
    rows = {name: PromptRows(output.parts, root) for name, output in sets.items()}
    content = {name: output.hashes for name, output in sets.items()}
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
                "fingerprint": o.manifest["fingerprint"],
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
        "dead_letters": dead,
        "spending": models.spending(),
    }
    write_json(root / "manifest.json", manifest)
    return Curated(root=root, funnel=funnel, sizes=sizes)


def _write_set(path: Path, output: StageOutput, root: Path) -> str | None:
    """Write a set as prompts with their images and return its hash; None for a set without prompts,
    which has no file.
    """
    before = path.parent / "manifest.json"
    if before.exists() and path.exists():
        told = read_json(before).get("sets", {}).get(path.stem, {})
        if told.get("shards") == list(output.hashes) and told.get("hash") == file_hash(path):
            return str(told["hash"])
    if not output.num_kept:
        path.unlink(missing_ok=True)
        return None
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
    """Remove stages that another recipe left: nothing leads to them any more."""
    known = {output.folder for output in run.outputs}
    for folder in (run.root / "stages").iterdir():
        if folder not in known:
            shutil.rmtree(folder, ignore_errors=True)
