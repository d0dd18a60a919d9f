"""Rolls out a batch: as many groups as a filter leaves; what is not finished then is given up."""

from __future__ import annotations

import asyncio
import importlib
from typing import Any

from slime.rollout.base_types import RolloutFnTrainOutput
from slime.utils.async_utils import run


class GenerateState:
    """What generation needs beside the arguments."""

    def __init__(self, args: Any) -> None:
        self.sampling_params = {"max_new_tokens": args.rollout_max_response_len}


def _load(path: str) -> Any:
    module, _, name = path.rpartition(".")
    return getattr(importlib.import_module(module), name)


async def generate_and_rm_group(
    args: Any, group: list[Any], sampling_params: dict[str, Any], evaluation: bool = False
) -> list[Any]:
    """A group with answers and rewards."""
    generate, rate = _load(args.custom_generate_function_path), _load(args.custom_rm_path)

    async def one(sample: Any) -> Any:
        if sample.status.value in ("completed", "truncated"):
            return sample
        sample = await generate(args, sample, dict(sampling_params))
        if sample.status.value != "aborted":
            sample.reward = await rate(args, sample)
        return sample

    return list(await asyncio.gather(*map(one, group)))


async def _roll_out(args: Any, data_source: Any) -> tuple[RolloutFnTrainOutput, list[Any]]:
    params = GenerateState(args).sampling_params
    keep = _load(args.dynamic_sampling_filter_path) if args.dynamic_sampling_filter_path else None
    kept: list[Any] = []
    finished: list[Any] = []
    pending: set[asyncio.Task[Any]] = set()
    wanted = remaining = 0
    while len(kept) < (wanted := args.rollout_batch_size):
        while remaining < wanted:
            groups = data_source(args.over_sampling_batch_size)
            pending |= {
                asyncio.ensure_future(generate_and_rm_group(args, group, params))
                for group in groups
            }
            remaining += len(groups)
        done, pending = await asyncio.wait(pending, return_when=asyncio.FIRST_COMPLETED)
        for group in (task.result() for task in done):
            assert len(group) == args.n_samples_per_prompt
            finished.append(group)
            if keep is not None and not keep(args, group):
                remaining -= 1
            elif len(kept) < wanted:
                kept.append(group)
    given_up = await asyncio.gather(*pending)
    for groups in (kept, finished):
        groups.sort(key=lambda group: group[0].index)
    if args.rollout_all_samples_process_path is not None:
        # As in slime, this is the method by which groups were fetched.
        _load(args.rollout_all_samples_process_path)(args, finished, data_source)
    return RolloutFnTrainOutput(kept, {}), list(given_up) if args.partial_rollout else []


def generate_rollout(args: Any, rollout_id: int, data_source: Any, evaluation: bool = False) -> Any:
    """The groups that train next."""
    if evaluation:
        return {"held_out": {"rewards": []}}
    output, given_up = run(_roll_out(args, data_source.get_samples))
    if given_up:
        data_source.add_samples(given_up)
    return output
