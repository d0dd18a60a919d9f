"""The command `vasari plan`."""

from __future__ import annotations

from typing import Annotated

import typer

from vasari.cli.options import Out, Overrides, Plugins, RecipePath

Gpus = Annotated[int, typer.Option(min=1, help="GPUs, each with one process.")]
Prompts = Annotated[
    int | None, typer.Option(min=1, help="Size of the pool where its file is not there yet.")
]
GpuMemory = Annotated[
    float | None,
    typer.Option(min=1, help="Memory of a GPU in GiB: what does not fit is named."),
]
Sample = Annotated[int, typer.Option(min=2, help="Prompts of a split whose tokens are counted.")]
Calibrate = Annotated[
    bool,
    typer.Option(
        "--calibrate", help="Train a few real steps on this machine, to measure the hours."
    ),
]
Pace = Annotated[
    float | None,
    typer.Option(min=0.001, help="Tokens that one GPU generates a second, for the hours."),
]
UpdatePace = Annotated[
    float | None,
    typer.Option(min=0.001, help="Tokens, prompts included, that one GPU trains on a second."),
]
CompletionTokens = Annotated[
    float | None,
    typer.Option(min=1, help="Tokens of a rollout on average, if not the most it may have."),
]
AsJson = Annotated[bool, typer.Option("--json", help="Print JSON.")]


def plan(
    recipe: RecipePath,
    overrides: Overrides = None,
    gpus: Gpus = 1,
    gpu_memory: GpuMemory = None,
    prompts: Prompts = None,
    sample: Sample = 500,
    calibrate: Calibrate = False,
    tokens_per_second: Pace = None,
    update_tokens_per_second: UpdatePace = None,
    completion_tokens: CompletionTokens = None,
    out: Out = None,
    as_json: AsJson = False,
    plugin: Plugins = None,
) -> None:
    """Say what a recipe's run takes and what in it would fail, before anything is paid for.

    Parameters, tokens a prompt, memory of a GPU by part, rollouts by purpose with what refreshes
    cost, disk, and hours at a stated or measured throughput. Without --calibrate no weights are
    loaded, and nothing is downloaded but a config and a processor. The exit code is 1 if the run
    would fail. Formulas: docs/scale.md.

    Example: vasari plan recipes/mmr1_7b.yaml --gpus 8 --gpu-memory 80 --prompts 15000
    """
    from vasari.cli.plan_job import run_plan  # noqa: PLC0415
    from vasari.run.plan.costs import Throughput  # noqa: PLC0415
    from vasari.run.plan.plan import PlanOptions  # noqa: PLC0415

    options = PlanOptions(
        num_gpus=gpus,
        gpu_gib=gpu_memory,
        num_prompts=prompts,
        sample=sample,
        calibrates=calibrate,
        throughput=Throughput(
            generated=tokens_per_second,
            updated=update_tokens_per_second,
            completion=completion_tokens,
        ),
        out=out,
    )
    run_plan(recipe, overrides or [], options, as_json=as_json)
