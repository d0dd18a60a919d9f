"""The paper's figures 2 and 3 of an ablation, as SVG files that stand on their own."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from importlib import resources

import numpy as np
from matplotlib.axes import Axes
from matplotlib.lines import Line2D
from matplotlib.patches import Rectangle
from matplotlib.ticker import FuncFormatter, MaxNLocator
from numpy.typing import NDArray

from vasari.report.curves import (
    MEASURES,
    VALIDATION,
    Curve,
    Measure,
    draw_curve,
    metric_curve,
    validation_curve,
)
from vasari.report.figures import NUM_SCORE_BINS, Transition, score_transitions
from vasari.report.inputs import Groups, Run
from vasari.report.plot import DASHES, INK, QUIET, SERIES, drawing, to_svg
from vasari.run.ablation_grid import BASE, UNIFORM

CURVES = {UNIFORM: "uniform", BASE: "VAS, base", f"{BASE}-mix_ratio-1": "VAS, mix_ratio 1"}
"""Cells of figure 2 and what the legend calls them."""

_PANELS = tuple(
    next(measure for measure in MEASURES if measure.key == key)
    for key in ("grad_norm", "clip_ratio/region_mean")
)
_NUM_BINS = 16


def training_figure(runs: Sequence[Run]) -> str | None:
    """Return figure 2: gradient norm, clip fraction and validation accuracy; None without any.

    Means over the seeds' runs at the steps that all of them logged.
    """
    panels = [
        (measure, [curve for cell in CURVES if (curve := mean_curve(runs, cell, measure))])
        for measure in (*_PANELS, VALIDATION)
    ]
    if not any(curves for _, curves in panels):
        return None
    with drawing(9.6, 2.7) as (figure, axes):
        figure.delaxes(axes)
        for place, (measure, curves) in enumerate(panels, start=1):
            panel = figure.add_subplot(1, 3, place)
            for curve in curves:
                draw_curve(panel, curve, None, "steps")
            _dress(panel, measure)
        handles = [
            Line2D([], [], color=SERIES[place], linestyle=DASHES[place], label=name)
            for place, (cell, name) in enumerate(CURVES.items())
            if any(cell in run.arms for run in runs)
        ]
        figure.legend(
            handles=handles, loc="outside lower center", ncols=3, frameon=False, labelcolor=QUIET
        )
        said = "; ".join(
            f"{measure.title}: "
            + ", ".join(
                f"{curve.name} from {curve.values[0]:.3g} to {curve.values[-1]:.3g}"
                for curve in curves
            )
            for measure, curves in panels
        )
        return standalone(to_svg(figure, name="figure2", alt=said))


def mean_curve(runs: Sequence[Run], cell: str, measure: Measure) -> Curve | None:
    """Return the mean over runs of a cell's curve at the steps that all have; None without any.

    The band of validation accuracy goes from the lowest run to the highest.
    """
    place = list(CURVES).index(cell)
    curves = [
        curve
        for run in runs
        if (arm := run.arms.get(cell)) is not None
        and (
            curve := validation_curve(place, arm)
            if measure is VALIDATION
            else metric_curve(place, arm, measure.key)
        )
    ]
    if not curves:
        return None
    steps = set.intersection(*({*curve.steps.tolist()} for curve in curves))
    kept = [[curve.steps.tolist().index(step) for step in sorted(steps)] for curve in curves]
    if not steps:
        return None
    values = np.array([curve.values[at] for curve, at in zip(curves, kept, strict=True)])
    rollouts = np.array([curve.rollouts[at] for curve, at in zip(curves, kept, strict=True)])
    has_band = measure is VALIDATION
    return Curve(
        place,
        CURVES[cell],
        rollouts.mean(axis=0),
        np.array(sorted(steps)),
        values.mean(axis=0),
        values.min(axis=0) if has_band else None,
        values.max(axis=0) if has_band else None,
    )


def score_figure(snapshots: Mapping[str, NDArray[np.float64]], groups: Groups | None) -> str | None:
    """Return figure 3: histograms of promotion scores and their transitions; None below two.

    Args:
        snapshots: `batch` and `vps`, from `distinct_snapshots`.
        groups: Stored rollouts of the same training; without them there is no figure.
    """
    moves = score_transitions(snapshots, groups) if groups is not None else []
    if not moves:
        return None
    scores, batches = snapshots["vps"], snapshots["batch"]
    kept = np.unique(np.linspace(0, len(scores) - 1, len(moves) + 1).round().astype(int))
    known = scores[np.isfinite(scores)]
    edges = np.linspace(float(known.min()), max(float(known.max()), known.min() + 1e-9), _NUM_BINS)
    with drawing(2.4 * len(kept), 4.4) as (figure, axes):
        figure.delaxes(axes)
        shared: Axes | None = None
        for place, row in enumerate(kept):
            shared = panel = figure.add_subplot(2, len(kept), place + 1, sharey=shared)
            counts = np.histogram(scores[row][np.isfinite(scores[row])], bins=edges)[0]
            panel.bar(edges[:-1], counts, width=np.diff(edges), align="edge", color=SERIES[0])
            panel.set_title(f"batch {batches[row]:.0f}", fontsize=9)
            panel.set_xlabel("promotion score")
            panel.xaxis.set_major_locator(MaxNLocator(3))
        for place, move in enumerate(moves):
            _matrix(figure.add_subplot(2, len(kept), len(kept) + place + 1), move)
        said = ", ".join(
            f"{move.title}: {move.stayed:.0%} stayed ({move.stayed_by_chance:.0%} by chance)"
            for move in moves
        )
        alt = f"Promotion scores of {scores.shape[1]} prompts, and moves between bins; {said}."
        return standalone(to_svg(figure, name="figure3", alt=alt))


def standalone(svg: str) -> str:
    """Return an SVG of the page as a file of its own: with a name space, colours and a ground."""
    css = (resources.files("vasari") / "report" / "page.css").read_text(encoding="utf-8")
    light = dict(re.findall(r"--(\w+): ([^;]+);", css[: css.index("@media")]))
    text = re.sub(
        r"var\(--(\w+)\)", lambda found: light[found.group(1)].replace('"', "'"), str(svg)
    )
    ground = f'style="background: {light["card"]}"'
    opening = f'<svg xmlns="http://www.w3.org/2000/svg" {ground} '
    return text.replace("<svg ", opening, 1)


def _dress(axes: Axes, measure: Measure) -> None:
    axes.set_title(measure.title, fontsize=9.5)
    axes.set_xlabel("step")
    axes.xaxis.set_major_locator(MaxNLocator(4, integer=True, steps=[1, 2, 5, 10]))
    axes.yaxis.set_major_locator(MaxNLocator(5, steps=[1, 2, 5, 10]))
    if measure.share:
        axes.yaxis.set_major_formatter(FuncFormatter(lambda value, _: f"{100 * value:.3g}%"))


def _matrix(axes: Axes, move: Transition) -> None:
    """Draw a transition matrix: rows before, columns after, shaded by the share of the row."""
    for row, (_, entries) in enumerate(move.rows):
        for column, (count, share) in enumerate(entries):
            axes.add_patch(
                Rectangle((column, row), 1, 1, facecolor=SERIES[0], alpha=0.75 * share, linewidth=0)
            )
            axes.text(
                column + 0.5, row + 0.5, str(count), ha="center", va="center", color=INK, fontsize=8
            )
    axes.set_xlim(0, NUM_SCORE_BINS)
    axes.set_ylim(NUM_SCORE_BINS, 0)
    axes.set_xticks([])
    axes.set_yticks([])
    axes.grid(visible=False)
    axes.set_title(move.title, fontsize=9)
    axes.set_xlabel(f"to bin; {move.stayed:.0%} stayed, {move.stayed_by_chance:.0%} by chance")
    axes.set_ylabel("from bin (low to high)")
