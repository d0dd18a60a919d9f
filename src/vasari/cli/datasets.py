"""Commands on data sets: curate, curate-diff, contamination, gallery."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from vasari.cli.options import Out, Overrides, Plugins
from vasari.core.plugins import names_from_a_file

Workers = Annotated[
    int | None,
    typer.Option(
        min=1,
        help="Processes of those stages; by default 1, and with ray one a core.",
        show_default=False,
    ),
]


def curate(
    curation: Annotated[
        Path,
        typer.Argument(metavar="RECIPE", help="A YAML recipe.", show_default=False),
    ],
    out: Out = None,
    overrides: Overrides = None,
    dry_run: Annotated[
        bool,
        typer.Option(
            "--dry-run",
            help="Stages without model calls only; then requests, tokens and cost of the rest.",
        ),
    ] = False,
    engine: Annotated[
        str, typer.Option(help="Where stages without model calls work: local, or ray.")
    ] = "local",
    ray_address: Annotated[
        str | None,
        typer.Option(
            help="Ray cluster to join: auto or HOST:PORT; by default one is started here.",
            show_default=False,
        ),
    ] = None,
    workers: Workers = None,
    retry_failed: Annotated[
        bool,
        typer.Option(
            "--retry-failed", help="Ask again what got no answer before, whatever the reason."
        ),
    ] = False,
    plugin: Plugins = None,
) -> None:
    """Curate raw data sets into sft.parquet and rl.parquet, with a reason for every dropped row.

    The folder also gets a data card and a funnel of rows kept by each stage. The same command
    continues where it was stopped or killed; a model's answers are never bought twice.

    Exit codes: 0 complete, 3 requests got no answer (dead_letters.jsonl), 4 no set has a prompt, 1
    error or stopped, 2 wrong options, 130 interrupted.

    Example: vasari curate recipes/curate_tasks.yaml --out runs/curated
    On a cluster: vasari curate recipes/curate_tasks.yaml --out /shared/curated --engine ray
    --ray-address auto
    """
    from vasari.cli.curate_job import run_curate  # noqa: PLC0415

    run_curate(
        curation,
        out,
        overrides or [],
        engine=engine,
        workers=workers,
        ray_address=ray_address,
        dry=dry_run,
        retry_failed=retry_failed,
    )


def curate_diff(
    before: Annotated[Path, typer.Argument(help="Folder of a curation.", show_default=False)],
    after: Annotated[Path, typer.Argument(help="Folder of another.", show_default=False)],
) -> None:
    """Compare two curations: settings, prompts added, removed or changed, reasons for dropped rows.

    Example: vasari curate-diff runs/before runs/after
    """
    from vasari.curate.out.diff import diff_curations  # noqa: PLC0415

    typer.echo(str(diff_curations(before, after)))


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
    """Find benchmark prompts that a training set contains, copied or reworded, by image and text.

    Example: vasari contamination rl.parquet --benchmark mathvista.parquet --benchmark
    mathverse.parquet --out leaks
    From native layouts: vasari contamination geometry3k=data/geometry3k --benchmark
    geometry3k:test=data/geometry3k --out leaks
    """
    from vasari.cli.contamination_job import run_contamination  # noqa: PLC0415

    run_contamination(training, benchmark, out=out, text_only=text_only, overwrite=overwrite)


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
    """Write a page of sample problems of every task family in every style, with their reasoning.

    Example: vasari gallery --out gallery.html
    One of yours: vasari gallery --family my_package.tasks:Mine --plugin my_package
    """
    from vasari.data.tasks.families import FAMILIES, find_family  # noqa: PLC0415
    from vasari.data.tasks.gallery import write_gallery  # noqa: PLC0415

    with names_from_a_file():
        shown = {name: find_family(name) for name in family or FAMILIES}
    write_gallery(out, shown, per_level=per_level, seed=seed)
    typer.echo(f"gallery: {out}")
