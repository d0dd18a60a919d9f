"""Learning curves of all training runs, by rollouts and by steps (the paper's figure 2)."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from markupsafe import Markup
from matplotlib.axes import Axes
from matplotlib.ticker import FuncFormatter, MaxNLocator
from numpy.typing import NDArray

from vasari.core.records import PURPOSES
from vasari.report.inputs import Arm, Run, dig, number, shown
from vasari.report.plot import CARD, DASHES, INK, QUIET, SERIES, drawing, to_svg
from vasari.report.reward_terms import MAX_TERMS, RewardTerms

MAX_POINTS = 160
"""Points drawn of one curve; a longer one is averaged over neighbours."""


@dataclass(frozen=True, slots=True)
class Measure:
    """A metric of the training log: its key, and the title, note and unit it is shown with."""

    key: str
    title: str
    note: str = ""
    """What the number means, shown beside the title."""
    share: bool = False
    """Whether the values are shares, shown in percent."""


VALIDATION = Measure(
    "accuracy",
    "Validation accuracy",
    "sampled; bands are 95% intervals, a ring marks the weights kept",
    share=True,
)

MEASURES: tuple[Measure, ...] = (
    Measure("reward", "Reward", "mean over rollouts, all terms together"),
    Measure("grad_norm", "Gradient norm", "before clipping"),
    Measure(
        "clip_ratio/region_mean",
        "Clip fraction",
        "tokens whose ratio left the clip range",
        share=True,
    ),
    Measure(
        "zero_variance_share",
        "Zero-variance share",
        "groups whose rewards are all equal: no gradient",
        share=True,
    ),
    Measure(
        "entropy", "Entropy", "nats a token of what is trained on; near 0 it no longer explores"
    ),
)
"""Panels of figure 2 beside validation accuracy."""

MORE: tuple[Measure, ...] = (
    Measure("completions/mean_length", "Rollout length", "tokens"),
    Measure("kl", "KL divergence", "to the cold start"),
    Measure("loss", "Loss"),
    Measure("unverifiable_share", "Unverifiable share", "rollouts without a verdict", share=True),
    Measure("sampler/promoted_mixed_share", "Promoted prompts of mixed outcome", share=True),
    Measure(
        "drawn/effective_prompts", "Effective pool", "prompts that, drawn equally, vary as much"
    ),
    Measure("drawn/first_time_share", "Prompts drawn for the first time", share=True),
    Measure(
        "sampler/log_loss", "Log loss of the expected pass rates", "nats a rollout, beforehand"
    ),
    Measure(
        "sampler/log_loss_constant", "The same, of one pass rate for all prompts", "nats a rollout"
    ),
)


@dataclass(frozen=True, slots=True)
class Curve:
    """Values of one metric in one training run, by rollouts and by steps, ready to draw."""

    place: int
    """Position in the legend, which sets colour and dash."""
    name: str
    rollouts: NDArray[np.float64]
    steps: NDArray[np.float64]
    values: NDArray[np.float64]
    low: NDArray[np.float64] | None = None
    high: NDArray[np.float64] | None = None

    def x(self, axis: str) -> NDArray[np.float64]:
        """Return the curve's horizontal positions: rollouts if `axis` is "rollouts", else steps."""
        return self.rollouts if axis == "rollouts" else self.steps


def learning_curves(
    run: Run, order: Sequence[str], terms: Mapping[str, RewardTerms]
) -> dict[str, list[dict[str, Any]]]:
    """Return panels of learning curves: lists "main", "terms" (of the reward) and "more".

    Each panel has a title, a note and an SVG for each axis.

    Panels without a curve are left out.

    Args:
        run: The run.
        order: Arms in the order of the legend.
        terms: The reward terms of each arm, from `read_reward_terms`.
    """
    arms = [(place, run.arms[name]) for place, name in enumerate(order) if name in run.arms]
    accuracy = [curve for place, arm in arms if (curve := validation_curve(place, arm)) is not None]
    best = {name: number(dig(run.stages.get(f"rl-{name}", {}), "best_step")) for name in run.arms}
    first = _panel("validation", VALIDATION, accuracy, best)
    return {
        "main": [
            panel
            for panel in [first, *(_metric_panel(measure, arms) for measure in MEASURES)]
            if panel
        ],
        "terms": term_panels(order, terms),
        "more": [panel for measure in MORE if (panel := _metric_panel(measure, arms))],
    }


