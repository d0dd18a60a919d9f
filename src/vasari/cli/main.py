"""The `vasari` command: arguments -> one function call."""

from __future__ import annotations

import logging
import os
import sys
from pathlib import Path
from typing import Annotated

try:
    import typer
except ImportError:  # the core alone is installed: samplers and scores, no commands
    sys.exit("the vasari command needs a few packages more: pip install 'vasari[train]'")

import vasari
from vasari.cli.quiet import quiet_libraries
from vasari.core.errors import VasariError
from vasari.core.plugins import allow_plugins, names_from_a_file


def _allow(packages: list[str] | None) -> list[str] | None:
    """Allow the packages before anything of a recipe is looked at."""
    allow_plugins(packages or [])
    return packages


app = typer.Typer(
    help="Variance-aware post-training for multimodal reasoning models.",
    no_args_is_help=True,
    add_completion=False,
    pretty_exceptions_enable=False,
    rich_markup_mode="rich",
)

RecipePath = Annotated[
    Path, typer.Argument(help="A YAML recipe, e.g. recipes/quickstart.yaml.", show_default=False)
]
Out = Annotated[
    Path | None,
    typer.Option(
        "--out", help="Folder of the run. \\[default: runs/NAME OF THE RECIPE]", show_default=False
    ),
]
Overrides = Annotated[
    list[str] | None,
    typer.Option(
        "--set",
        metavar="KEY=VALUE",
        help="Override a setting, e.g. --set grpo.steps=50. Repeatable.",
    ),
]
Plugins = Annotated[
    list[str] | None,
    typer.Option(
        "--plugin",
        metavar="PACKAGE",
        help=(
            "Let a recipe name code of this package as PACKAGE.module:attribute, e.g. --plugin"
            " my_package. Repeatable."
        ),
        callback=_allow,
        show_default=False,
    ),
]
Resume = Annotated[
    bool,
    typer.Option(
        "--resume", help="Continue what an earlier command left unfinished in the same folder."
    ),
]


@app.command()
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
    """Prompts, cold start, GRPO on chosen prompts, evaluation, report: the whole method on a bare
    CPU.

    Example: vasari quickstart --out runs/first
    """
    # Torch takes seconds to import.
    from vasari.cli.quickstart import run_quickstart  # noqa: PLC0415

    run_quickstart(
        out,
        sampler=sampler,
        tiny=tiny,
        from_scratch=from_scratch,
        overrides=overrides or [],
        resume=resume,
    )


@app.command()
def sft(
    recipe: RecipePath,
    out: Out = None,
    overrides: Overrides = None,
    resume: Resume = False,
    plugin: Plugins = None,
) -> None:
    """Supervised training of a recipe: the cold start on worked reasoning.

    Example: vasari sft recipes/quickstart.yaml --set sft.epochs=2
    """
    from vasari.cli.commands import sft_command  # noqa: PLC0415

    sft_command(recipe, out, overrides or [], resume=resume)


@app.command()
def train(
    recipe: RecipePath,
    out: Out = None,
    sampler: Annotated[
        str | None,
        typer.Option(help="Another sampler than the recipe's, from the same cold start."),
    ] = None,
    overrides: Overrides = None,
    resume: Resume = False,
    plugin: Plugins = None,
) -> None:
    """GRPO of a recipe, from its cold start, with prompts chosen by its sampler.

    Example: vasari train recipes/quickstart.yaml --sampler uniform --resume
    On several processes: torchrun --nproc_per_node 2 -m vasari train RECIPE --out DIR
    With code of yours: vasari train my_recipe.yaml --plugin my_package
    """
    from vasari.cli.commands import train_command  # noqa: PLC0415

    train_command(recipe, out, overrides or [], sampler=sampler, resume=resume)


