"""Figures of the prompt pool: difficulty, changes of scores (paper's figure 3), prompts drawn."""

from __future__ import annotations

import itertools
import math
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from markupsafe import Markup
from matplotlib.ticker import MaxNLocator, PercentFormatter
from numpy.typing import NDArray

from vasari.core.records import Prompt
from vasari.data.tasks.difficulty import DYNAMATH_PASS_RATES, shape_distance
from vasari.report.inputs import Groups, shown
from vasari.report.plot import CARD, INK, QUIET, SERIES, drawing, to_svg
from vasari.run.advise import FIRST_PROMPTS

MAX_SNAPSHOTS = 6
"""Histograms of scores in one picture."""

NUM_SCORE_BINS = 4
"""Equally wide bins of the promotion score, between which prompts move."""

MAX_LABELS = 16
"""Most labels in a figure of drawn prompts; the most frequent ones are shown."""

PASS_RATE_BINS = ("never", "hard", "medium", "easy", "always")
"""No rollout correct; up to a third; up to two thirds; more; all."""


@dataclass(frozen=True, slots=True)
class Transition:
    """Counts of prompts by score (or pass-rate) bin: earlier bins as rows, later as columns."""

    title: str
    labels: tuple[str, ...]
    counts: NDArray[np.int64]

    @property
    def rows(self) -> list[tuple[str, list[tuple[int, float]]]]:
        """For each earlier score bin: label, and its prompts' count and share in each later bin."""
        sums = self.counts.sum(axis=1)
        return [
            (label, [(int(count), float(count / total) if total else 0.0) for count in row])
            for label, row, total in zip(self.labels, self.counts, sums, strict=True)
        ]

    @property
    def num_prompts(self) -> int:
        """Number of prompts with a score (or pass rate) at the earlier and at the later time."""
        return int(self.counts.sum())

    @property
    def stayed(self) -> float:
        """Share of prompts in the same score (or pass-rate) bin earlier and later."""
        return float(np.trace(self.counts) / max(1, self.num_prompts))

    @property
    def stayed_by_chance(self) -> float:
        """`stayed` if later bins had nothing to do with earlier ones, from the sums of both."""
        sums = self.counts.sum(axis=1), self.counts.sum(axis=0)
        return float(sums[0] @ sums[1] / max(1, self.num_prompts) ** 2)


def difficulty_histogram(groups: Sequence[Groups]) -> tuple[Markup, float, int] | None:
    """Draw prompts' first pass rates beside DynaMath's; return the SVG, distance, prompt count.

    Groups of k rollouts and DynaMath's ten variants are brought to one number of rollouts by
    drawing without replacement, exactly, so that the bars can be compared.

    Args:
        groups: Of each arm; a prompt's first scored group counts, `refresh` before `train`, of
            the earliest batches that hold `FIRST_PROMPTS` prompts: later ones see a policy that
            moved on.
    """
    order = sorted(
        (int(found.batch[place]), str(found.purpose[place]) != "refresh", number, place)
        for number, found in enumerate(groups)
        for place in range(len(found))
    )
    first: dict[int, list[float]] = {}
    last = -1
    for batch, _, number, place in order:
        if len(first) >= FIRST_PROMPTS and batch > last:
            break
        seen = [value for value in groups[number].verdicts[place] if not math.isnan(value)]
        if seen:
            first.setdefault(int(groups[number].index[place]), seen)
            last = batch
    if not first:
        return None
    sizes = Counter(len(seen) for seen in first.values())
    size = min(10, max(sizes, key=lambda n: (sizes[n], n)))
    counted = [seen for seen in first.values() if len(seen) >= size]
    ours = np.mean([_thinned_counts(len(seen), int(sum(seen)), size) for seen in counted], axis=0)
    real = sum(share * _thinned_counts(10, k, size) for k, share in enumerate(DYNAMATH_PASS_RATES))
    distance = shape_distance([sum(seen) / len(seen) for seen in counted])
    places = np.arange(size + 1) / size
    with drawing(4.8, 2.6) as (figure, axes):
        axes.bar(places, ours, width=0.78 / size, color=SERIES[0], alpha=0.85, label="this pool")
        axes.plot(
            places,
            real,
            "o",
            color=INK,
            markersize=5,
            markerfacecolor=CARD,
            label="DynaMath, 14 models",
        )
        axes.yaxis.set_major_formatter(PercentFormatter(1.0, decimals=0))
        axes.yaxis.set_major_locator(MaxNLocator(4, steps=[1, 2, 5, 10]))
        axes.set_xlabel("pass rate when first scored")
        axes.set_ylabel("prompts")
        axes.legend(frameon=False, labelcolor=QUIET)
        alt = (
            f"Pass rates of {len(counted)} prompts when first scored: {ours[0]:.0%} never solved,"
            f" {ours[-1]:.0%} always; DynaMath's questions: {np.asarray(real)[0]:.0%} and"
            f" {np.asarray(real)[-1]:.0%}."
        )
        return to_svg(figure, name="difficulty", alt=alt), distance, len(counted)


