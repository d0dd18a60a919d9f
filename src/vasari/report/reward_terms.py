"""What each term of the reward gave, batch by batch, from the stored groups."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
from numpy.typing import NDArray

from vasari.report.inputs import UNREADABLE, Run, name_problem
from vasari.train.group_file import read_groups

MAX_TERMS = 16
"""Terms of an arm that are shown, in the order of its reward."""

COLUMNS = ("batch", "step", "purpose", "rewards", "reward_terms")
"""Columns of stored groups that `reward_terms` needs."""


@dataclass(frozen=True, slots=True)
class RewardTerms:
    """The mean of each reward term in the batches of one arm: one entry a batch in each array, in
    their order.
    """

    steps: NDArray[np.float64]
    """The first optimizer step that learns from the batch, counted from 1."""
    rollouts: NDArray[np.float64]
    """Rollouts charged by then, whatever they were spent on."""
    means: Mapping[str, NDArray[np.float64]]
    """Term -> mean of its weighted value over the rollouts that train and have one; nan in a batch
    where none has."""

    def summary(self) -> dict[str, dict[str, float | None]]:
        """Of each term the mean over batches: `first`, of their first tenth, `last`, of their last,
        and `mean`, of all.
        """
        tenth = max(1, len(self.steps) // 10)
        parts = {"first": slice(None, tenth), "last": slice(-tenth, None), "mean": slice(None)}
        return {
            name: {part: _known_mean(values[places]) for part, places in parts.items()}
            for name, values in self.means.items()
        }


def read_reward_terms(run: Run) -> dict[str, RewardTerms]:
    """The reward terms of each arm that has stored groups; what cannot be read is named in the
    run's problems.
    """
    found = {}
    for arm in run.arms:
        try:
            table = read_groups(run.place.groups(arm), COLUMNS)
            if table.num_rows:
                found[arm] = reward_terms(table)
        except UNREADABLE as error:
            name_problem(run, f"the groups of {arm} could not be read: {error}")
            continue
        if arm in found and len(found[arm].means) > MAX_TERMS:
            name_problem(
                run,
                f"of the {len(found[arm].means)} reward terms of {arm}, the first {MAX_TERMS} are"
                " shown",
            )
    return found


def reward_terms(table: pa.Table) -> RewardTerms:
    """The reward terms in a table of stored groups with the columns `COLUMNS`."""
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
    """Term -> mean by batch, of maps from a term to its value of each rollout.

    Args:
        terms: One map a group.
        place: [groups] which batch each is of.
        num_batches: How many there are.
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
    """[rows] the entries of each list; 0 for null."""
    return np.asarray(pc.fill_null(pc.list_value_length(lists), 0).to_numpy(), dtype=np.int64)


def _known_mean(values: NDArray[np.float64]) -> float | None:
    known = values[np.isfinite(values)]
    return float(known.mean()) if known.size else None
