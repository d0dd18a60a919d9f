"""Sorts prompts into the supervised and the RL set, by domain and difficulty."""

from __future__ import annotations

import dataclasses
from collections.abc import Callable, Sequence

from vasari.core.errors import DataError
from vasari.core.records import Prompt
from vasari.curate.recipe import RlPart, SftRecipe
from vasari.curate.stage import RL_PART, Reason, StageResult, sort_out
from vasari.model.chat import target_text


def domain_of(prompt: Prompt) -> str:
    """The domain that a prompt's source states, "any" where it states none."""
    return str(prompt.metadata.get("domain") or "any")


def select_sft(prompts: Sequence[Prompt], recipe: SftRecipe) -> StageResult:
    """Keep the prompts that supervised training may use: domain, bin, and a solution.

    The solution may still be missing where a teacher will write one.
    """

    def decide(_: int, prompt: Prompt) -> Prompt | Reason:
        if recipe.domains is not None and domain_of(prompt) not in recipe.domains:
            return "domain_not_wanted", f"domain {domain_of(prompt)!r}"
        if recipe.bins is not None and prompt.difficulty not in recipe.bins:
            return "bin_not_wanted", f"bin {prompt.difficulty!r}"
        if recipe.annotate is None:
            try:
                target_text(prompt)
            except DataError as error:
                return "no_solution", str(error)
        return prompt

    return sort_out(prompts, decide)


def select_rl(prompts: Sequence[Prompt], parts: Sequence[RlPart]) -> StageResult:
    """Keep the prompts that a part of the RL set takes, with its name in their metadata.

    A part without `domains` takes those that no other part names. Of the parts that take a domain,
    the first whose bins fit has the prompt.
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
    """Apply a stage to the wanted prompts; the others are kept unchanged, in their places."""
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