def _thinned_counts(num: int, correct: int, size: int) -> NDArray[np.float64]:
    """[size + 1] chance of k correct rollouts, k = 0 to `size`, when `size` of `num` are drawn."""
    ways = [math.comb(correct, k) * math.comb(num - correct, size - k) for k in range(size + 1)]
    return np.array(ways, dtype=np.float64) / math.comb(num, size)


def distinct_snapshots(
    snapshots: Mapping[str, NDArray[np.float64]],
) -> dict[str, NDArray[np.float64]]:
    """Return snapshots of prompt scores, without empty ones and repeats of the last one kept."""
    scores = snapshots.get("vps")
    if scores is None:
        return {}
    kept: list[int] = []
    for place, row in enumerate(scores):
        if np.isfinite(row).any() and not (
            kept and np.array_equal(row, scores[kept[-1]], equal_nan=True)
        ):
            kept.append(place)
    return (
        {name: values[kept] for name, values in snapshots.items() if len(values) == len(scores)}
        if kept
        else {}
    )


def score_histograms(snapshots: Mapping[str, NDArray[np.float64]]) -> Markup | None:
    """Draw histograms of prompts' promotion scores at several batches; None without any scores."""
    scores, batches = snapshots.get("vps"), snapshots.get("batch")
    if scores is None or batches is None:
        return None
    kept = np.unique(
        np.linspace(0, len(scores) - 1, min(MAX_SNAPSHOTS, len(scores))).round().astype(int)
    )
    edges = _edges(scores, 32)
    counts = [
        np.histogram(row[np.isfinite(row)], bins=edges)[0] / max(1, np.isfinite(row).sum())
        for row in scores[kept]
    ]
    tallest = max(float(count.max()) for count in counts) or 1.0
    with drawing(4.8, 1.2 + 0.42 * len(kept)) as (figure, axes):
        for height, (row, count) in enumerate(zip(kept[::-1], counts[::-1], strict=True)):
            # A curve may rise into the row above it; later snapshots lie lower and in front.
            shape = np.repeat(count / tallest * 1.7, 2) + height
            x = np.repeat(edges, 2)[1:-1]
            layer = 10 - height
            axes.fill_between(x, height, shape, color=CARD, alpha=0.75, zorder=layer, linewidth=0)
            axes.fill_between(
                x, height, shape, color=SERIES[0], alpha=0.22, zorder=layer, linewidth=0
            )
            axes.plot(x, shape, color=SERIES[0], linewidth=1.1, zorder=layer)
            axes.plot(np.nanmean(scores[row]), height, "|", color=INK, markersize=7, zorder=20)
        axes.set_yticks(range(len(kept)), [f"batch {batches[row]:.0f}" for row in kept[::-1]])
        axes.grid(visible=False)
        axes.spines["left"].set_visible(False)
        axes.xaxis.set_major_locator(MaxNLocator(5, steps=[1, 2, 5, 10]))
        axes.set_xlabel("promotion score (VPS); ticks mark means")
        means = [float(np.nanmean(scores[row])) for row in (kept[0], kept[-1])]
        alt = (
            f"Histograms of promotion scores, {scores.shape[1]} prompts at {len(kept)} batches; "
            f"their mean goes from {means[0]:.3f} to {means[1]:.3f}."
        )
        return to_svg(figure, name="scores", alt=alt)


