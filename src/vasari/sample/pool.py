"""Identity of a prompt pool: whether a saved state belongs to it, and how another pool differs."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any

import numpy as np
from numpy.typing import NDArray

from vasari.core.errors import DataError, StateError
from vasari.core.records import pool_fingerprint, prompt_digests

_NUM_EXAMPLES = 3


class Pool:
    """Identity of a pool of prompts: its size and, where prompt ids are given, their digests."""

    def __init__(self, num_prompts: int, prompt_ids: Iterable[str] | None) -> None:
        self.num_prompts = num_prompts
        self._ids: tuple[str, ...] | None = None
        self._digests: NDArray[np.uint64] | None = None
        if prompt_ids is None:
            return
        self._ids = tuple(prompt_ids)
        if len(self._ids) != num_prompts:
            raise DataError(f"{len(self._ids)} prompt ids for {num_prompts} prompts")
        self._digests = prompt_digests(self._ids)
        first = np.unique(self._digests, return_index=True)[1]
        if len(first) != num_prompts:
            twice = self._ids[int(np.setdiff1d(np.arange(num_prompts), first)[0])]
            raise DataError(f"prompt ids must be unique, {twice!r} stands twice")

    def state(self) -> dict[str, Any]:
        """Return what identifies the pool in a checkpoint: its size and its prompts' digests."""
        if self._digests is None:
            return {"num_prompts": self.num_prompts, "fingerprint": None}
        return {
            "num_prompts": self.num_prompts,
            "fingerprint": pool_fingerprint(self._digests),
            "digests": self._digests.copy(),
        }

    def origin(self, saved: Mapping[str, Any], *, remap: bool) -> NDArray[np.int64] | None:
        """Return each prompt's index in the saved pool, -1 if new: [prompts]; None if pools match.

        Raises:
            StateError: The pools differ and `remap` is False, or cannot be compared for want of
                ids.
        """
        if self._digests is None or saved["fingerprint"] is None:
            self._compare_sizes(
                int(saved["num_prompts"]), saved["fingerprint"] is not None, remap=remap
            )
            return None
        if saved["fingerprint"] == pool_fingerprint(self._digests):
            return None
        digests = read_array(saved, "digests", dtype=np.uint64)
        origin = _positions(self._digests, digests)
        if not remap:
            raise StateError(
                f"saved state is of another pool: {self._difference(digests, origin)}; go on with"
                " that pool, or begin anew (of a sampler alone, load_state_dict with remap=True"
                " maps it by id)"
            )
        return origin

    def _compare_sizes(self, num_saved: int, saved_with_ids: bool, *, remap: bool) -> None:
        if saved_with_ids != (self._digests is not None):
            one, other = (
                ("the saved pool", "this one") if saved_with_ids else ("this pool", "the saved one")
            )
            raise StateError(f"pools cannot be compared: {one} has prompt ids and {other} has none")
        if num_saved != self.num_prompts:
            hint = "; a pool without prompt ids cannot be mapped" if remap else ""
            raise StateError(
                f"saved state is of another pool: {num_saved} prompts, this one has"
                f" {self.num_prompts}{hint}"
            )

    def _difference(self, saved: NDArray[np.uint64], origin: NDArray[np.int64]) -> str:
        """Describe how this pool differs from the saved pool, with the first examples."""
        ids = self._ids or ()
        new = np.flatnonzero(origin < 0)
        kept = origin[origin >= 0]
        gone = np.ones(len(saved), dtype=np.bool_)
        gone[kept] = False
        missing = np.flatnonzero(gone)
        moved = np.flatnonzero(np.diff(kept) < 0)
        parts = []
        if len(missing):
            shown = ", ".join(
                f"no. {i} (digest {int(saved[i]):016x})" for i in missing[:_NUM_EXAMPLES]
            )
            parts.append(f"{len(missing)} of {len(saved)} saved prompts are missing, first {shown}")
        if len(new):
            parts.append(
                f"{len(new)} prompts are new, first"
                f" {', '.join(repr(ids[i]) for i in new[:_NUM_EXAMPLES])}"
            )
        if len(moved):
            after = np.flatnonzero(origin >= 0)[moved[0] + 1]
            num_moved = int((np.argsort(np.argsort(kept)) != np.arange(len(kept))).sum())
            parts.append(f"{num_moved} prompts are reordered, first break at {ids[after]!r}")
        return "; ".join(parts)


def _positions(wanted: NDArray[np.uint64], among: NDArray[np.uint64]) -> NDArray[np.int64]:
    """Return the index in `among` of each value of `wanted`, -1 if it is missing."""
    if not len(among):
        return np.full(len(wanted), -1, dtype=np.int64)
    order = np.argsort(among, kind="stable")
    place = np.minimum(np.searchsorted(among[order], wanted), len(among) - 1)
    found = order[place]
    return np.where(among[found] == wanted, found, -1).astype(np.int64)


def read_array(state: Mapping[str, Any], key: str, *, dtype: Any) -> NDArray[Any]:
    """Return a copy of the saved vector `state[key]`, which is an array or a list (from JSON).

    Raises:
        StateError: It is missing or not a vector of numbers.
    """
    if key not in state:
        raise StateError(f"sampler state is damaged: {key!r} is missing")
    try:
        array: NDArray[Any] = np.array(state[key], dtype=dtype)
    except (TypeError, ValueError, OverflowError) as error:
        raise StateError(f"sampler state is damaged: {key!r} holds no numbers: {error}") from error
    if array.ndim != 1:
        raise StateError(
            f"sampler state is damaged: {key!r} has shape {array.shape}, expected a vector"
        )
    return array


def present_places(origin: NDArray[np.int64], num_saved: int) -> NDArray[np.int64]:
    """Return each saved prompt's index in the present pool, -1 if it is gone: [saved prompts]."""
    places = np.full(num_saved, -1, dtype=np.int64)
    places[origin[origin >= 0]] = np.flatnonzero(origin >= 0)
    return places
