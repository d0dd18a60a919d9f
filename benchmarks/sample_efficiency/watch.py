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
from vasari.model.transformers_policy import TransformersPolicy
from vasari.records import Prompt
from vasari.sample import OracleSampler, PromptSampler
from vasari.train.callbacks import append_to_log, read_log, write_log
from vasari.verify import verify_answer


def count_correct(
    model: Any,
    processor: Any,
    prompts: Sequence[Prompt],
    decoding: Decoding,
    *,
    system: str,
    seed: int,
    tell: Tell = silent,
) -> NDArray[np.int64]:
    """Count each prompt's correct rollouts among `decoding.num_rollouts` uncharged ones."""
    groups = TransformersPolicy(model, processor, system=system).generate(
        prompts, decoding, seed=seed, tell=tell
    )
    verdicts = [
        [verify_answer(r.text, p.answer, choices=p.choices, kind=p.kind).value for r in group]
        for p, group in zip(prompts, groups, strict=True)
    ]
    counts: NDArray[np.int64] = np.nansum(np.array(verdicts), axis=1).astype(np.int64)
    return counts


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
            name: float(value)
            for name, value in self._sampler.metrics().items()
            if math.isfinite(value)
        }
        row = {"batch": state.global_step // self._updates, "rollouts": dict(self.ledger.rollouts)}
        append_to_log(self._path, row | {"tokens": dict(self.ledger.tokens), "sampler": known})


class Marks(TrainerCallback):  # type: ignore[misc]
    """Callback that measures accuracy before training, at marks of the budget, and at the end."""

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
    ) -> None:
        self.ledger = Ledger()
        """Counts of rollouts and tokens; replaced by the run's own ledger."""
        self._path = folder / "points.jsonl"
        self._prompts = prompts
        self._decoding = decoding
        self._system = system
        self._seed = seed
        self._every = every_rollouts
        self._updates = updates_per_batch
        self._free_refresh = free_refresh
        self._passed = 0

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
        spent = self.ledger.total_rollouts - (
            self.ledger.rollouts["refresh"] if self._free_refresh else 0
        )
        passed = int(spent / self._every + 1e-9)
        if (
            passed > self._passed
            or control.should_training_stop
            or state.global_step >= state.max_steps
        ):
            self._passed = passed
            self._measure(state, objects)

    def _measure(self, state: Any, objects: dict[str, Any]) -> None:
        # The same random numbers each time and in every arm: differences of accuracy are
        # differences of policies.
        correct = count_correct(
            objects["model"],
            objects["processing_class"],
            self._prompts,
            self._decoding,
            system=self._system,
            seed=self._seed,
        )
        batch = state.global_step // self._updates
        row = {
            "batch": batch,
            "marks_passed": self._passed,
            "num_rollouts": self._decoding.num_rollouts,
        }
        append_to_log(self._path, row | {"correct": correct.tolist()})


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
        correct = count_correct(
            objects["model"],
            objects["processing_class"],
            [self._prompts[int(place)] for place in places],
            self._decoding,
            system=self._system,
            seed=self._seed + 7919 * (batch + 1),
        )
        rates = np.zeros(len(self._prompts))
        # A prompt that no rollout solved may still be solved now and then.
        rates[places] = (correct + 0.5) / (self._decoding.num_rollouts + 1)
        self._sampler.update_pass_rates(rates)
        row = {"batch": batch, "num_rollouts": self._decoding.num_rollouts}
        append_to_log(self._path, row | {"places": places.tolist(), "correct": correct.tolist()})


def _trim(path: Path, batch: int) -> list[dict[str, Any]]:
    """Cut a log file to the rows up to `batch` and return them; none if training begins."""
    rows = [row for row in read_log(path) if row["batch"] <= batch] if batch else []
    write_log(path, rows)
    return rows