@app.command()
def evaluate(
    recipe: RecipePath,
    out: Out = None,
    overrides: Overrides = None,
    resume: Resume = False,
    dry_run: Annotated[
        bool,
        typer.Option(
            "--dry-run",
            help="Of benchmarks: say what a server would be asked and what it costs; ask nothing.",
        ),
    ] = False,
    plugin: Plugins = None,
) -> None:
    """Evaluate every model of a run on its test prompts, or one model on published benchmarks.

    A run: accuracy, pass@k, maj@k, greedy, blind; what is finished is read, not repeated.
    Benchmarks (a recipe with `benchmarks`): outputs, verdicts by several protocols, scores and a
    table in the folder.

    Example: vasari evaluate recipes/quickstart.yaml --set evaluate.num_rollouts=16
    Benchmarks: vasari evaluate recipes/benchmarks.yaml --out runs/benchmarks --dry-run
    """
    from vasari.cli.commands import evaluate_command  # noqa: PLC0415

    evaluate_command(recipe, out, overrides or [], resume=resume, dry_run=dry_run)


@app.command()
def compare(
    folders: Annotated[
        list[Path],
        typer.Argument(
            help="Results of `vasari evaluate` on benchmarks.",
            metavar="FOLDER...",
            show_default=False,
        ),
    ],
    protocol: Annotated[
        str | None,
        typer.Option(help="Whose verdicts. \\[default: the first one of each]", show_default=False),
    ] = None,
    out: Annotated[
        Path | None,
        typer.Option("--out", help="Folder for the table in three formats.", show_default=False),
    ] = None,
) -> None:
    """Compare models on benchmarks: one table, and each against the first, paired by prompt.

    Example: vasari compare runs/base runs/trained --protocol vasari
    """
    from vasari.cli.benchmark_job import run_compare  # noqa: PLC0415

    run_compare(folders, protocol=protocol, out=out)


@app.command()
def report(
    run: Annotated[Path, typer.Argument(help="Folder of a run.", show_default=False)],
) -> None:
    """Write a run's summary.json and report.html again.

    Example: vasari report runs/quickstart
    """
    from vasari.cli.commands import report_command  # noqa: PLC0415

    report_command(run)


@app.command()
def score(
    file: Annotated[
        Path,
        typer.Argument(
            help="Stored rollouts (JSON lines or Parquet), or a run's folder.", show_default=False
        ),
    ],
    out: Annotated[
        Path | None,
        typer.Option(
            "--out",
            help="Where to: .jsonl, .csv or .parquet. \\[default: beside FILE, NAME.scores]",
            show_default=False,
        ),
    ] = None,
    metric: Annotated[
        str, typer.Option(help="Diversity: self_bleu, distinct_n or edit_distance.")
    ] = "self_bleu",
    n: Annotated[
        int, typer.Option("--n", help="Longest n-gram of self_bleu; the n-gram of distinct_n.")
    ] = 3,
    alpha: Annotated[
        float, typer.Option(help="Weight of outcome variance, which lives in [0, 1/4].")
    ] = 0.8,
    beta: Annotated[
        float, typer.Option(help="Weight of diversity, in [0, 1]; 0 leaves it uncomputed.")
    ] = 0.2,
    normalise: Annotated[
        str, typer.Option(help="none, or range: outcome variance times 4.")
    ] = "none",
    ovs: Annotated[
        str, typer.Option(help="plugin: p(1-p); unbiased: n/(n-1) times that.")
    ] = "plugin",
    groups: Annotated[
        str, typer.Option(help="last: a prompt's group of the last batch; pool: all its rollouts.")
    ] = "last",
    arm: Annotated[
        str | None,
        typer.Option(help="Which sampler's groups, for a run with several.", show_default=False),
    ] = None,
    overwrite: Annotated[
        bool, typer.Option("--overwrite", help="Replace the output if it exists.")
    ] = False,
) -> None:
    """Score stored rollouts: pass rate, outcome variance, diversity and promotion score of every
    prompt.

    A row is a rollout (prompt_id, text or token_ids, and verdict, reward or answer) or a group of
    them as lists.

    Example: vasari score rollouts.jsonl --ovs unbiased --out scores.csv
    Of a run: vasari score runs/quickstart --arm vas --groups last
    """
    from vasari.cli.score_job import ScoreSettings, run_score  # noqa: PLC0415

    settings = ScoreSettings(
        metric=metric, n=n, alpha=alpha, beta=beta, normalise=normalise, ovs=ovs, groups=groups
    )
    run_score(file, settings, out=out, arm=arm, overwrite=overwrite)


