"""What supervised and reinforcement training tell TRL alike."""

from __future__ import annotations

from typing import Any

import torch

from vasari.train.settings import Optimisation


def common_arguments(settings: Optimisation, seed: int) -> dict[str, Any]:
    """Arguments of `SFTConfig` and `GRPOConfig` that both trainings share."""
    return {
        "weight_decay": settings.weight_decay,
        "max_grad_norm": settings.max_grad_norm,
        "bf16": settings.bf16,
        "gradient_checkpointing": settings.gradient_checkpointing,
        "deepspeed": settings.deepspeed,
        "report_to": list(settings.report_to) or "none",
        "save_strategy": "steps",
        "remove_unused_columns": False,
        "disable_tqdm": True,
        "log_level": "error",
        "seed": seed,
        "use_cpu": not torch.cuda.is_available(),
    }
