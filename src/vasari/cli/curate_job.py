"""`vasari curate`: run a recipe or its dry run, and print the outcome."""

from __future__ import annotations

import contextlib
from collections import Counter
from collections.abc import Mapping, Sequence
from contextlib import AbstractContextManager
from pathlib import Path
from typing import Any

import typer
from rich.console import Console
from rich.table import Column, Table

from vasari.core.errors import ConfigError
from vasari.core.folders import default_folder
from vasari.core.progress import stage
from vasari.curate.out.funnel import drop_reasons
from vasari.curate.recipe import CurationRecipe, load_curation
from vasari.curate.run.engine import Engine, LocalEngine
from vasari.curate.run.job import Curated, DryRun, curate, dry_run
from vasari.curate.run.own_folder import refuse_other_folder
from vasari.curate.run.reading import data_folders
from vasari.endpoint import Failure
from vasari.endpoint.streak import advice_on

UNANSWERED = 3
"""Exit code of a curation that is complete, but for requests that got no answer."""

NOTHING_WRITTEN = 4
"""Exit code of a curation that came to its end without a prompt in any set."""


def run_curate(
    path: Path,
    out: Path | None,
    overrides: Sequence[str],
    *,
    engine: str = "local",
    workers: int | None = None,
    ray_address: str | None = None,
    dry: bool = False,
    retry_failed: bool = False,
) -> None:
    """Curate data by a recipe and print the outcome; with `dry`, only forecast model requests."""
    recipe = load_curation(path, overrides)
    root = out or default_folder(recipe.name)
    refuse_other_folder(root)  # before an engine tries whether all machines see it
    try:
        with open_engine(
            engine,
            recipe,
            base=path.parent,
            root=root,
            workers=workers,
            ray_address=ray_address,
        ) as working:
            if why := recipe.why_not_decontaminated():
                message = f"warning: NOT DECONTAMINATED: {why}; the card and the funnel say so too"
                typer.secho(message, fg="yellow", bold=True, err=True)
            if dry:
                _print_forecast(
                    dry_run(recipe, base=path.parent, root=root, engine=working, show=stage)
                )
                return
            curated = curate(
                recipe,
                base=path.parent,
                root=root,
                engine=working,
                show=stage,
                retry_failed=retry_failed,
            )
    except KeyboardInterrupt:
        typer.secho(
            "stopped; every answer is kept, and the same command goes on", fg="yellow", err=True
        )
        raise typer.Exit(130) from None
    _print_outcome(curated)
    if code := exit_code(curated):
        raise typer.Exit(code)


def exit_code(curated: Curated) -> int:
    """Return the command's exit code: complete, with requests unanswered, or without any set."""
    if not any(curated.sizes.values()):
        return NOTHING_WRITTEN
    return UNANSWERED if curated.dead_letters else 0


def open_engine(
    name: str,
    recipe: CurationRecipe,
    *,
    base: Path,
    root: Path,
    workers: int | None = None,
    ray_address: str | None = None,
) -> AbstractContextManager[Engine]:
    """Return a context manager with the engine (local or Ray) that runs stages without model calls.

    Args:
        name: "local" or "ray".
        recipe: What is curated.
        base: Folder that the recipe's paths are relative to.
        root: Folder of the run.
        workers: Number of processes; by default 1 on this machine, and one per core with Ray.
        ray_address: The cluster to join; None starts a Ray on this machine.

    Raises:
        ConfigError: There is no such engine, or no Ray cluster at its address.
        MissingExtraError: Ray is not installed.
        StateError: Ray does not start, or a machine does not see the folders.
    """
    if name == "local":
        if ray_address is not None:
            raise ConfigError("--ray-address says where --engine ray works; --engine is local")
        return contextlib.nullcontext(LocalEngine(workers or 1))
    if name != "ray":
        raise ConfigError(f"--engine must be local or ray, got {name!r}")
    from vasari.cluster import joined_ray  # noqa: PLC0415  (Ray takes seconds to import)

    return joined_ray(
        root=root.resolve(),
        address=ray_address or "local",
        workers=workers,
        data=data_folders(recipe, base),
        secrets=recipe.key_variables(),
    )