@app.command()
def rescore(
    files: Annotated[
        list[Path],
        typer.Argument(
            help="Stored outputs: .jsonl, .tsv or .json, each also as .gz.",
            metavar="FILE...",
            show_default=False,
        ),
    ],
    out: Annotated[
        Path, typer.Option("--out", help="Folder of the verdicts and scores.", show_default=False)
    ],
    protocol: Annotated[
        list[str] | None,
        typer.Option(
            "--protocol",
            help=(
                "official, paper, vasari, or your own as package.module:attribute; several side by"
                " side."
            ),
            show_default="vasari",
        ),
    ] = None,
    benchmark: Annotated[
        str | None,
        typer.Option(
            help="Of rows that name none. \\[default: from the file's name]", show_default=False
        ),
    ] = None,
    workers: Annotated[int, typer.Option(min=1, help="Processes that share the work.")] = 1,
    judge: Annotated[
        Path | None,
        typer.Option(
            "--judge",
            help="YAML of an LLM that is asked where paper or vasari leave it open.",
            show_default=False,
        ),
    ] = None,
    overwrite: Annotated[
        bool, typer.Option("--overwrite", help="Replace another rescoring in the same folder.")
    ] = False,
    plugin: Plugins = None,
) -> None:
    """Score stored model outputs by a protocol, offline; a killed run continues where it was.

    Reads rows of our own (id, benchmark, response, answer, choices, ...), lmms-eval's samples and
    VLMEvalKit's tables.

    Example: vasari rescore outputs.jsonl.gz --protocol official vasari --out scores
    With a judge: vasari rescore outputs.jsonl --protocol paper --judge judge.yaml --out scores
    """
    from vasari.cli.rescore_job import run_rescore  # noqa: PLC0415

    run_rescore(
        files,
        protocol or ["vasari"],
        out=out,
        benchmark=benchmark,
        workers=workers,
        judge=judge,
        overwrite=overwrite,
    )


@app.command()
def curate(
    curation: Annotated[
        Path,
        typer.Argument(
            metavar="RECIPE",
            help="A YAML recipe, e.g. recipes/curate_tasks.yaml.",
            show_default=False,
        ),
    ],
    out: Out = None,
    overrides: Overrides = None,
    dry_run: Annotated[
        bool,
        typer.Option(
            "--dry-run", help="Local stages only; then requests, tokens and money of the rest."
        ),
    ] = False,
    engine: Annotated[
        str, typer.Option(help="Where local stages work: local, or ray for many machines.")
    ] = "local",
    ray_address: Annotated[
        str | None,
        typer.Option(
            help="Ray cluster to join: auto or HOST:PORT; by default one is started here.",
            show_default=False,
        ),
    ] = None,
    workers: Annotated[
        int | None,
        typer.Option(
            min=1,
            help="Processes of the local stages; by default 1, and with ray one a core.",
            show_default=False,
        ),
    ] = None,
    retry_failed: Annotated[
        bool,
        typer.Option(
            "--retry-failed",
            help="Ask again what got no answer before, e.g. while a server was down.",
        ),
    ] = False,
    plugin: Plugins = None,
) -> None:
    """Curate raw data sets to sft.parquet and rl.parquet, with a card, a funnel and a reason for
    every dropped row.

    The same command goes on where it was stopped or killed; answers of models are never bought
    twice.

    Example: vasari curate recipes/curate_tasks.yaml --out runs/curated
    On a cluster: vasari curate recipes/curate_tasks.yaml --out /shared/curated --engine ray
    --ray-address auto
    """
    from vasari.cli.curate_job import EngineOptions, run_curate  # noqa: PLC0415

    options = EngineOptions(name=engine, workers=workers, ray_address=ray_address)
    run_curate(
        curation, out, overrides or [], engine=options, dry=dry_run, retry_failed=retry_failed
    )


