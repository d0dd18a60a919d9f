"""Commands on a run: quickstart, sft, train, evaluate, report."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Literal

import typer

from vasari.cli.options import Out, Overrides, Plugins, RecipePath, Resume
from vasari.core.errors import ConfigError


def quickstart(
    out: Annotated[Path, typer.Option("--out", help="Folder of the run.")] = Path(
        "runs/quickstart"
    ),
    sampler: Annotated[
        str | None,
        typer.Option(
            help="Another sampler than the recipe's, e.g. vas; all: it, vas and uniform.",
            show_default=False,
        ),
    ] = None,
    compare: Annotated[
        bool,
        typer.Option("--compare", help="Train with uniform prompts too, and say which did better."),
    ] = False,
    tiny: Annotated[
        bool,
        typer.Option("--tiny", help="A one-minute run that shows the pipeline, not the method."),
    ] = False,
    from_scratch: Annotated[
        bool,
        typer.Option("--from-scratch", help="Do without the base model that ships with vasari."),
    ] = False,
    overrides: Overrides = None,
    resume: Resume = False,
    plugin: Plugins = None,
) -> None:
    """Run the whole method on a CPU: prompts, cold start, GRPO with a sampler, evaluation, report.

    Example: vasari quickstart --out runs/first
    """
    from vasari.cli.run_report import report_run  # noqa: PLC0415
    from vasari.run.commands import quickstart as run_quickstart  # noqa: PLC0415

    run = run_quickstart(
        out,
        sampler=sampler,
        compare=compare,
        tiny=tiny,
        from_scratch=from_scratch,
        overrides=overrides or [],
        resume=resume,
    )
    typer.echo(f"gallery: {run.root / 'gallery.html'}")
    report_run(run.root)


def sft(
    recipe: RecipePath,
    out: Out = None,
    overrides: Overrides = None,
    resume: Resume = False,
    plugin: Plugins = None,
) -> None:
    """Train a recipe's cold start by supervised fine-tuning on worked reasoning.

    Example: vasari sft recipes/quickstart.yaml --set sft.epochs=2
    On several processes: torchrun --nproc_per_node 2 -m vasari sft RECIPE --out DIR
    """
    from vasari.run.commands import sft as run_sft  # noqa: PLC0415

    model = run_sft(recipe, out, overrides or [], resume=resume)
    if model is not None:
        typer.echo(f"cold start: {model}")


def train(
    recipe: RecipePath,
    out: Out = None,
    sampler: Annotated[
        str | None,
        typer.Option(help="Another sampler than the recipe's, from the same cold start."),
    ] = None,
    overrides: Overrides = None,
    resume: Resume = False,
    shrink: Annotated[
        bool,
        typer.Option(
            "--shrink",
            help="Try the whole recipe on a CPU: its own classes in small dimensions, few rows.",
        ),
    ] = False,
    plugin: Plugins = None,
) -> None:
    """Train a recipe's cold-start model with GRPO, on prompts chosen by the recipe's sampler.

    With --shrink, everything in the recipe is run in small: cold start, training that is killed and
    resumed, evaluation, report. What differs from the recipe is printed.

    Example: vasari train recipes/quickstart.yaml --sampler uniform --resume
    On several processes: torchrun --nproc_per_node 2 -m vasari train RECIPE --out DIR
    With code of yours: vasari train my_recipe.yaml --plugin my_package
    """
    if shrink:
        from vasari.run.shrink.run import shrink as run_shrunk  # noqa: PLC0415

        if resume:
            raise ConfigError("--shrink begins anew: leave --resume out")
        chosen = [f"sampler.name={sampler}"] if sampler else []
        run_shrunk(recipe, out, [*(overrides or []), *chosen], tell=typer.echo)
        return
    from vasari.run.commands import train as run_train  # noqa: PLC0415

    best = run_train(recipe, out, overrides or [], sampler=sampler, resume=resume)
    if best is not None:
        typer.echo(f"best weights: {best}")


def evaluate(
    recipe: RecipePath,
    out: Out = None,
    overrides: Overrides = None,
    resume: Resume = False,
    model: Annotated[
        str | None,
        typer.Option(
            "--model",
            metavar="PATH",
            help="Evaluate this checkpoint alone: a folder, also of an adapter, or a hub name.",
            show_default=False,
        ),
    ] = None,
    dry_run: Annotated[
        bool,
        typer.Option(
            "--dry-run",
            help="For benchmarks: count a server's requests and their cost, and send none.",
        ),
    ] = False,
    plugin: Plugins = None,
) -> None:
    """Evaluate every model of a run on its test prompts, or one model on published benchmarks.

    A run: accuracy, pass@k, maj@k, greedy, blind; finished results are read, not repeated.
    Benchmarks (a recipe with `benchmarks`): outputs, verdicts by several protocols, scores and a
    table in the folder.

    Example: vasari evaluate recipes/quickstart.yaml --set evaluate.num_rollouts=16
    A checkpoint: vasari evaluate my_recipe.yaml --out runs/my --model runs/my/rl/vas/checkpoint-40
    Benchmarks: vasari evaluate recipes/benchmarks.yaml --out runs/benchmarks --dry-run
    """
    from vasari.core.settings import read_content  # noqa: PLC0415
    from vasari.evaluate.benchmarks.recipe import is_benchmark_recipe  # noqa: PLC0415

    if is_benchmark_recipe(read_content(recipe, overrides or [])):
        from vasari.cli.benchmark_job import run_benchmarks  # noqa: PLC0415

        if model is not None:
            raise ConfigError(
                f"recipe {recipe}: benchmarks take --set model.path=PATH, not --model"
            )
        run_benchmarks(recipe, out, overrides or [], resume=resume, dry_run=dry_run)
        return
    if dry_run:
        raise ConfigError(
            f"recipe {recipe}: --dry-run forecasts evaluations on `benchmarks`, and it names none"
        )
    from vasari.cli.run_report import print_results, report_run  # noqa: PLC0415
    from vasari.run.commands import evaluate as run_evaluate  # noqa: PLC0415
    from vasari.run.commands import evaluate_path  # noqa: PLC0415

    if model is not None:
        print_results(evaluate_path(recipe, out, overrides or [], model=model))
        return

    report_run(run_evaluate(recipe, out, overrides or []).root)


def export(
    run: Annotated[Path, typer.Argument(help="Folder of a run.", show_default=False)],
    out: Annotated[
        Path, typer.Option("--out", help="New folder of the model.", show_default=False)
    ],
    arm: Annotated[
        str | None,
        typer.Option(
            help="Sampler whose training is meant, or cold_start. \\[default: the recipe's]",
            show_default=False,
        ),
    ] = None,
    which: Annotated[
        Literal["best", "last"], typer.Option(help="Its best weights by validation, or its last.")
    ] = "best",
    dtype: Annotated[
        Literal["bfloat16", "float32"], typer.Option(help="Type of the weights.")
    ] = "bfloat16",
    base: Annotated[
        str | None,
        typer.Option(help="Hub name of the base model, for the card.", show_default=False),
    ] = None,
    licence: Annotated[
        str | None,
        typer.Option(
            "--license", help="Licence for the card, e.g. apache-2.0.", show_default=False
        ),
    ] = None,
    plugin: Plugins = None,
) -> None:
    """Write a run's trained weights, processor and model card to a folder, for a hub or vLLM.

    Adapters are merged. The card has the recipe, the data, scores with intervals, and the rollouts
    spent.

    Example: vasari export runs/my --out my-model --license apache-2.0
    """
    from vasari.cli.export_job import export_run  # noqa: PLC0415

    export_run(run, out, arm=arm, which=which, dtype=dtype, base=base, licence=licence)


def report(
    run: Annotated[Path, typer.Argument(help="Folder of a run.", show_default=False)],
) -> None:
    """Write a run's summary.json and report.html again, and print the main numbers.

    Example: vasari report runs/quickstart
    """
    from vasari.cli.run_report import report_run  # noqa: PLC0415

    report_run(run)
