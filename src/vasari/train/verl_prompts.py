"""Prompts for verl: the settings under `vasari`, the pool's identity, and the loader's sampler.

None of it needs verl, which calls it through `vasari.verl`.
"""

from __future__ import annotations

import dataclasses
from collections import Counter, deque
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from typing import Any, Literal

from vasari.core.bounds import Count, check_fields
from vasari.core.errors import ConfigError, DataError, StateError
from vasari.core.records import Draw, Prompt
from vasari.sample import AllGate, PoolFeatures, PromptSampler, prompt_features
from vasari.train.run_state import RunState
from vasari.train.trainer_arguments import prompt_of_row, sampler_from

DEFAULT_SAMPLER = "weighted_passes"
DEFAULT_SEED = 42

Refill = Literal["whole", "early"]
"""When groups that dynamic filtering evicts are replaced."""


@dataclass(frozen=True, slots=True, kw_only=True)
class VerlSettings:
    """Settings that stand under `vasari` in verl's configuration: `+vasari.sampler.name=vas`."""

    sampler: Mapping[str, Any] = field(default_factory=dict)
    """`name` of the sampler, its settings, and `seed`; by default `weighted_passes` and
    `data.seed`."""
    verdict_from: str = ""
    """Field of the reward function's result that says what is correct: 0.5 or more is, less is not,
    nan and None are neither. Empty: `verdict` as our reward function gives it, else `acc`, else the
    score."""
    refill: Refill = "whole"
    """With `algorithm.filter_groups`: "whole" waits for all rollouts in flight before it evicts
    groups and draws other prompts, so that the same answers give the same draws; "early" refills
    while others are still in flight, as verl does."""
    max_generations: Count = 10
    """With `algorithm.filter_groups`: how often prompts are drawn for one batch, at most; silent
    groups then fill it. 0: without limit, as verl does, forever if every group is silent."""
    groups: str = ""
    """Folder for one Parquet file a batch with every group; empty: none is written."""

    def __post_init__(self) -> None:
        check_fields(self, of="vasari")


def read_settings(given: Any) -> VerlSettings:
    """Return the settings that stand under `vasari`, a mapping or None.

    Raises:
        ConfigError: A key is unknown, or a value is of another type or out of range.
    """
    if given is None:
        return VerlSettings()
    if not isinstance(given, Mapping):
        raise ConfigError(f"vasari must hold settings by name, got {given!r}")
    known = [field.name for field in dataclasses.fields(VerlSettings)]
    unknown = sorted(str(key) for key in given if key not in known)
    if unknown:
        raise ConfigError(
            f"vasari has no setting {', '.join(map(repr, unknown))}; it has: {', '.join(known)}"
        )
    chosen = dict(given)
    if isinstance(chosen.get("sampler"), str):
        chosen["sampler"] = {"name": chosen["sampler"]}
    if not isinstance(chosen.get("sampler", {}), Mapping):
        raise ConfigError(
            f"vasari.sampler cannot be {chosen['sampler']!r}; give a name or settings, e.g."
            " +vasari.sampler.name=vas"
        )
    return VerlSettings(**chosen)


def rows_of(dataset: Any) -> Any:
    """Return the rows of verl's data set, as `datasets.Dataset`.

    Raises:
        ConfigError: It is one of the user's own, which does not keep them as verl's does.
    """
    rows: Any = getattr(dataset, "dataframe", None)
    if not hasattr(rows, "column_names") or len(rows) != len(dataset):
        raise ConfigError(
            f"data.custom_cls: {type(dataset).__name__} must keep one row a prompt as"
            " `self.dataframe`, a datasets.Dataset, by which prompts are told apart; derive it from"
            " verl's RLHFDataset"
        )
    return rows


def prompt_ids_of_rows(rows: Any) -> list[str]:
    """Return `extra_info.index` of each row of a data set, as text.

    Raises:
        DataError: A row has none (verl would take 0 for it), or two rows share one.
    """
    infos = rows["extra_info"] if "extra_info" in rows.column_names else [None] * len(rows)
    found = [info.get("index") if isinstance(info, Mapping) else None for info in infos]
    lacking = [place for place, index in enumerate(found) if index is None]
    if lacking:
        raise DataError(
            f"data.train_files: {len(lacking)} of {len(found)} rows have no extra_info.index, first"
            f" row {lacking[0]}; prompts are told apart by it, so give each row one of its own"
        )
    ids = [str(index) for index in found]
    index, times = Counter(ids).most_common(1)[0]
    if times > 1:
        first, second = [place for place, own in enumerate(ids) if own == index][:2]
        raise DataError(
            f"data.train_files: extra_info.index {index!r} stands {times} times, first in rows"
            f" {first} and {second}; prompts are told apart by it, so number the rows of all files"
            " in one count"
        )
    return ids