def _print_forecast(found: DryRun) -> None:
    typer.echo(f"{found.num_prompts:,} prompts after the stages without model calls")
    for name, forecast in found.stages.items():
        typer.echo(f"{name}: about {found.expected[name]:,} expected; at most {forecast}")
    for name, model in found.unknown.items():
        typer.echo(f"{name}: asks {model!r}; how often is not known before it runs")
    if not found.stages:
        typer.echo("nothing else asks a model" if found.unknown else "no stage asks a model")
        return
    requests = sum(one.requests for one in found.stages.values())
    money = [one.money for one in found.stages.values()]
    total = (
        "unknown (a model has no price)"
        if None in money
        else f"{sum(one for one in money if one is not None):.4f}"
    )
    rest = f"; {', '.join(found.unknown)} not counted" if found.unknown else ""
    typer.echo(
        f"in all: about {sum(found.expected.values()):,} requests expected, at most {requests:,},"
        f" money at most {total}; what a stage drops is not asked about later{rest}"
    )


def _print_outcome(curated: Curated) -> None:
    console = Console(highlight=False)
    given, kept = (Column(heading, justify="right") for heading in ("given", "kept"))
    title = "rows, by what each stage did"
    table = Table("stage", "set", given, kept, "dropped", title=title, title_justify="left")
    for one in curated.funnel["stages"]:
        why = ", ".join(f"{name.replace('_', ' ')} {n:,}" for name, n in drop_reasons(one))
        counts = (f"{sum(one[name].values()):,}" for name in ("given", "kept"))
        table.add_row(one["title"], one["branch"], *counts, why)
    console.print(table)
    for name, size in curated.sizes.items():
        path = curated.root / f"{name}.parquet"
        typer.echo(
            f"{path}: {size:,} prompts"
            if size
            else f"no prompt is left for {name}.parquet, so there is none"
        )
    if curated.read_back:
        typer.echo(f"read back: {_readers(curated.read_back)}")
    typer.echo(f"funnel: {curated.root / 'funnel.html'}")
    if all(curated.sizes.get(name) for name in ("sft", "rl")):
        typer.echo("to train on them: vasari recipe curated (docs/curate.md, section 8)")
    if curated.dead_letters:
        typer.secho(_unanswered(curated), fg="yellow", err=True)
    if not any(curated.sizes.values()):
        message = "error: no set has a prompt; the table and dropped.parquet say why"
        typer.secho(message, fg="red", err=True)


def _readers(found: Mapping[str, Mapping[str, Any]]) -> str:
    """Who has read the files of a curation back, and who has not, in one line."""
    by = dict.fromkeys(name for read in found.values() for name in read["read_by"])
    rules = [name.removeprefix("rules of ") for name in by if name.startswith("rules of ")]
    loaders = dict.fromkeys(name.partition(" (")[0] for name in by if not name.startswith("rules"))
    told = [f"{len(found)} files, all rows by the rules of {', '.join(rules)}"]
    told += [f"the first rows by {', '.join(loaders)}"] if loaders else []
    left = {name: why for read in found.values() for name, why in read["not_read_by"].items()}
    told += [f"not by {name} ({why})" for name, why in left.items()]
    return "; ".join(told)


def _unanswered(curated: Curated) -> str:
    """Sentence on the requests without an answer: how many, the commonest cause, what to do."""
    rows = curated.dead_letters
    (reason, status), count = Counter((row["reason"], row["status"]) for row in rows).most_common()[
        0
    ]
    said = next(row["detail"] for row in rows if (row["reason"], row["status"]) == (reason, status))
    advice = advice_on(Failure(reason=reason, status=status))
    return (
        f"{len(rows):,} requests got no answer, {count:,} of them {reason}: {said}"
        f" ({curated.root / 'dead_letters.jsonl'}); {f'{advice}; ' if advice else ''}--retry-failed"
        " asks again"
    )
