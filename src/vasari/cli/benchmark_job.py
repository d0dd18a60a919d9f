"""A model on benchmarks, from the command line: read, ask, score, and say what came of it."""

from __future__ import annotations

import contextlib
import tempfile
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from rich.box import SIMPLE_HEAD
from rich.console import Console
from rich.table import Table

from vasari.cli.benchmark_recipe import BenchmarkRecipe, LocalModel, load_benchmark_recipe
from vasari.core.errors import ConfigError, StateError
from vasari.core.files import write_json
from vasari.core.plugins import names_from_a_file
from vasari.core.progress import stage
from vasari.evaluate.benchmarks import (
    BenchmarkDir,
    BenchmarkPlan,
    as_markdown,
    collect_benchmarks,
    open_folder,
    plan_benchmarks,
    read_scores,
    results_table,
    score_benchmarks,
    write_tables,
)
from vasari.evaluate.compare import compare_benchmarks
from vasari.model.base import Policy
from vasari.model.named import find_policy
from vasari.model.path import fingerprint, require_training, resolve_model

if TYPE_CHECKING:
    from vasari.endpoint import RunReport
    from vasari.model.endpoint_policy import EndpointPolicy
    from vasari.verify.judge import JudgeSettings

_COUNTS = {
    "truncated": "cut",
    "needs_judge": "needs judge",
    "unverifiable": "unjudged",
    "unanswered": "unanswered",
}
"""What is neither right nor wrong, with its heading; one that is 0 everywhere is left out."""


@dataclass(frozen=True, slots=True)
class _Opened:
    """A policy, and what tells its model from others."""

    policy: Policy
    facts: dict[str, Any]


def run_benchmarks(
    recipe_path: Path, out: Path | None, overrides: Sequence[str], *, resume: bool, dry_run: bool
) -> None:
    """Evaluate a recipe's model on its benchmarks, or say what that would take.

    Raises:
        ConfigError: A setting is wrong, or the folder holds another evaluation.
        DataError: A benchmark's files are missing or of another shape.
        StateError: Not all rollouts came; what came is scored and kept.
    """
    recipe = load_benchmark_recipe(recipe_path, overrides)
    folder = BenchmarkDir(out or Path("runs") / recipe.name)
    if recipe.model is not None:
        require_training()
    judge = _read_judge(recipe, recipe_path.parent)
    with stage("read benchmarks") as tell:
        plan = plan_benchmarks(recipe.benchmarks, folder=recipe_path.parent, tell=tell)
    _print_plan(plan)
    if dry_run:
        _print_forecast(recipe, plan, folder)
        return
    with _opened(recipe, plan, folder) as opened:
        open_folder(folder, plan, model=opened.facts, resume=resume)
        with stage("rollouts") as tell:
            collected = collect_benchmarks(
                opened.policy, plan, folder.root, name=recipe.shown_name, tell=tell
            )
    _print_cost(collected.reports)
    with stage("scoring") as tell:
        scores = score_benchmarks(
            plan, collected, folder.root, name=recipe.shown_name, judge=judge, tell=tell
        )
    print_scores(scores, folder)
    if not scores["is_complete"]:
        missing = sum(one["num_missing"] for one in scores["sets"].values())
        why = f" ({scores['stopped_by']})" if scores["stopped_by"] else ""
        raise StateError(
            f"{missing:,} prompts are not answered to the end{why}; go on with the same command and"
            " --resume"
        )


def run_compare(
    folders: Sequence[Path], *, protocol: str | None = None, out: Path | None = None
) -> None:
    """Print the table of several results, and each against the first, prompt by prompt.

    Args:
        folders: Results, at least two.
        protocol: Whose verdicts; None: the first one of each.
        out: Folder for the table as Markdown, LaTeX and HTML, and the comparisons as JSON.

    Raises:
        ConfigError: Fewer than two folders.
        DataError: Two results share no prompts.
        StateError: A folder holds no results.
    """
    if len(folders) < 2:
        raise ConfigError("compare needs at least two folders of results")
    results = [read_scores(folder) for folder in folders]
    console = Console(highlight=False, markup=False)
    # Markdown as it stands: to be read here, and to be copied.
    console.print(as_markdown(results_table(results, protocol=protocol)), soft_wrap=True)
    pairs = [compare_benchmarks(folders[0], other, protocol=protocol) for other in folders[1:]]
    for pair in pairs:
        _print_pair(console, pair)
    if out is not None:
        write_tables(results, BenchmarkDir(out), protocol=protocol)
        write_json(out / "comparisons.json", pairs)
        console.print(f"table: {BenchmarkDir(out).table('.md')} (.tex, .html)")


