"""Rewards and verdicts of a trainer's rollouts, through TRL's reward functions."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from trl import GRPOTrainer
from trl.trainer.utils import nanstd

from vasari.core.records import Verdict
from vasari.score.reward import text_of
from vasari.train.groups import ScoredRollout
from vasari.train.verdicts import Judge


@dataclass(frozen=True, slots=True)
class ScreenedRollout:
    """One of a prompt's first few rollouts (screening), with data to reuse it in TRL's batch."""

    rollout: ScoredRollout
    completion: Any
    """Completion as TRL's reward functions see it: messages or text."""
    logprobs: Sequence[float] | None
    """Log-probabilities of the tokens under the sampling policy; None if the backend has none."""
    rewards: Sequence[float]
    """[functions] as TRL's reward functions returned them, unweighted; nan for None."""


class TrlRewards:
    """Replacement for TRL's `_calculate_rewards` that also stores the scored rollouts.

    Each rollout is rewarded once: those of a screening keep their rewards and verdicts.
    """

    def __init__(self, trainer: GRPOTrainer, judge: Judge, *, opened: str = "") -> None:
        self.indices: list[int] = []
        """Index of the prompt of each row that is rewarded next."""
        self.screened: Sequence[ScreenedRollout | None] | None = None
        """For each row its screened rollout, None for a new one; None where all are new."""
        self._only_fills: NDArray[np.bool_] | bool = False
        self._trainer = trainer
        self._judge = judge
        self._opened = opened
        self._columns: Sequence[dict[str, Any]] | None = None
        self._scored: list[ScoredRollout] = []
        self._values: NDArray[np.float64] = np.zeros((0, 0))

    @contextmanager
    def beside_screened(
        self, screened: Sequence[ScreenedRollout | None], only_fills: NDArray[np.bool_]
    ) -> Iterator[None]:
        """Context manager for scoring a batch of new rollouts and reused screening rollouts.

        Args:
            screened: For each row its screened rollout, None for a new one.
            only_fills: [rows] True for repeated rollouts that only fill the batch. They leave
                their baseline, since they would count in a deviation over the batch.
        """
        self.screened, self._only_fills = screened, only_fills
        try:
            yield
        finally:
            self.screened, self._only_fills = None, False

    @contextmanager
    def beside_columns(self, columns: Sequence[dict[str, Any]]) -> Iterator[None]:
        """Context manager for reward functions that find further columns beside those of the rows.

        Args:
            columns: For each row its values by column.
        """
        self._columns = columns
        try:
            yield
        finally:
            self._columns = None

    def take(self) -> tuple[list[ScoredRollout], NDArray[np.float64]]:
        """Return the rollouts scored since the last call to `take`, and their unweighted rewards.

        Rewards are [rollouts, functions], nan for None.
        """
        scored, self._scored = self._scored, []
        return scored, self._values

    def __call__(
        self, rows: list[dict[str, Any]], prompts: Any, completions: Any, completion_ids: Any
    ) -> torch.Tensor:
        """Return the rewards of all processes' rollouts, [rollouts, functions].

        Those of a rollout that leaves its group's baseline are nan. The scored rollouts of this
        process are kept for `take`.
        """
        if self._columns is not None:
            rows = [row | own for row, own in zip(rows, self._columns, strict=True)]
        if self._opened:
            completions = [_after(self._opened, completion) for completion in completions]
        rows = self._with_verdicts(rows, completions, completion_ids)
        if self.screened is None:
            rewards = self._stock_rewards(rows, prompts, completions, completion_ids)
        else:
            rewards = self._rewards_of_new(
                self.screened, rows, prompts, completions, completion_ids
            )
        own = slice(self._trainer.accelerator.process_index * len(rows), None)
        values = rewards[own][: len(rows)].double().cpu().numpy()
        verified: list[Verdict] | None = (
            None if self._judge.verify is None else [row["verdict"] for row in rows]
        )
        out = torch.tensor(
            self._judge.unscorable(values, verified) | self._only_fills, device=rewards.device
        )
        rewards = rewards.masked_fill(self._trainer.accelerator.gather(out).unsqueeze(1), torch.nan)
        if self._trainer.model.training:  # the rollouts of an evaluation are not for the sampler
            learnt = None
            if self._trainer.multi_objective_aggregation == "normalize_then_sum":
                learnt = self._normalised(rewards)[own][: len(rows)].cpu().numpy()
            found = self._judge.judge(values, verified, learnt)
            screened = self.screened or [None] * len(rows)
            self._values = values
            self._scored = [
                ScoredRollout(
                    index=index,
                    text=text_of(completion),
                    token_ids=np.array(ids, dtype=np.int32),
                    # The verdict by which its prompt went on is the one that trains.
                    verdict=verdict if known is None else known.rollout.verdict,
                    reward=reward,
                    truncated=self._is_truncated(ids),
                )
                for index, completion, ids, verdict, reward, known in zip(
                    self.indices,
                    completions,
                    completion_ids,
                    found.verdicts,
                    found.rewards,
                    screened,
                    strict=True,
                )
            ]
        return rewards

    def _with_verdicts(
        self, rows: list[dict[str, Any]], completions: Any, completion_ids: Any
    ) -> list[dict[str, Any]]:
        """The rows with the columns `verdict` and `truncated`, where there is a verifier."""
        verify = self._judge.verify
        if verify is None:
            return rows
        screened = self.screened or [None] * len(rows)
        found = []
        for row, completion, ids, known in zip(
            rows, completions, completion_ids, screened, strict=True
        ):
            verdict = verify(row, text_of(completion)) if known is None else known.rollout.verdict
            found.append({**row, "verdict": verdict, "truncated": self._is_truncated(ids)})
        return found

    def _stock_rewards(self, *rollouts: Any) -> torch.Tensor:
        rewards: torch.Tensor = GRPOTrainer._calculate_rewards(self._trainer, *rollouts)
        return rewards

    def _rewards_of_new(
        self, screened: Sequence[ScreenedRollout | None], *rollouts: Any
    ) -> torch.Tensor:
        """Rewards of all processes' rollouts, where only new ones are handed to the functions.

        A reward may cost money or be noisy, so a screened rollout keeps its own.
        """
        trainer = self._trainer
        new = [row for row, known in enumerate(screened) if known is None]
        unknown = [torch.nan] * len(trainer.reward_funcs)
        values = torch.tensor(
            [unknown if known is None else list(known.rewards) for known in screened],
            dtype=torch.float32,
            device=trainer.accelerator.device,
        )
        # All processes have equally many new rollouts.
        if new:
            given = ([every[row] for row in new] for every in rollouts)
            first = trainer.accelerator.process_index * len(new)
            values[new] = self._stock_rewards(*given)[first:][: len(new)]
            for column, said in trainer._pending_extra_logs.items():
                # TRL's table of completions has a row for each rollout.
                of_row = dict(zip(new, said, strict=False))
                trainer._pending_extra_logs[column] = [
                    of_row.get(row) for row in range(len(screened))
                ]
        gathered: torch.Tensor = trainer.accelerator.gather(values)
        return gathered

    def _normalised(self, rewards: torch.Tensor) -> torch.Tensor:
        """Rewards less the mean of their group, by its deviation, as TRL's `normalize_then_sum`."""
        grouped = rewards.double().view(-1, self._trainer.num_generations, rewards.size(1))
        centred = grouped - torch.nanmean(grouped, dim=1, keepdim=True)
        deviation = (
            nanstd(grouped, dim=1, keepdim=True)
            if grouped.size(1) > 1
            else torch.zeros_like(centred)
        )
        return (centred / (deviation + 1e-4)).view_as(rewards)

    def _is_truncated(self, ids: Sequence[int]) -> bool:
        """Whether a completion has no end token."""
        ends = {*self._trainer.eos_token_ids, self._trainer._tokenizer.pad_token_id}
        return bool(len(ids)) and ids[-1] not in ends


def _after(opened: str, completion: Any) -> Any:
    """A completion, messages or text, with what the prompt already holds of it in front."""
    if isinstance(completion, str):
        return opened + completion
    first, *others = completion
    return [{**first, "content": opened + text_of([first])}, *others]
