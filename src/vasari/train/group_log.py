"""Every group of a training on disk, one Parquet file a batch."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from vasari.train.group_file import write_groups
from vasari.train.groups import ScoredGroup

MAX_STORED_CHARACTERS = 20_000
"""Longest text of one rollout that is kept."""


class GroupLog:
    """Keeps the groups of every batch; a loop's `record`."""

    def __init__(
        self,
        folder: Path,
        prompt_ids: Sequence[str],
        *,
        updates_per_batch: int = 1,
        keep_texts: bool = True,
    ) -> None:
        """A log of a pool with these prompt ids; optimizer steps are counted from
        `updates_per_batch`.
        """
        self.folder = folder
        self._prompt_ids = prompt_ids
        self._updates_per_batch = updates_per_batch
        self._keep_texts = keep_texts

    def __call__(self, groups: Sequence[ScoredGroup], batch: int) -> None:
        """Write the groups of this batch, or those of the refresh before it."""
        rows = [self._row(group, batch) for group in groups]
        write_groups(
            self.folder, batch, "refresh" if groups[0].purpose == "refresh" else "train", rows
        )

    def _row(self, group: ScoredGroup, batch: int) -> Mapping[str, Any]:
        rollouts = group.rollouts
        index = rollouts[0].index
        terms = {
            name: [rollout.reward.breakdown[name] for rollout in rollouts]
            for name in rollouts[0].reward.breakdown
        }
        return {
            "batch": batch,
            "step": batch * self._updates_per_batch,
            "prompt_index": index,
            "prompt_id": self._prompt_ids[index],
            "purpose": group.purpose,
            "role": group.role,
            "rewards": [r.reward.total for r in rollouts],
            "reward_terms": terms,
            "verdicts": [r.verdict.value for r in rollouts],
            "decided_by": [r.verdict.decided_by for r in rollouts],
            "extractions": [r.answer for r in rollouts],
            "confidence": [r.confidence for r in rollouts],
            "num_tokens": [len(r.token_ids) for r in rollouts],
            "truncated": [r.truncated for r in rollouts],
            "score": group.score,
            "texts": [r.text[:MAX_STORED_CHARACTERS] for r in rollouts]
            if self._keep_texts
            else None,
        }