def print_scores(scores: Mapping[str, Any], folder: BenchmarkDir) -> None:
    """Print accuracies by protocol with intervals, what is no wrong answer, the blind control, and
    where everything lies.
    """
    console = Console(highlight=False, markup=False)
    rows = [
        (name, one, protocol, found)
        for name, one in scores["sets"].items()
        for protocol, found in one["protocols"].items()
    ]
    shown = {
        key: heading
        for key, heading in _COUNTS.items()
        if any(found["counts"][key] for *_, found in rows)
    }
    table = Table(
        title=f"{scores['model']}: accuracy, 95% interval",
        title_justify="left",
        box=SIMPLE_HEAD,
        padding=(0, 1),
    )
    table.add_column("set", overflow="fold")
    table.add_column("protocol", no_wrap=True)
    for heading in ("prompts", "accuracy", *shown.values()):
        table.add_column(heading, justify="right", no_wrap=True)
    last = None
    for name, one, protocol, found in rows:
        counts = found["counts"]
        table.add_row(
            name if name != last else "",
            protocol,
            f"{one['num_prompts']:,}" if name != last else "",
            _accuracy(found),
            *(f"{counts[key]:,}" for key in shown),
        )
        last = name
    console.print(table)
    for name, one in scores["sets"].items():
        _print_remarks(console, name, one)
    if scores["num_failures"]:
        console.print(
            f"{scores['num_failures']:,} rollouts got no answer: {folder.failures}", style="yellow"
        )
    console.print(f"scores: {folder.scores}\ntable: {folder.table('.md')} (.tex, .html)")


def _accuracy(found: Mapping[str, Any]) -> str:
    counts = found["counts"]
    undecided = counts["needs_judge"] + counts["unverifiable"] + counts["unanswered"]
    if undecided == found["num_rollouts"]:
        return "undecided"
    value = found["accuracy"]
    return (
        f"{'>= ' if undecided else ''}{value['mean']:.3f} ({value['low']:.3f}-{value['high']:.3f})"
    )


def _print_remarks(console: Console, name: str, one: Mapping[str, Any]) -> None:
    if any(found["counts"]["needs_judge"] for found in one["protocols"].values()):
        console.print(f"{name}: {one['official_note']}")
    size = one["published_size"]
    if size and not one["is_whole"]:
        bad = f", {one['num_bad_rows']:,} rows could not be read" if one["num_bad_rows"] else ""
        console.print(
            f"{name}: {one['num_prompts']:,} of {size:,} prompts{bad}: not the benchmark's score",
            style="yellow",
        )
    blind = one.get("blind")
    if blind and blind["protocols"]:
        protocol, found = next(iter(blind["protocols"].items()))
        console.print(
            f"{name}: blind ({blind['decoding']['images']}) {_accuracy(found)} by {protocol}; "
            f"the most frequent answer to all: {blind['majority']:.3f}"
        )


def _print_pair(console: Console, pair: Mapping[str, Any]) -> None:
    table = Table(
        title=f"{pair['model_b']} minus {pair['model_a']}, by {pair['protocol']}, paired by prompt",
        title_justify="left",
        box=SIMPLE_HEAD,
        padding=(0, 1),
    )
    table.add_column("set", overflow="fold", min_width=10)
    for heading in ("n", "first", "second", "difference (95%)", "P(better)"):
        table.add_column(heading, justify="right", no_wrap=True)
    for name, one in pair["sets"].items():
        gap = one["difference"]
        table.add_row(
            name,
            f"{one['num_prompts']:,}",
            f"{one['a']['mean']:.3f}",
            f"{one['b']['mean']:.3f}",
            f"{gap['mean']:+.3f} ({gap['low']:+.3f} to {gap['high']:+.3f})",
            f"{one['chance']:.3f}",
        )
    console.print(table)