def validation_curve(place: int, arm: Arm) -> Curve | None:
    """Return the curve of a training run's validation accuracy; None if it was never measured."""
    rows = [row for row in arm.validation if number(row.get("accuracy")) is not None]
    if not rows:
        return None
    return Curve(
        place=place,
        name=arm.name,
        rollouts=_column(rows, "rollouts"),
        steps=_column(rows, "step"),
        values=_column(rows, "accuracy"),
        low=_column(rows, "low"),
        high=_column(rows, "high"),
    )


def metric_curve(place: int, arm: Arm, key: str) -> Curve | None:
    """Return the curve of one logged metric of a training run; None if it was never logged."""
    charged, last = [], np.nan
    for row in arm.metrics:
        last = charged_rollouts(row, default=last)
        charged.append(last)
    kept = [place for place, row in enumerate(arm.metrics) if _value(row, key) is not None]
    if not kept:
        return None
    values = np.array([_value(arm.metrics[i], key) for i in kept], dtype=np.float64)
    return Curve(
        place,
        arm.name,
        np.array(charged, dtype=np.float64)[kept],
        _column(arm.metrics, "step")[kept],
        values,
    )


def term_panels(order: Sequence[str], terms: Mapping[str, RewardTerms]) -> list[dict[str, Any]]:
    """Return one panel per reward term, with a curve for each training run that uses the term."""
    names = dict.fromkeys(
        name for arm in order if arm in terms for name in list(terms[arm].means)[:MAX_TERMS]
    )
    panels = []
    for row, name in enumerate(names):
        found = [term_curve(place, arm, terms.get(arm), name) for place, arm in enumerate(order)]
        # The picture's id has the row in place of the name, which may hold any character.
        panels.append(
            _panel(
                f"reward-term-{row}",
                Measure(name, shown(name, 60)),
                [curve for curve in found if curve],
                {},
            )
        )
    return [panel for panel in panels if panel]


def term_curve(place: int, arm: str, terms: RewardTerms | None, name: str) -> Curve | None:
    """Return the curve of a reward term's batch means in one training run; None without values."""
    values = terms.means.get(name) if terms is not None else None
    if terms is None or values is None or not (known := np.isfinite(values)).any():
        return None
    return Curve(place, arm, terms.rollouts[known], terms.steps[known], values[known])


def charged_rollouts(row: Mapping[str, Any], *, default: float) -> float:
    """Return rollouts spent on all purposes up to a training-log row; `default` if not logged."""
    counts = [number(row.get(f"ledger/rollouts/{purpose}")) for purpose in PURPOSES]
    return default if counts[0] is None else float(sum(count or 0 for count in counts))


def cold_start_curve(run: Run) -> Markup | None:
    """Return an SVG of the cold start's training and validation loss; None if none was logged."""
    curves = [
        (label, [row for row in run.cold_start if number(row.get(key)) is not None], key)
        for label, key in (("training", "loss"), ("validation", "eval_loss"))
    ]
    if not any(rows for _, rows, _ in curves):
        return None
    said = []
    with drawing(height=2.3) as (figure, axes):
        for place, (label, rows, key) in enumerate(curves):
            if not rows:
                continue
            x, y = _thinned(_column(rows, "step"), _column(rows, key))
            axes.plot(
                x,
                y,
                color=QUIET if place == 0 else INK,
                linewidth=1.0 if place == 0 else 1.8,
                label=label,
            )
            said.append(f"{label} loss from {y[0]:.3g} to {y[-1]:.3g}")
        axes.legend(frameon=False, labelcolor=QUIET)
        axes.set_xlabel("step")
        axes.xaxis.set_major_locator(MaxNLocator(5, integer=True, steps=[1, 2, 5, 10]))
        return to_svg(figure, name="cold-start-loss", alt=f"Cold start: {' and '.join(said)}.")


def _metric_panel(measure: Measure, arms: Sequence[tuple[int, Arm]]) -> dict[str, Any] | None:
    curves = [
        curve for place, arm in arms if (curve := metric_curve(place, arm, measure.key)) is not None
    ]
    name = "".join(letter if letter.isalnum() else "-" for letter in measure.key)
    return _panel(name, measure, curves, {})


