"""TRL's SFTTrainer with exact resuming, and the same losses however a batch is divided."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import torch
from transformers import EarlyStoppingCallback
from trl import SFTTrainer

from vasari.train.answer_tokens import IGNORED
from vasari.train.checkpoints import CompleteCheckpoints
from vasari.train.even_batches import make_even


class ColdStartTrainer(CompleteCheckpoints, SFTTrainer):  # type: ignore[misc]
    """TRL's `SFTTrainer` with crash-safe checkpoints, and the same batches on any processes.

    On several processes, the last row of the data sets is a filler (`even_batches.py`). Losses are
    means over learned tokens, however these are divided into micro-batches.
    """

    saves_whole_models = True
    _evaluated: torch.Tensor

    def __init__(self, **rest: Any) -> None:
        super().__init__(**rest)
        # The mean over all tokens of an update, in all processes: TRL's loss can do it for every
        # model, and without this some families take the mean of the means of micro-batches.
        self.model_accepts_loss_kwargs = True

    def _load_best_model(self) -> None:
        if not self._restore(self.state.best_model_checkpoint):
            super()._load_best_model()

    def _run_epoch(self, **rest: Any) -> None:
        # A training that is resumed at its end would otherwise take one more step.
        if not self.control.should_training_stop:
            super()._run_epoch(**rest)

    def get_train_dataloader(self) -> Any:
        """Return TRL's data loader, which gives each row once."""
        return self._even(super().get_train_dataloader())

    def get_eval_dataloader(self, eval_dataset: Any = None) -> Any:
        """Return TRL's data loader, which gives each row once."""
        return self._even(super().get_eval_dataloader(eval_dataset))

    def _even(self, loader: Any) -> Any:
        num_processes = self.accelerator.num_processes
        return make_even(loader, num_processes=num_processes) if num_processes > 1 else loader

    def evaluation_loop(self, *args: Any, metric_key_prefix: str = "eval", **rest: Any) -> Any:
        """Evaluate as TRL does, but weigh every learned token alike."""
        self._evaluated = torch.zeros(2, dtype=torch.float64)
        output = super().evaluation_loop(*args, metric_key_prefix=metric_key_prefix, **rest)
        totals = self.accelerator.reduce(self._evaluated.to(self.args.device), reduction="sum")
        output.metrics[f"{metric_key_prefix}_loss"] = (totals[0] / totals[1]).item()
        return output

    def compute_loss(self, model: Any, inputs: Any, *args: Any, **rest: Any) -> Any:
        """Return TRL's loss; of a batch to validate on, also count the tokens."""
        loss = super().compute_loss(model, inputs, *args, **rest)
        if not self.model.training:
            num_tokens = (inputs["labels"][:, 1:] != IGNORED).sum().double()
            self._evaluated += torch.stack([loss.double() * num_tokens, num_tokens]).cpu()
        return loss


class Patience(EarlyStoppingCallback):  # type: ignore[misc]
    """Trainer callback that stops training where validation does not improve, also when resumed."""

    def on_train_begin(self, args: Any, state: Any, control: Any, **rest: Any) -> None:
        """Go on counting where the resumed checkpoint was; find its best one in a moved folder."""
        super().on_train_begin(args, state, control, **rest)
        saved = state.stateful_callbacks.get(type(self).__name__)
        if state.global_step and isinstance(saved, dict):
            self.early_stopping_patience_counter = saved["attributes"][
                "early_stopping_patience_counter"
            ]
            control.should_training_stop = (
                self.early_stopping_patience_counter >= self.early_stopping_patience
            )
        best = Path(args.output_dir) / f"checkpoint-{state.best_global_step}"
        if best.is_dir():
            state.best_model_checkpoint = str(best)
