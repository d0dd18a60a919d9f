"""Balances the parts of an RL set over all shards, with a few bytes for each prompt."""

from __future__ import annotations

import dataclasses
import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from vasari.core.records import Prompt
from vasari.curate.choose.balance import Choice, Pool
from vasari.curate.recipe import RlPart
from vasari.curate.run.rows import read_table
from vasari.curate.stage import RL_PART, Dropped


@dataclass(frozen=True, kw_only=True)
class Quotas:
    """The prompts that each part keeps, by position in all shards."""

    owners: NDArray[np.int16]
    """[prompts] the part that each belongs to."""
    places: NDArray[np.int32]
    """[prompts] position of each in its part's pool."""
    parts: Sequence[RlPart]
    choices: Sequence[Choice | None]
    """One a part; None for a part without prompts that names no categories."""

    def within(self, prompts: Sequence[Prompt], first: int) -> list[Dropped]:
        """The prompts of a shard that no part keeps.

        Args:
            prompts: The shard.
            first: Position of its first prompt in all shards.
        """
        dropped: list[Dropped] = []
        for index, prompt in enumerate(prompts):
            owner, place = int(self.owners[first + index]), int(self.places[first + index])
            choice = self.choices[owner]
            if choice is not None and not choice.kept[place]:
                drop = choice.drop(place, index=index, id_=prompt.id)
                dropped.append(
                    dataclasses.replace(
                        drop, detail=f"part {self.parts[owner].name!r}: {drop.detail}"
                    )
                )
        return dropped

    @property
    def notes(self) -> Mapping[str, int]:
        """Counts for the funnel: what each part got, and what it lacks."""
        notes: dict[str, int] = {}
        for part, choice in zip(self.parts, self.choices, strict=True):
            notes[f"target of {part.name}"] = part.target
            if choice is None:
                notes[f"missing in {part.name}"] = part.target
                continue
            found = choice.allocation
            notes |= {
                f"{part.name}: {name or 'no category'}": count
                for name, count in found.counts.items()
            }
            notes |= {
                f"short of {part.name}: {name or 'no category'}": n
                for name, n in found.shortfall.items()
            }
            notes[f"missing in {part.name}"] = found.missing
        return notes


def choose_for(parts: Sequence[RlPart], shards: Sequence[Path], *, seed: int) -> Quotas:
    """Choose, for each part, among the prompts that belong to it.

    Args:
        parts: Of the RL set. With several, a prompt's metadata says whose it is.
        shards: All prompts, in order.
        seed: Decides among equals.
    """
    numbers = {part.name: number for number, part in enumerate(parts)}
    pools = [Pool(seed=seed) for _ in parts]
    owners: list[NDArray[np.int16]] = []
    places: list[NDArray[np.int32]] = []
    for path in shards:
        table = read_table(
            path, ("id", "category", "source", *(("metadata",) if len(parts) > 1 else ()))
        )
        ids = table.column("id").to_pylist()
        groups = {name: table.column(name).to_pylist() for name in ("category", "source")} | {
            "none": [""] * len(ids)
        }
        own = [0] * len(ids)
        if len(parts) > 1:
            own = [
                numbers[json.loads(facts)[RL_PART]]
                for facts in table.column("metadata").to_pylist()
            ]
        place = [0] * len(ids)
        for row, owner in enumerate(own):
            place[row] = len(pools[owner])
            pools[owner].add(ids[row], groups[parts[owner].balance_by][row])
        owners.append(np.array(own, dtype=np.int16))
        places.append(np.array(place, dtype=np.int32))
    choices = [
        pool.choose(part.target, part.wanted) if len(pool) or part.wanted is not None else None
        for part, pool in zip(parts, pools, strict=True)
    ]
    return Quotas(
        owners=np.concatenate(owners) if owners else np.zeros(0, dtype=np.int16),
        places=np.concatenate(places) if places else np.zeros(0, dtype=np.int32),
        parts=parts,
        choices=choices,
    )
