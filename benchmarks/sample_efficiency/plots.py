"""One pool's curves as an SVG: accuracy over rollouts and tokens, and the share of noisy groups."""

from __future__ import annotations

from pathlib import Path

import matplotlib as mpl
import numpy as np
from matplotlib.axes import Axes
from matplotlib.backends.backend_svg import FigureCanvasSVG
from matplotlib.figure import Figure

from sample_efficiency.analysis import PoolResult
from sample_efficiency.curves import Axis
from sample_efficiency.pools import NOISE

_COLOURS = (
    "#4d4d4d",
    "#0072b2",
    "#009e73",
    "#cc79a7",
    "#d55e00",
    "#e69f00",
    "#000000",
    "#56b4e9",
    "#8c6d31",
    "#7b4173",
)
_DASHES = ("-", "--", "-.", ":")
_SMOOTHED_BATCHES = 8


def draw_pool(result: PoolResult, path: Path) -> None:
    """Write a pool's figure: thin lines for seeds, a thick one for the mean, a shaded interval."""
    with mpl.rc_context(
        {
            "font.size": 9,
            "svg.fonttype": "none",
            "svg.hashsalt": "vasari",
            "axes.grid": True,
            "grid.alpha": 0.3,
        }
    ):
        figure = Figure(figsize=(12, 4), layout="constrained")
        FigureCanvasSVG(figure)
        over_rollouts, over_tokens, noise = figure.subplots(1, 3)
        for place, arm in enumerate(result.curves):
            look = {
                "color": _COLOURS[place % len(_COLOURS)],
                "linestyle": _DASHES[place // len(_COLOURS) % len(_DASHES)],
            }
            _accuracy(over_rollouts, result, arm, "rollouts", look)
            _accuracy(over_tokens, result, arm, "tokens", look)
            _noise(noise, result, arm, look)
        over_rollouts.set(
            xlabel="rollouts of all purposes",
            ylabel="accuracy on held-out prompts",
            title=f"pool {result.pool}",
        )
        over_tokens.set(xlabel="generated tokens of all purposes", title="the same over tokens")
        noise.set(
            xlabel="batch",
            ylabel="share of training groups",
            title=f"{' or '.join(NOISE)} (mean of {_SMOOTHED_BATCHES})",
        )
        figure.legend(
            *over_rollouts.get_legend_handles_labels(),
            loc="outside lower center",
            ncols=6,
            frameon=False,
        )
        figure.savefig(path, format="svg", metadata={"Date": None})


def _accuracy(axes: Axes, result: PoolResult, arm: str, axis: Axis, look: dict[str, str]) -> None:
    marks = result.marks[axis]
    for curve in result.curves[arm].values():
        axes.plot(marks, curve.at(axis, marks).mean(axis=1), linewidth=0.4, alpha=0.35, **look)
    mean, low, high = result.means[axis][arm]
    axes.plot(marks, mean, linewidth=1.8, label=f"{arm} ({len(result.curves[arm])})", **look)
    axes.fill_between(marks, low, high, color=look["color"], alpha=0.1, linewidth=0)


def _noise(axes: Axes, result: PoolResult, arm: str, look: dict[str, str]) -> None:
    shares = [
        np.sum([c.cell["trained_on"][kind] for kind in NOISE], axis=0)
        for c in result.curves[arm].values()
    ]
    length = min(len(share) for share in shares)
    mean = np.mean([share[:length] for share in shares], axis=0)
    window = min(_SMOOTHED_BATCHES, length)
    smooth = np.convolve(mean, np.full(window, 1 / window), mode="valid")
    axes.plot(np.arange(len(smooth)) + window, smooth, linewidth=1.4, **look)