def _print_plan(plan: BenchmarkPlan) -> None:
    console = Console(stderr=True, highlight=False, markup=False)
    for loaded in plan.sets:
        size = loaded.published_size
        whole = f" of {size:,}" if size and size != len(loaded.entries) else ""
        bad = f", {len(loaded.bad_rows):,} rows could not be read" if loaded.bad_rows else ""
        console.print(
            f"{loaded.name}: {len(loaded.entries):,}{whole} prompts of {loaded.split}{bad}"
        )


def _print_cost(reports: Sequence[RunReport]) -> None:
    """What a server was asked and what that cost."""
    if not reports:
        return
    bought, stored = (
        sum(getattr(report, name) for report in reports) for name in ("answered", "from_store")
    )
    tokens = sum(used.output_tokens for report in reports for used in report.usage.values())
    money = sum(report.money for report in reports)
    cost = f", {money:.4f} by the price table" if money else ""
    console = Console(stderr=True, highlight=False, markup=False)
    console.print(
        f"{bought:,} answers bought, {stored:,} from the store; {tokens:,} output tokens{cost}",
        soft_wrap=True,
    )


def _print_forecast(recipe: BenchmarkRecipe, plan: BenchmarkPlan, folder: BenchmarkDir) -> None:
    console = Console(highlight=False, markup=False)
    if recipe.endpoint is None:
        cost = (
            "whose cost is not known here"
            if recipe.policy is not None
            else "which costs nothing but time"
        )
        who = (
            f"policy {recipe.policy.name!r}"
            if recipe.policy is not None
            else "a model in this process"
        )
        console.print(f"{plan.num_rollouts:,} rollouts by {who}, {cost}")
        return
    with contextlib.ExitStack() as stack:
        policy = stack.enter_context(_server(recipe, plan, folder, temporary=True))
        for item in plan.passes:
            forecast = policy.forecast(
                [entry.asked for entry in item.entries], item.decoding, seed=item.seed
            )
            console.print(f"{item.set_name}, {item.name}: {forecast}", soft_wrap=True)


def _read_judge(recipe: BenchmarkRecipe, folder: Path) -> JudgeSettings | None:
    if recipe.judge is None:
        return None
    from vasari.verify.judge import load_judge  # noqa: PLC0415  (an extra)

    return load_judge(folder / recipe.judge)


@contextlib.contextmanager
def _opened(
    recipe: BenchmarkRecipe, plan: BenchmarkPlan, folder: BenchmarkDir
) -> Iterator[_Opened]:
    if recipe.model is not None:
        yield _local(recipe.model, plan)
        return
    if recipe.policy is not None:
        with names_from_a_file():
            made = find_policy(recipe.policy.name, recipe.policy.settings, system=plan.system)
        yield _Opened(made, {"policy": recipe.policy.name, "settings": recipe.policy.settings})
        return
    with _server(recipe, plan, folder) as policy:
        settings = policy.settings
        # Not the address: the same model is served elsewhere tomorrow.
        yield _Opened(
            policy,
            {"server": settings.model, "extra": dict(settings.extra), "detail": settings.detail},
        )


def _local(model: LocalModel, plan: BenchmarkPlan) -> _Opened:
    # Torch takes seconds to import.
    from vasari.model.transformers_policy import TransformersPolicy  # noqa: PLC0415

    path = resolve_model(model.path)
    with stage("load model"):
        policy = TransformersPolicy.load(
            path, system=plan.system, max_pixels=model.max_pixels, dtype=model.dtype
        )
    return _Opened(
        policy,
        {"weights": fingerprint(Path(path)), "max_pixels": model.max_pixels, "dtype": model.dtype},
    )


@contextlib.contextmanager
def _server(
    recipe: BenchmarkRecipe, plan: BenchmarkPlan, folder: BenchmarkDir, *, temporary: bool = False
) -> Iterator[EndpointPolicy]:
    """A policy over a server's store; `temporary` leaves no folder behind where there is none
    yet.
    """
    from vasari.endpoint import ResponseStore  # noqa: PLC0415  (an extra)
    from vasari.model.endpoint_policy import EndpointPolicy  # noqa: PLC0415

    settings = recipe.server()
    place = Path(settings.store) if settings.store else folder.responses
    with contextlib.ExitStack() as stack:
        if temporary and not place.exists():
            place = Path(stack.enter_context(tempfile.TemporaryDirectory()))
        store = stack.enter_context(ResponseStore(place))
        yield EndpointPolicy(settings, store, system=plan.system)