@app.command()
def curate_diff(
    before: Annotated[Path, typer.Argument(help="Folder of a curation.", show_default=False)],
    after: Annotated[Path, typer.Argument(help="Folder of another.", show_default=False)],
) -> None:
    """Say what differs between two curations: settings, prompts added, removed and changed,
    reasons.

    Example: vasari curate-diff runs/before runs/after
    """
    from vasari.cli.curate_job import run_diff  # noqa: PLC0415

    run_diff(before, after)


@app.command()
def contamination(
    training: Annotated[
        list[str],
        typer.Argument(
            help="Prompt files, or SOURCE=FOLDER of a public data set.",
            metavar="TRAIN...",
            show_default=False,
        ),
    ],
    benchmark: Annotated[
        list[str],
        typer.Option(
            "--benchmark",
            metavar="FILE",
            help="The same, a benchmark each. Repeatable.",
            show_default=False,
        ),
    ],
    out: Annotated[
        Path,
        typer.Option(
            "--out", help="Folder of contamination.json and contamination.md.", show_default=False
        ),
    ],
    text_only: Annotated[
        bool, typer.Option("--text-only", help="Read no images: words alone are compared.")
    ] = False,
    overwrite: Annotated[
        bool, typer.Option("--overwrite", help="Replace a report in the same folder.")
    ] = False,
) -> None:
    """Find benchmark prompts in a training set, by figure and text, copied or in other words.

    Example: vasari contamination rl.parquet --benchmark mathvista.parquet --benchmark
    mathverse.parquet --out leaks From native layouts: vasari contamination
    geometry3k=data/geometry3k --benchmark geometry3k:test=data/geometry3k --out leaks
    """
    from vasari.cli.contamination_job import run_contamination  # noqa: PLC0415

    run_contamination(training, benchmark, out=out, text_only=text_only, overwrite=overwrite)


@app.command()
def gallery(
    out: Annotated[Path, typer.Option("--out", help="The page to write.")] = Path("gallery.html"),
    per_level: Annotated[
        int, typer.Option(min=1, max=20, help="Problems of each family and level.")
    ] = 2,
    seed: Annotated[int, typer.Option(min=0, help="Which problems.")] = 0,
    family: Annotated[
        list[str] | None,
        typer.Option(
            help="Draw this family alone, ours or your own. Repeatable.", show_default=False
        ),
    ] = None,
    plugin: Plugins = None,
) -> None:
    """Draw every task family in every style, with its reasoning and facts, on one page.

    Example: vasari gallery --out gallery.html
    One of yours: vasari gallery --family my_package.tasks:Mine --plugin my_package
    """
    from vasari.cli.commands import gallery_command  # noqa: PLC0415

    gallery_command(out, per_level=per_level, seed=seed, families=family)


@app.command()
def plugins(plugin: Plugins = None) -> None:
    """List what a recipe can name: ours, and what installed packages offer; nothing of theirs is
    imported.

    Example: vasari plugins --plugin my_package
    """
    from vasari.cli.plugins_job import print_plugins  # noqa: PLC0415

    print_plugins()


@app.command()
def version() -> None:
    """Print the version."""
    typer.echo(vasari.__version__)


def main() -> None:
    """Run the command; an error that a user can act on is one line and exit code 1."""
    logging.basicConfig(level=logging.INFO, format="%(levelname)s %(name)s: %(message)s")
    quiet_libraries()
    try:
        # A name on the command line is trusted no more than one in a recipe: somebody may have sent
        # both.
        with names_from_a_file():
            app()
    except VasariError as error:
        if os.environ.get("VASARI_TRACEBACK"):
            raise
        typer.secho(f"error: {error}", fg="red", err=True)
        sys.exit(1)
    except KeyboardInterrupt:
        typer.secho("stopped; run the same command with --resume to go on", fg="yellow", err=True)
        sys.exit(130)


if __name__ == "__main__":
    main()
