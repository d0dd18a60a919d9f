"""Roll out the prompts that a sampler wants scored, outside the training batch, and charge them as refresh."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

import numpy as np
from accelerate.utils import broadcast_object_list, gather_object

from vasari.policy.base import Decoding
from vasari.policy.transformers_policy import TransformersPolicy
from vasari.progress import Tell, silent
from vasari.records import Prompt
from vasari.train.books import ScoredRollout

if TYPE_CHECKING:
    from vasari.train.grpo import VarianceAwareTrainer


class Refresher:
    """Scores what `sampler.due` names (Algorithm 1, lines 2-5 and 9-11), each process its share of the prompts."""

    def __init__(self, prompts: Sequence[Prompt], decoding: Decoding, *, system: str, seed: int, tell: Tell = silent) -> None:
        self._prompts = prompts
        self._decoding = decoding
        self._system = system
        self._seed = seed
        self._tell = tell

    def run(self, trainer: VarianceAwareTrainer, *, batch: int) -> None:
        """Roll out the prompts due before this batch and let the sampler observe them."""
        accelerator = trainer.accelerator
        box: list[Any] = [None]
        if accelerator.is_main_process:
            due = np.asarray(trainer.prompt_sampler.due(batch))
            box = [(due, int(getattr(trainer.prompt_sampler, "num_rollouts_due", 0) or self._decoding.num_rollouts))]
        broadcast_object_list(box, from_process=0)
        due, num_rollouts = box[0]
        if len(due) == 0:
            return
        mine = due[accelerator.process_index :: accelerator.num_processes]
        policy = TransformersPolicy(accelerator.unwrap_model(trainer.model), trainer.processing_class, system=self._system)
        decoding = self._decoding.model_copy(update={"num_rollouts": num_rollouts})
        # Own random numbers: training continues the same stream whether prompts were scored or not.
        seed = self._seed + 1_000_003 * (batch + 1) + accelerator.process_index
        groups = policy.generate([self._prompts[int(i)] for i in mine], decoding, seed=seed, tell=self._tell)
        scored = [
            [trainer.books.score(int(i), r.text, r.token_ids.tolist(), truncated=r.truncated) for r in group]
            for i, group in zip(mine, groups, strict=True)
        ]
        everyone: list[list[ScoredRollout]] = gather_object(scored)
        if accelerator.is_main_process:
            order = {int(index): place for place, index in enumerate(due)}
            everyone.sort(key=lambda group: order[group[0].index])
            outcomes = trainer.books.record(
                everyone,
                batch=batch,
                step=trainer.state.global_step,
                purpose="refresh",
                roles=["refresh"] * len(everyone),
                scores=[float("nan")] * len(everyone),
            )
            trainer.prompt_sampler.observe(outcomes)