def as_prompts(rows: Any, *, prompt_key: str = "prompt") -> list[Prompt]:
    """Return what is known of each row before its first rollout, as prompts without images.

    The user's turns, `ability`, and `difficulty` and `choices` of `extra_info`.
    """
    wanted = [name for name in (prompt_key, "ability", "extra_info") if name in rows.column_names]
    found = []
    for place, row in enumerate(rows.select_columns(wanted)):
        known = row.get("extra_info") or {}
        as_trl = {
            "prompt": row.get(prompt_key),
            "category": row.get("ability"),
            "difficulty": known.get("difficulty"),
            "choices": known.get("choices"),
        }
        found.append(prompt_of_row(place, as_trl))
    return found


def make_prompt_sampler(
    choice: Mapping[str, Any], rows: Any, *, seed: int | None, prompt_key: str = "prompt"
) -> PromptSampler:
    """Return the sampler that `vasari.sampler` names, over the rows of verl's data set.

    Args:
        choice: `name` and settings, also `seed`.
        rows: The training rows, as `datasets.Dataset`.
        seed: `data.seed`; None: 42.
        prompt_key: Column of the prompts.

    Raises:
        ConfigError: The name or a setting is unknown, or a value is out of range.
        DataError: The rows cannot be told apart.
    """

    def features(pool: Any) -> PoolFeatures:
        return prompt_features(as_prompts(pool, prompt_key=prompt_key))

    return sampler_from(
        {"name": DEFAULT_SAMPLER, **choice},
        rows,
        seed=DEFAULT_SEED if seed is None else seed,
        prompt_ids=prompt_ids_of_rows(rows),
        features=features,
    )


class ChosenPrompts:
    """Sampler of verl's data loader: it yields the prompts that were drawn, in their order.

    `StatefulDataLoader` saves its state, which is that of the run, and loads it again.
    """

    def __init__(self, sampler: PromptSampler) -> None:
        self.run = RunState(sampler=sampler, gate=AllGate())
        """What the run must remember."""
        self.is_restored = False
        """Whether a saved state was loaded."""
        self._next: deque[int] = deque()

    def __len__(self) -> int:
        """Number of prompts in the pool, by which verl counts the steps of an epoch."""
        return self.run.sampler.num_prompts

    def __iter__(self) -> Iterator[int]:
        """Yield the drawn prompts, as indices into the pool; it never ends."""
        while True:
            if not self._next:
                raise StateError(
                    "verl fetched a prompt that was not drawn; its data loader must not be read by"
                    " anything but its trainer"
                )
            yield self._next.popleft()

    def draw(self, num_prompts: int) -> Draw:
        """Draw prompts; the data loader yields them next."""
        draw = self.run.sampler.draw(num_prompts)
        self._next.extend(draw.indices.tolist())
        return draw

    def state_dict(self) -> dict[str, Any]:
        """Return the run's state: JSON values and plain arrays."""
        return {"vasari": self.run.state_dict()}

    def load_state_dict(self, state: Mapping[str, Any]) -> None:
        """Load the state that `state_dict` returned.

        Raises:
            StateError: It is none of ours, or of another sampler or pool.
        """
        self.run.load_state_dict(saved_state(state))
        self._next.clear()
        self.is_restored = True


def saved_state(state: Any) -> Mapping[str, Any]:
    """Return our part of the saved state of a data loader's sampler.

    Raises:
        StateError: There is none.
    """
    ours = state.get("vasari") if isinstance(state, Mapping) else None
    if not isinstance(ours, Mapping):
        raise StateError(
            "the checkpoint's data.pt holds no state of a prompt sampler: another trainer wrote it;"
            " name another trainer.default_local_dir, or set trainer.resume_mode=disable"
        )
    return ours


def check_pool(num_prompts: int, batch_size: int) -> None:
    """Raise ConfigError where the pool is smaller than a batch, for which verl counts no steps."""
    if num_prompts < batch_size:
        raise ConfigError(
            f"the pool has {num_prompts} prompts and a batch draws {batch_size}"
            " (data.train_batch_size); make batches smaller"
        )
