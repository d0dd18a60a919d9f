"""Compute each reward term's mean per batch from the stored rollout groups."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
from numpy.typing import NDArray

from vasari.report.inputs import Run
from vasari.train.group_file import read_groups

MAX_TERMS = 16
"""Most terms of an arm that are shown, in the order of its reward."""

COLUMNS = ("batch", "step", "purpose", "rewards", "reward_terms")
"""Columns of stored groups that `reward_terms` needs."""


@dataclass(frozen=True, slots=True)
class RewardTerms:
    """Mean of each reward term per batch of one training run; arrays have one entry per batch."""

    steps: NDArray[np.float64]
    """The first optimizer step that learns from the batch, counted from 1."""
    rollouts: NDArray[np.float64]
    """Rollouts of all purposes charged up to the batch."""
    means: Mapping[str, NDArray[np.float64]]
    """Term -> mean of its weighted value over the rollouts that train and have one; nan in a batch
    where none has."""

    def summary(self) -> dict[str, dict[str, float | None]]:
        """Return each reward term's mean over the first tenth, the last tenth and all batches."""
        tenth = max(1, len(self.steps) // 10)
        parts = {"first": slice(None, tenth), "last": slice(-tenth, None), "mean": slice(None)}
        return {
            name: {part: _known_mean(values[places]) for part, places in parts.items()}
            for name, values in self.means.items()
        }


def read_reward_terms(run: Run) -> dict[str, RewardTerms]:
    """Read the reward terms' batch means of each arm (training run) with stored groups.

    Damaged files are added to the run's problems.
    """
    found: dict[str, RewardTerms] = {}
    for arm in run.arms:
        with run.reading(f"the groups of {arm}"):
            table = read_groups(run.place.groups(arm), COLUMNS)
            if table.num_rows:
                found[arm] = reward_terms(table)
        if arm in found and (count := len(found[arm].means)) > MAX_TERMS:
            run.add_problem(
                f"of the {count} reward terms of {arm}, the first {MAX_TERMS} are shown"
            )
    return found


def reward_terms(table: pa.Table) -> RewardTerms:
    """Compute each reward term's batch means from stored groups, a table with columns `COLUMNS`."""
    batches, place = np.unique(
        np.asarray(table["batch"].to_numpy(), dtype=np.int64), return_inverse=True
    )
    steps = np.full(len(batches), np.inf)
    np.minimum.at(steps, place, np.asarray(table["step"].to_numpy(), dtype=np.float64))
    sizes = _lengths(table["rewards"])
    charged = np.bincount(place, weights=sizes, minlength=len(batches)).cumsum()
    trains = pc.equal(table["purpose"], "train")
    terms = table.filter(trains)["reward_terms"].combine_chunks()
    means = _means(terms, place[trains.to_numpy()], len(batches))
    return RewardTerms(steps + 1, charged, means)


def _means(
    terms: pa.MapArray, place: NDArray[np.int64], num_batches: int
) -> dict[str, NDArray[np.float64]]:
    """Return the mean of each reward term by batch.

    Args:
        terms: For each group a map from a term to its value of each rollout.
        place: [groups] the batch of each group.
        num_batches: Number of batches.
    """
    batch_of_entry = place.repeat(np.diff(terms.offsets.to_numpy()))
    names = terms.keys.dictionary_encode()
    lengths = _lengths(terms.items)
    values = terms.items.flatten().to_numpy(zero_copy_only=False).astype(np.float64)
    cell = (names.indices.to_numpy() * num_batches + batch_of_entry).repeat(lengths)
    known = np.isfinite(values)
    num_cells = len(names.dictionary) * num_batches
    sums, counts = (
        np.bincount(cell[known], weights=weights, minlength=num_cells).reshape(-1, num_batches)
        for weights in (values[known], None)
    )
    means = np.divide(sums, counts, out=np.full(sums.shape, np.nan), where=counts > 0)
    return dict(zip(names.dictionary.to_pylist(), means, strict=True))


def _lengths(lists: pa.ListArray | pa.ChunkedArray) -> NDArray[np.int64]:
    """[rows] number of entries of each list; 0 for null."""
    return np.asarray(pc.fill_null(pc.list_value_length(lists), 0).to_numpy(), dtype=np.int64)


def _known_mean(values: NDArray[np.float64]) -> float | None:
    known = values[np.isfinite(values)]
    return float(known.mean()) if known.size else None
