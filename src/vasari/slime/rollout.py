"""slime's rollout function with a sampler around it: refresh before it, observe after it."""

from __future__ import annotations

import asyncio
import copy
from collections.abc import Sequence
from typing import Any

from vasari.core.errors import ConfigError
from vasari.core.records import PromptIndices
from vasari.slime.data_source import VarianceAwareDataSource
from vasari.slime.groups import scored_group
from vasari.slime.settings import function_named, settings_of, slime_module
from vasari.train.groups import ScoredGroup

_OBSERVE = "vasari.slime.observe_groups"


def generate_rollout(args: Any, rollout_id: int, data_source: Any, evaluation: bool = False) -> Any:
    """Return slime's output for a rollout (`--rollout-function-path`), with the sampler's metrics.

    Prompts that the sampler wants scored are rolled out first, and do not train. Then slime's own
    function rolls out a batch, or the one that `vasari: {rollout_function: ...}` names. The sampler
    observes every group that it finishes; of a function that does not call slime's
    `--rollout-all-samples-process-path`, the groups that it returns.
    """
    roll_out = function_named(settings_of(args).rollout_function)
    called = slime_module("slime.rollout.base_types").call_rollout_fn
    if evaluation:
        return called(roll_out, args, rollout_id, data_source, evaluation=True)
    if not isinstance(data_source, VarianceAwareDataSource):
        raise ConfigError(
            f"--data-source-path gave {type(data_source).__name__}; give"
            " vasari.slime.VarianceAwareDataSource"
        )
    due = data_source.due()
    if len(due):
        run = slime_module("slime.utils.async_utils").run
        data_source.refreshed(run(_refresh(args, data_source, due)))
    inner = copy.copy(args)
    inner.rollout_all_samples_process_path = _OBSERVE
    inner.vasari_all_samples_process_path = args.rollout_all_samples_process_path
    output = called(roll_out, inner, rollout_id, data_source, evaluation=False)
    if not data_source.num_observed:
        data_source.observe(output.samples)
    output.metrics = {**(output.metrics or {}), **data_source.finish(output.samples)}
    return output


def observe_groups(args: Any, samples: Sequence[list[Any]], data_source: Any) -> None:
    """Show the sampler all groups of a rollout, and then the user's own function, if any."""
    # slime 624b824 gives its `get_samples` in the place of the data source.
    source = getattr(data_source, "__self__", data_source)
    source.observe(samples)
    own = getattr(args, "vasari_all_samples_process_path", None)
    if own is not None:
        function_named(own)(args, samples, data_source)


async def _refresh(
    args: Any, data_source: VarianceAwareDataSource, due: PromptIndices
) -> list[ScoredGroup]:
    """Roll out and score the prompts that are due, a few groups at a time, in their order."""
    slime = slime_module("slime.rollout.sglang_rollout")
    state = slime.GenerateState(args)
    at_once = asyncio.Semaphore(max(args.over_sampling_batch_size, 1))

    async def one(index: int) -> ScoredGroup:
        async with at_once:
            group = await slime.generate_and_rm_group(
                args, data_source.refreshing(index), state.sampling_params.copy(), evaluation=False
            )
        return scored_group(group, args, purpose="refresh")

    return list(await asyncio.gather(*(one(int(index)) for index in due)))
