"""Log-probabilities without needless work: those kept from drawing, and no columns of padding."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import torch
from torch.nn.functional import pad

from vasari.model.families import without_adapters


def are_asked_for(trainer: Any) -> bool:
    """Whether TRL computes log-probabilities of a batch before it trains on it.

    It does where a batch has several updates (TRL 1.16, `_generate_and_score_completions`).
    """
    per_batch = trainer.args.steps_per_generation * trainer.num_iterations
    return bool(trainer.args.gradient_accumulation_steps % per_batch)


def are_exact(trainer: Any) -> bool:
    """Whether what a rollout was drawn with is what TRL would compute anew, to rounding.

    In float32 it is. In shorter types a forward pass over a whole rollout rounds otherwise than
    one over each token, and ratios would begin away from 1; dropout draws anew in each pass.
    """
    return (
        trainer.accelerator.mixed_precision == "no"
        and torch.get_float32_matmul_precision() == "highest"
        and not trainer.is_deepspeed_enabled
        and trainer.rollout_func is None
        and all(own.dtype == torch.float32 for own in trainer.model.parameters())
        and not has_dropout(trainer.model)
        and ignores_padding(trainer.model)
    )


def has_dropout(model: Any) -> bool:
    """Whether a forward pass in training mode leaves something out by chance."""
    for module in model.modules():
        if isinstance(module, torch.nn.Dropout) and module.p > 0:
            return True
        # Attention modules keep its share as a number, for a function.
        for name, value in vars(module).items():
            if "drop" in name and isinstance(value, float) and value > 0:
                return True
    return False


def ignores_padding(model: Any) -> bool:
    """Whether columns of padding on the left change nothing of what the model says behind them.

    Rotary positions are relative. Learned ones (GPT-2) are counted from the first column where TRL
    trains, and so are chunks of attention (Llama 4) and states (RecurrentGemma).
    """
    config = without_adapters(model).config.get_text_config()
    is_rotary = any(getattr(config, name, None) for name in ("rope_parameters", "rope_theta"))
    is_chunked = getattr(config, "attention_chunk_size", None) is not None
    return is_rotary and not is_chunked and config.model_type != "recurrent_gemma"


def padded(log_probs: Sequence[Sequence[float]], mask: torch.Tensor) -> torch.Tensor:
    """Return log-probabilities in the shape of a batch, 0 where `mask` [rollouts, tokens] is."""
    rows = torch.zeros(mask.shape)
    for row, own in zip(rows, log_probs, strict=True):
        row[: len(own)] = torch.tensor(own)
    return rows.to(mask.device).masked_fill(mask == 0, 0.0)


@dataclass(frozen=True, slots=True)
class Columns:
    """Columns of a part of a batch that hold a token of some rollout."""

    begin: int
    end: int
    num_completion: int
    """Columns of completions in the whole batch."""
    width: int
    """Columns of the whole batch."""

    @classmethod
    def of(cls, mask: torch.Tensor, num_completion: int, *, crop: bool) -> Columns:
        """Find them in a mask of [rollouts, prompt and completion]."""
        width = mask.size(1)
        if not crop:
            return cls(0, width, num_completion, width)
        used = mask.any(0).nonzero().squeeze(1).tolist()
        prompt = width - num_completion
        # A column of the prompt, which says what comes first, and one of completions.
        return cls(min(used[0], prompt - 1), max(used[-1] + 1, prompt + 1), num_completion, width)

    @property
    def num_kept(self) -> int:
        """Columns of completions that are left."""
        return self.num_completion - (self.width - self.end)

    def crop(self, rows: torch.Tensor) -> torch.Tensor:
        """Return these columns of [rollouts, prompt and completion]."""
        return rows[:, self.begin : self.end]

    def grow(self, rows: torch.Tensor) -> torch.Tensor:
        """Return [rollouts, completion] with the columns that were left out, as 0."""
        return pad(rows, (0, self.width - self.end))
