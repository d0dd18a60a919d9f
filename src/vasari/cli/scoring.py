"""Commands on stored rollouts and results: compare, score, rescore."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from vasari.cli.options import Plugins


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
    """Compare models on benchmarks: one table, and each model against the first, prompt by prompt.

    Example: vasari compare runs/base runs/trained --protocol vasari
    """
    from vasari.cli.benchmark_job import run_compare  # noqa: PLC0415

    run_compare(folders, protocol=protocol, out=out)


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
    """Score stored rollouts: each prompt's pass rate, outcome variance, diversity, promotion score.

    A row is a rollout (prompt_id, text or token_ids, and verdict, reward or answer), or a group of
    them as lists.

    Example: vasari score rollouts.jsonl --ovs unbiased --out scores.csv
    Of a run: vasari score runs/quickstart --arm vas --groups last
    """
    from vasari.cli.score_summary import print_scores  # noqa: PLC0415
    from vasari.evaluate.prompt_scores import ScoreSettings, score_rollouts  # noqa: PLC0415

    settings = ScoreSettings(
        metric=metric, n=n, alpha=alpha, beta=beta, normalise=normalise, ovs=ovs, groups=groups
    )
    print_scores(score_rollouts(file, settings, out=out, arm=arm, overwrite=overwrite))


def rescore(
    files: Annotated[
        list[Path],
        typer.Argument(
            help="Stored outputs: .jsonl, .json, .tsv or .csv, or those as .gz, .xlsx, .parquet.",
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
            help="official, paper, vasari, or your own as package.module:attribute. Repeatable.",
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
            help="YAML of an LLM that judges what paper or vasari leave undecided.",
            show_default=False,
        ),
    ] = None,
    overwrite: Annotated[
        bool, typer.Option("--overwrite", help="Replace another rescoring in the same folder.")
    ] = False,
    plugin: Plugins = None,
) -> None:
    """Score stored model outputs by one or more protocols; a killed run continues where it stopped.

    Reads our own rows (id, benchmark, response, answer, choices, ...), the samples of lmms-eval and
    lm-eval, and VLMEvalKit's tables.

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