def score_transitions(
    snapshots: Mapping[str, NDArray[np.float64]], groups: Groups
) -> list[Transition]:
    """Count how many prompts moved between promotion-score bins, over up to four snapshots.

    Only prompts with verifiable rollouts between two snapshots count. The measured score of any
    other is what it was whether or not the model would earn it again, and would look like a score
    that stays; where scores are beliefs, they move with other prompts' rollouts too.

    Args:
        snapshots: `batch` [snapshots] and `vps` [snapshots, prompts].
        groups: Stored rollouts of the same training.
    """
    scores, batches = snapshots.get("vps"), snapshots.get("batch")
    if scores is None or batches is None or len(scores) < 2:
        return []
    edges = _edges(scores, NUM_SCORE_BINS)
    labels = tuple(f"{low:.2f}\u2013{high:.2f}" for low, high in itertools.pairwise(edges))
    bins = [_binned(row, edges) for row in scores]
    kept = np.unique(np.linspace(0, len(scores) - 1, min(4, len(scores))).round().astype(int))
    moves = []
    for a, b in itertools.pairwise(kept):
        again = _measured(groups, batches[a], batches[b], scores.shape[1])
        title = f"batch {batches[a]:.0f} \u2192 {batches[b]:.0f}"
        counts = _moves(bins[a][again], bins[b][again], NUM_SCORE_BINS)
        moves.append(Transition(title, labels, counts))
    return moves


def refresh_transitions(groups: Groups) -> list[Transition]:
    """Count how many prompts moved between pass-rate bins from one re-measurement to the next.

    Of more than three pairs of successive refreshes, the first two and the last are shown.
    """
    batches = np.unique(groups.batch[groups.purpose == "refresh"])
    pairs = list(itertools.pairwise(batches))
    if len(pairs) > 3:
        pairs = [*pairs[:2], pairs[-1]]
    looks = {
        batch: _rates_at(groups, (groups.purpose == "refresh") & (groups.batch == batch))
        for pair in pairs
        for batch in pair
    }
    moves = [_rate_moves(f"batch {a} \u2192 {b}", looks[a], looks[b]) for a, b in pairs]
    # Where a refresh takes the oldest scores, the next one takes others.
    return [move for move in moves if move.num_prompts]


def visit_transition(groups: Groups) -> Transition | None:
    """Count how many prompts moved between pass-rate bins, first to last training group.

    None if no prompt has two training groups with a pass rate.
    """
    first: dict[int, float] = {}
    last: dict[int, float] = {}
    for place in np.flatnonzero((groups.purpose == "train") & ~np.isnan(groups.pass_rate)):
        index, rate = int(groups.index[place]), float(groups.pass_rate[place])
        if index in first:
            last[index] = rate
        first.setdefault(index, rate)
    return _rate_moves("first \u2192 last visit", first, last) if last else None


def drawn_shares(
    pool: Sequence[Prompt],
    arms: Sequence[tuple[int, str, Groups]],
    label_of: Mapping[str, str],
    *,
    name: str,
    title: str,
) -> Markup | None:
    """Draw each prompt label's share of the pool and of training groups; None below two labels.

    Args:
        pool: The prompts that were drawn from.
        arms: Position in the legend, name and groups of each arm.
        label_of: Prompt id to label.
        name: Name of the picture.
        title: What the labels are, e.g. "level".
    """
    in_pool = Counter(label_of[prompt.id] for prompt in pool)
    if len(in_pool) < 2:
        return None
    labels = [label for label, _ in in_pool.most_common(MAX_LABELS)]
    labels = sorted(labels)[::-1]
    with drawing(4.0, 0.7 + 0.3 * len(labels)) as (figure, axes):
        heights = np.arange(len(labels), dtype=np.float64)
        pool_shares = _shares(in_pool, labels)
        axes.barh(heights, pool_shares, height=0.62, color=QUIET, alpha=0.22)
        said = [f"pool: {_spelled(labels, pool_shares)}"]
        for row, (place, arm, groups) in enumerate(arms):
            offset = (row - (len(arms) - 1) / 2) * 0.22
            for role, marker in ((None, "o"), ("promoted", "D")):
                chosen = (groups.purpose == "train") & ((groups.role == role) if role else True)
                counts = Counter(
                    label_of.get(groups.prompt_id[i], "") for i in np.flatnonzero(chosen)
                )
                if not counts:
                    continue
                shares = _shares(counts, labels)
                face = CARD if role else SERIES[place % len(SERIES)]
                edge = SERIES[place % len(SERIES)]
                axes.plot(
                    shares,
                    heights - offset,
                    marker,
                    color=edge,
                    markerfacecolor=face,
                    markersize=4.5 if role else 5.5,
                )
                said.append(f"{arm}{', promoted' if role else ''}: {_spelled(labels, shares)}")
        axes.set_yticks(heights, [shown(label or "none", 22) for label in labels])
        axes.xaxis.set_major_formatter(PercentFormatter(1.0, decimals=0))
        axes.xaxis.set_major_locator(MaxNLocator(4, steps=[1, 2, 5, 10]))
        axes.grid(visible=False)
        axes.set_xlim(left=0)
        return to_svg(
            figure,
            name=f"drawn-{name}",
            alt=shown(f"Share of prompts by {title}. {'; '.join(said)}.", 900),
        )


