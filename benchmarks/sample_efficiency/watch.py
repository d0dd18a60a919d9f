"""Callbacks that measure accuracy, costs and true pass rates while a model trains."""

from __future__ import annotations

import math
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray
from transformers import TrainerCallback

from vasari.core.ledger import Ledger
from vasari.core.progress import Tell, silent
from vasari.model.base import Decoding
from vasari.model.template import tokenizer_of
from vasari.model.transformers_policy import TransformersPolicy
from vasari.records import Prompt
from vasari.sample import OracleSampler, PromptSampler
from vasari.train.callbacks import append_to_log, read_log, write_log
from vasari.verify import verify_answer


class Measure:
    """Counts correct rollouts of the same prompts again and again; prompts are read once."""

    def __init__(self, policy: TransformersPolicy, prompts: Sequence[Prompt]) -> None:
        self._policy, self._prompts = policy, prompts
        self._encoded = [policy.encode(prompt) for prompt in prompts]

    def count(self, decoding: Decoding, *, seed: int, tell: Tell = silent) -> NDArray[np.int64]:
        """Count each prompt's correct rollouts among `decoding.num_rollouts`: [prompts]."""
        groups = self._policy.engine.draw(
            self._encoded,
            decoding,
            seed=seed,
            answered=lambda done: tell(done, len(self._prompts)),
        )
        read = tokenizer_of(self._policy.processor)
        counts = [
            sum(
                verify_answer(
                    read.decode(list(drawn.token_ids), skip_special_tokens=True),
                    prompt.answer,
                    choices=prompt.choices,
                    kind=prompt.kind,
                ).value
                == 1.0
                for drawn in group
            )
            for prompt, group in zip(self._prompts, groups, strict=True)
        ]
        return np.array(counts, dtype=np.int64)


def count_correct(
    policy: TransformersPolicy,
    prompts: Sequence[Prompt],
    decoding: Decoding,
    *,
    seed: int,
    tell: Tell = silent,
) -> NDArray[np.int64]:
    """Count each prompt's correct rollouts among `decoding.num_rollouts` uncharged ones."""
    return Measure(policy, prompts).count(decoding, seed=seed, tell=tell)