def _panel(
    name: str, measure: Measure, curves: Sequence[Curve], best: Mapping[str, float | None]
) -> dict[str, Any] | None:
    if not curves:
        return None
    pictures = {
        axis: _picture(f"{name}-{axis}", measure, curves, best, axis)
        for axis in ("rollouts", "steps")
    }
    return {"title": measure.title, "note": measure.note, **pictures}


def _picture(
    name: str,
    measure: Measure,
    curves: Sequence[Curve],
    best: Mapping[str, float | None],
    axis: str,
) -> Markup:
    with drawing() as (figure, axes):
        for curve in curves:
            draw_curve(axes, curve, best.get(curve.name), axis)
        if measure.share:
            axes.yaxis.set_major_formatter(FuncFormatter(lambda value, _: f"{100 * value:.3g}%"))
        axes.yaxis.set_major_locator(MaxNLocator(5, steps=[1, 2, 5, 10]))
        axes.xaxis.set_major_locator(MaxNLocator(5, integer=True, steps=[1, 2, 5, 10]))
        axes.xaxis.set_major_formatter(FuncFormatter(lambda value, _: short_count(value)))
        axes.set_xlabel("rollouts charged" if axis == "rollouts" else "step")
        axes.set_xlim(left=0)
        said = "; ".join(_in_words(curve, share=measure.share) for curve in curves)
        over = "all rollouts charged" if axis == "rollouts" else "steps"
        return to_svg(figure, name=name, alt=f"{measure.title} over {over}. {said}.")


def draw_curve(axes: Axes, curve: Curve, best_step: float | None, axis: str) -> None:
    """Draw one curve: with its band if it has one, else thinned, a long one smoothed over itself.

    A ring marks `best_step`.
    """
    colour, dash = SERIES[curve.place % len(SERIES)], DASHES[curve.place % len(DASHES)]
    x, y = curve.x(axis), curve.values
    if curve.low is not None and curve.high is not None:
        axes.fill_between(x, curve.low, curve.high, color=colour, alpha=0.14, linewidth=0)
        axes.plot(x, y, color=colour, linestyle=dash, marker="o", markersize=3)
        chosen = np.flatnonzero(curve.steps == best_step)
        axes.plot(
            x[chosen],
            y[chosen],
            "o",
            markersize=8,
            markerfacecolor=CARD,
            markeredgecolor=colour,
            markeredgewidth=2,
        )
        return
    x, y = _thinned(x, y)
    if len(y) >= 12:
        axes.plot(x, y, color=colour, linewidth=0.7, alpha=0.35)
        y = _smoothed(y)
    axes.plot(x, y, color=colour, linestyle=dash, marker="o" if len(y) == 1 else None)


def _in_words(curve: Curve, *, share: bool) -> str:
    spelled = [
        f"{value:.1%}" if share else f"{value:.3g}" for value in (curve.values[0], curve.values[-1])
    ]
    return f"{curve.name}: from {spelled[0]} to {spelled[1]} at step {curve.steps[-1]:.0f}"


def _thinned(
    x: NDArray[np.float64], y: NDArray[np.float64]
) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    if len(y) <= MAX_POINTS:
        return x, y
    parts = np.array_split(np.arange(len(y)), MAX_POINTS)
    return np.array([x[part].mean() for part in parts]), np.array(
        [y[part].mean() for part in parts]
    )


def _smoothed(y: NDArray[np.float64]) -> NDArray[np.float64]:
    """Return a centred moving mean over a tenth of the curve, narrower at its ends."""
    half = max(1, len(y) // 20)
    return np.array([y[max(0, i - half) : i + half + 1].mean() for i in range(len(y))])


def short_count(value: float) -> str:
    """Return a count in short form for an axis label, e.g. 950, 12k or 1.5M."""
    for size, letter in ((1e6, "M"), (1e3, "k")):
        if abs(value) >= size:
            return f"{value / size:.3g}{letter}"
    return f"{value:.3g}"


def _column(rows: Sequence[Mapping[str, Any]], key: str) -> NDArray[np.float64]:
    return np.array(
        [np.nan if (value := number(row.get(key))) is None else value for row in rows],
        dtype=np.float64,
    )


def _value(row: Mapping[str, Any], key: str) -> float | None:
    """Return a logged number; older runs logged samplers' metrics with a doubled prefix."""
    found = number(row.get(key))
    return (
        found
        if found is not None or not key.startswith("sampler/")
        else number(row.get(f"sampler/{key}"))
    )
