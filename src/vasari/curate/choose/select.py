"""Selects prompts for the SFT set and for each part (named share) of the RL set, balanced."""

from __future__ import annotations

import dataclasses
import json
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from vasari.core.records import Prompt
from vasari.curate.ask.solutions import taught
from vasari.curate.choose.balance import Choice, Pool
from vasari.curate.recipe import RlPart, SftRecipe
from vasari.curate.run.rows import read_table
from vasari.curate.stage import RL_PART, Dropped, Reason, StageResult, sort_out


def domain_of(prompt: Prompt) -> str:
    """Domain that a prompt's metadata state; "any" if they state none."""
    return str(prompt.metadata.get("domain") or "any")


def select_sft(prompts: Sequence[Prompt], recipe: SftRecipe) -> StageResult:
    """Keep the prompts of a wanted domain and difficulty bin that have a solution to train on.

    A source's solution is kept as plain reasoning, and passes the checks of a teacher's; it may be
    missing where a teacher model will write one.
    """

    def decide(_: int, prompt: Prompt) -> Prompt | Reason:
        if recipe.domains is not None and domain_of(prompt) not in recipe.domains:
            return "domain_not_wanted", f"domain {domain_of(prompt)!r}"
        if recipe.bins is not None and prompt.difficulty not in recipe.bins:
            return "bin_not_wanted", f"bin {prompt.difficulty!r}"
        return prompt if recipe.annotate is not None else taught(prompt, recipe.solutions)

    return sort_out(prompts, decide)


def select_rl(prompts: Sequence[Prompt], parts: Sequence[RlPart]) -> StageResult:
    """Assign each prompt, in its metadata, to a part (named share) of the RL set, or drop it.

    A part without `domains` takes the domains that no other part names. Of the parts that take a
    domain, the first whose difficulty bins fit gets the prompt.
    """
    named = {domain for part in parts for domain in part.domains or ()}

    def decide(_: int, prompt: Prompt) -> Prompt | Reason:
        domain = domain_of(prompt)
        takes = [
            part
            for part in parts
            if domain in (part.domains or ()) or (part.domains is None and domain not in named)
        ]
        for part in takes:
            if part.bins is None or prompt.difficulty in part.bins:
                metadata = dict(prompt.metadata) | {RL_PART: part.name}
                return dataclasses.replace(prompt, metadata=metadata)
        if takes:
            return "bin_not_wanted", f"bin {prompt.difficulty!r}"
        return "domain_not_wanted", f"domain {domain!r}"

    return sort_out(prompts, decide)


def routed(
    prompts: Sequence[Prompt],
    wanted: Callable[[Prompt], bool],
    stage: Callable[[Sequence[Prompt]], StageResult],
) -> StageResult:
    """Apply a curation stage to prompts where `wanted` is true; keep other prompts unchanged."""
    chosen = [index for index, prompt in enumerate(prompts) if wanted(prompt)]
    if not chosen:
        return StageResult(kept=tuple(prompts), dropped=())
    result = stage([prompts[index] for index in chosen])
    dropped = tuple(dataclasses.replace(drop, index=chosen[drop.index]) for drop in result.dropped)
    gone = {drop.index for drop in dropped}
    after = dict(zip((index for index in chosen if index not in gone), result.kept, strict=True))
    kept = tuple(
        after.get(index, prompt) for index, prompt in enumerate(prompts) if index not in gone
    )
    return StageResult(kept=kept, dropped=dropped, counts=result.counts)


@dataclass(frozen=True, kw_only=True)
class Quotas:
    """Which prompts each part (named share) of the RL set keeps, by position over all shards."""

    owners: NDArray[np.int16]
    """[prompts] index of the part that each prompt belongs to."""
    places: NDArray[np.int32]
    """[prompts] position of each prompt among the prompts of its part."""
    parts: Sequence[RlPart]
    choices: Sequence[Choice | None]
    """One choice per part; None for a part without prompts that names no categories."""

    def within(self, prompts: Sequence[Prompt], first: int) -> list[Dropped]:
        """Prompts of a shard that their part (share) of the RL set does not keep, with reasons.

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
        """For each part (share) of the RL set: prompts wanted, chosen by category, and lacking."""
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
    """Choose the target number of prompts for each part (named share) of the RL set, balanced.

    Args:
        parts: Parts of the RL set. With several, a prompt's metadata names its part.
        shards: Files with all prompts, in order.
        seed: Decides among prompts of equal rank.
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
