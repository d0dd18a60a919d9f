"""What TRL's reward functions say of rollouts: asked once of each, judged, and remembered until the
loop asks.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np
import torch
from numpy.typing import NDArray
from trl.trainer.utils import nanstd

from vasari.core.records import Verdict
from vasari.score.reward import text_of
from vasari.train.groups import ScoredRollout
from vasari.train.verdicts import Judge, Judgement

if TYPE_CHECKING:
    from vasari.train.trl_trainer import VarianceAwareGRPOTrainer


@dataclass(frozen=True, slots=True)
class Pilot:
    """One rollout of a screening."""

    rollout: ScoredRollout
    completion: Any
    """As TRL's reward functions see it."""
    logprobs: Sequence[float] | None
    """Of its tokens under the policy that sampled, where the backend says them (vLLM)."""
    rewards: Sequence[float]
    """[functions] as TRL's reward functions gave them, unweighted; nan for None."""


class TrlRewards:
    """Rewards of the rollouts of this process, through a trainer's own method."""

    def __init__(self, trainer: VarianceAwareGRPOTrainer, judge: Judge) -> None:
        self.indices: list[int] = []
        """Whose prompts the next rollouts are of."""
        self._trainer = trainer
        self._judge = judge
        self._scored: list[ScoredRollout] = []
        self._values: NDArray[np.float64] = np.zeros((0, 0))
        self._known: Sequence[Pilot | None] | None = None
        self._filling: NDArray[np.bool_] | bool = False

    @contextmanager
    def beside(self, known: Sequence[Pilot | None], filling: NDArray[np.bool_]) -> Iterator[None]:
        """While it lasts, rollouts stand beside new ones that a screening has rewarded, and what
        `filling` marks only fills.

        What fills is of no baseline: repeated rollouts would count in a deviation over the batch.
        """
        self._known, self._filling = known, filling
        try:
            yield
        finally:
            self._known, self._filling = None, False

    @property
    def known(self) -> Sequence[Pilot | None] | None:
        """Of each rollout of the batch what a screening knows of it, None for a new one; None where
        all are new.
        """
        return self._known

    def take(self) -> tuple[list[ScoredRollout], NDArray[np.float64]]:
        """The scored rollouts, and [rollouts, functions] their unweighted rewards, nan for None;
        they are forgotten here.
        """
        scored, self._scored = self._scored, []
        return scored, self._values

    def _verified(
        self, rows: list[dict[str, Any]], completions: Any, completion_ids: Any
    ) -> list[dict[str, Any]]:
        """The rows with the columns `verdict` and `truncated`, where there is a verifier."""
        verify = self._judge.verify
        if verify is None:
            return rows
        known = self._known or [None] * len(rows)
        found = []
        for row, completion, ids, pilot in zip(
            rows, completions, completion_ids, known, strict=True
        ):
            # Verified once: a verdict that fell in the screening stands.
            verdict = verify(row, text_of(completion)) if pilot is None else pilot.rollout.verdict
            found.append({**row, "verdict": verdict, "truncated": self._is_truncated(ids)})
        return found

    def __call__(
        self, rows: list[dict[str, Any]], prompts: Any, completions: Any, completion_ids: Any
    ) -> torch.Tensor:
        """What TRL's reward functions say of all processes' rollouts, [rollouts, functions].

        The scored rollouts of this process are remembered, and those that cannot be scored leave
        their baselines.
        """
        rows = self._verified(rows, completions, completion_ids)
        if self._known is None:
            rewards: torch.Tensor = self._trainer.stock_rewards(
                rows, prompts, completions, completion_ids
            )
        else:
            rewards = self._rewards_beside(self._known, rows, prompts, completions, completion_ids)
        own = slice(self._trainer.accelerator.process_index * len(rows), None)
        values = rewards[own][: len(rows)].double().cpu().numpy()
        verified: list[Verdict] | None = (
            None if self._judge.verify is None else [row["verdict"] for row in rows]
        )
        out = torch.tensor(
            self._judge.unscorable(values, verified) | self._filling, device=rewards.device
        )
        rewards = rewards.masked_fill(self._trainer.accelerator.gather(out).unsqueeze(1), torch.nan)
        if self._trainer.model.training:  # an evaluation's rollouts are of no sampler's concern
            learnt = None
            if self._trainer.multi_objective_aggregation == "normalize_then_sum":
                learnt = self._normalised(rewards)[own][: len(rows)].cpu().numpy()
            self._values = values
            self._scored = self._scored_rollouts(
                completions, completion_ids, self._judge.judge(values, verified, learnt)
            )
        return rewards

    def _rewards_beside(
        self,
        known: Sequence[Pilot | None],
        rows: list[dict[str, Any]],
        prompts: Any,
        completions: Any,
        completion_ids: Any,
    ) -> torch.Tensor:
        """The same where a screening has rewarded some of them; these are not again, since a reward
        may cost or be noisy.
        """
        trainer = self._trainer
        new = [row for row, pilot in enumerate(known) if pilot is None]
        values = torch.full(
            (len(rows), len(trainer.reward_funcs)), torch.nan, device=trainer.accelerator.device
        )
        for row, pilot in enumerate(known):
            if pilot is not None:
                values[row] = torch.tensor(pilot.rewards, device=values.device)
        # All processes have equally many new rollouts.
        if new:
            given = (
                [every[row] for row in new]
                for every in (rows, prompts, completions, completion_ids)
            )
            values[new] = trainer.stock_rewards(*given)[
                trainer.accelerator.process_index * len(new) :
            ][: len(new)]
            for column, said in trainer._pending_extra_logs.items():
                # TRL's table of completions has a row for each rollout.
                of_row = dict(zip(new, said, strict=False))
                trainer._pending_extra_logs[column] = [of_row.get(row) for row in range(len(rows))]
        gathered: torch.Tensor = trainer.accelerator.gather(values)
        return gathered

    def _normalised(self, rewards: torch.Tensor) -> torch.Tensor:
        """[rollouts, functions] rewards by the mean and deviation of their groups, as TRL sums them
        up under this name.
        """
        grouped = rewards.double().view(-1, self._trainer.num_generations, rewards.size(1))
        centred = grouped - torch.nanmean(grouped, dim=1, keepdim=True)
        deviation = (
            nanstd(grouped, dim=1, keepdim=True)
            if grouped.size(1) > 1
            else torch.zeros_like(centred)
        )
        return (centred / (deviation + 1e-4)).view_as(rewards)

    def _scored_rollouts(
        self, completions: Any, completion_ids: Any, found: Judgement
    ) -> list[ScoredRollout]:
        known = self._known or [None] * len(self.indices)
        rollouts = zip(
            self.indices,
            completions,
            completion_ids,
            found.verdicts,
            found.rewards,
            known,
            strict=True,
        )
        return [
            ScoredRollout(
                index=index,
                text=text_of(completion),
                token_ids=tuple(ids),
                # The verdict that let its prompt go on is the one that trains.
                verdict=verdict if pilot is None else pilot.rollout.verdict,
                reward=reward,
                truncated=self._is_truncated(ids),
            )
            for index, completion, ids, verdict, reward, pilot in rollouts
        ]

    def _is_truncated(self, ids: Sequence[int]) -> bool:
        return bool(len(ids)) and ids[-1] not in self._trainer.end_token_ids