def visits(groups: Groups, num_pool: int) -> dict[str, Any]:
    """Count the training groups, the prompts they cover, and the most groups of any one prompt."""
    counts = np.bincount(groups.index[groups.purpose == "train"], minlength=1)
    return {
        "seen": int((counts > 0).sum()),
        "pool": num_pool,
        "groups": int(counts.sum()),
        "most": int(counts.max()),
    }


def _measured(groups: Groups, after: float, until: float, num_pool: int) -> NDArray[np.int64]:
    """Return positions of prompts with a verdict in a batch after `after`, up to `until`."""
    seen = (groups.batch > after) & (groups.batch <= until) & ~np.isnan(groups.pass_rate)
    found = np.unique(groups.index[seen])
    return found[found < num_pool]


def _rates_at(groups: Groups, chosen: NDArray[np.bool_]) -> dict[int, float]:
    places = np.flatnonzero(chosen & ~np.isnan(groups.pass_rate))
    return {int(groups.index[place]): float(groups.pass_rate[place]) for place in places}


def _rate_moves(title: str, before: Mapping[int, float], after: Mapping[int, float]) -> Transition:
    shared = [index for index in before if index in after]
    left, right = (
        np.array([_rate_bin(rates[index]) for index in shared], dtype=np.int64)
        for rates in (before, after)
    )
    return Transition(title, PASS_RATE_BINS, _moves(left, right, len(PASS_RATE_BINS)))


def _rate_bin(rate: float) -> int:
    if rate in (0.0, 1.0):
        return 0 if rate == 0.0 else 4
    return 1 if rate <= 1 / 3 else 2 if rate <= 2 / 3 else 3


def _edges(scores: NDArray[np.float64], num_bins: int) -> NDArray[np.float64]:
    """Return edges of equally wide bins over all known scores; the width is 1 if all are equal."""
    known = scores[np.isfinite(scores)]
    low, high = float(known.min()), float(known.max())
    return np.linspace(low, high if high > low else low + 1.0, num_bins + 1)


def _binned(row: NDArray[np.float64], edges: NDArray[np.float64]) -> NDArray[np.int64]:
    """Return the bin of each score, -1 where the score is unknown."""
    places = np.clip(
        np.searchsorted(edges, np.nan_to_num(row), side="right") - 1, 0, len(edges) - 2
    )
    return np.where(np.isfinite(row), places, -1).astype(np.int64)


def _moves(before: NDArray[np.int64], after: NDArray[np.int64], num_bins: int) -> NDArray[np.int64]:
    both = (before >= 0) & (after >= 0)
    flat = np.bincount(before[both] * num_bins + after[both], minlength=num_bins * num_bins)
    return flat.reshape(num_bins, num_bins).astype(np.int64)


def _shares(counts: Mapping[str, int], labels: Sequence[str]) -> NDArray[np.float64]:
    return np.array([counts.get(label, 0) for label in labels], dtype=np.float64) / max(
        1, sum(counts.values())
    )


def _spelled(labels: Sequence[str], shares: NDArray[np.float64]) -> str:
    return ", ".join(
        f"{shown(label or 'none', 22)} {share:.0%}"
        for label, share in zip(labels[::-1], shares[::-1], strict=True)
    )