class BatchRecord(TrainerCallback):  # type: ignore[misc]
    """Callback that writes the cost of each batch to `batches.jsonl`."""

    def __init__(self, folder: Path, *, sampler: PromptSampler, updates_per_batch: int) -> None:
        self.ledger = Ledger()
        """Counts of rollouts and tokens; replaced by the run's own ledger."""
        self._path = folder / "batches.jsonl"
        self._sampler = sampler
        self._updates = updates_per_batch

    def on_train_begin(self, _args: Any, state: Any, _control: Any, **_: Any) -> None:
        """Remove the rows after the checkpoint from which training continues."""
        _trim(self._path, state.global_step // self._updates)

    def on_step_end(self, _args: Any, state: Any, _control: Any, **_: Any) -> None:
        """Write the batch's row after its last update."""
        if state.global_step % self._updates:
            return
        known = {
            name: round(float(value), 4)
            for name, value in self._sampler.metrics().items()
            if math.isfinite(value)
        }
        row = {"batch": state.global_step // self._updates, "rollouts": dict(self.ledger.rollouts)}
        append_to_log(self._path, row | {"tokens": dict(self.ledger.tokens), "sampler": known})


class Marks(TrainerCallback):  # type: ignore[misc]
    """Callback that measures accuracy before training, at marks of the budget, and at the end.

    A greedy rollout of each prompt and `decoding.num_rollouts` sampled ones (at most 9), the latter
    with the same random numbers each time and in every arm of a run, so that differences of
    accuracy are differences of policies.
    """

    def __init__(
        self,
        folder: Path,
        prompts: Sequence[Prompt],
        decoding: Decoding,
        *,
        system: str,
        seed: int,
        every_rollouts: float,
        updates_per_batch: int,
        free_refresh: bool,
        spent_before: int,
    ) -> None:
        self.ledger = Ledger()
        """Counts of rollouts and tokens; replaced by the run's own ledger."""
        self._path = folder / "points.jsonl"
        self._prompts = prompts
        self._decodings = {
            "greedy": decoding.model_copy(
                update={"num_rollouts": 1, "temperature": 0.0, "top_p": 1.0}
            ),
            "sampled": decoding,
        }
        self._system = system
        self._seed = seed
        self._every = every_rollouts
        self._updates = updates_per_batch
        self._free_refresh = free_refresh
        self._spent_before = spent_before
        self._passed = 0
        self._measure_with: Measure | None = None

    def on_train_begin(self, _args: Any, state: Any, _control: Any, **objects: Any) -> None:
        """Measure the cold start; a resumed run keeps its earlier measurements."""
        rows = _trim(self._path, state.global_step // self._updates)
        if rows:
            self._passed = rows[-1]["marks_passed"]
        else:
            self._measure(state, objects)

    def on_step_end(self, _args: Any, state: Any, control: Any, **objects: Any) -> None:
        """Measure accuracy after batches that passed a mark of the budget, and after the last."""
        if state.global_step % self._updates:
            return
        free = self.ledger.rollouts["refresh"] if self._free_refresh else 0
        spent = self._spent_before + self.ledger.total_rollouts - free
        passed = int(spent / self._every + 1e-9)
        if (
            passed > self._passed
            or control.should_training_stop
            or state.global_step >= state.max_steps
        ):
            self._passed = passed
            self._measure(state, objects)

    def _measure(self, state: Any, objects: dict[str, Any]) -> None:
        if self._measure_with is None:
            policy = TransformersPolicy(
                objects["model"], objects["processing_class"], system=self._system
            )
            self._measure_with = Measure(policy, self._prompts)
        row = {"batch": state.global_step // self._updates, "marks_passed": self._passed}
        for name, decoding in self._decodings.items():
            correct = self._measure_with.count(decoding, seed=self._seed)
            row[name] = "".join(map(str, correct.tolist()))
        append_to_log(self._path, row)


class TrueRates(TrainerCallback):  # type: ignore[misc]
    """Callback that gives the oracle sampler true pass rates every few batches, uncharged."""

    def __init__(
        self,
        folder: Path,
        prompts: Sequence[Prompt],
        noise: NDArray[np.bool_],
        decoding: Decoding,
        *,
        sampler: OracleSampler,
        system: str,
        seed: int,
        every_batches: int,
        updates_per_batch: int,
    ) -> None:
        self._path = folder / "pass_rates.jsonl"
        self._prompts = prompts
        self._noise = noise
        self._decoding = decoding
        self._sampler = sampler
        self._system = system
        self._seed = seed
        self._every = every_batches
        self._updates = updates_per_batch

    def on_train_begin(self, _args: Any, state: Any, _control: Any, **objects: Any) -> None:
        """Measure pass rates before the first draw, unless the run is resumed."""
        if not _trim(self._path, state.global_step // self._updates):
            self._measure(0, objects)

    def on_step_end(self, _args: Any, state: Any, control: Any, **objects: Any) -> None:
        """Measure pass rates again every few batches, unless training ends."""
        batch, inside = divmod(state.global_step, self._updates)
        if not inside and batch % self._every == 0 and not control.should_training_stop:
            self._measure(batch, objects)

    def _measure(self, batch: int, objects: dict[str, Any]) -> None:
        places = np.flatnonzero(~self._noise)
        policy = TransformersPolicy(
            objects["model"], objects["processing_class"], system=self._system
        )
        correct = count_correct(
            policy,
            [self._prompts[int(place)] for place in places],
            self._decoding,
            seed=self._seed + 7919 * (batch + 1),
        )
        rates = np.zeros(len(self._prompts))
        # A prompt that no rollout solved may still be solved now and then.
        rates[places] = (correct + 0.5) / (self._decoding.num_rollouts + 1)
        self._sampler.update_pass_rates(rates)
        append_to_log(self._path, {"batch": batch})


def _trim(path: Path, batch: int) -> list[dict[str, Any]]:
    """Cut a log file to the rows up to `batch` and return them; none if training begins."""
    rows = [row for row in read_log(path) if row["batch"] <= batch] if batch else []
    write_log(path, rows)
    return rows
