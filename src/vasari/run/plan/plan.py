"""A recipe's plan: what its run takes, and what would fail, before anything is paid for."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

from vasari.run.plan.budget import GrpoPlan, SftPlan
from vasari.run.plan.costs import Throughput
from vasari.run.plan.memory import GIB, DeviceMemory
from vasari.run.plan.model import ModelPlan
from vasari.run.plan.tokens import TokenSummary

SCHEMA_VERSION = 1


@dataclass(frozen=True, slots=True, kw_only=True)
class PlanOptions:
    """What a plan is made for, besides the recipe."""

    num_gpus: int = 1
    """GPUs, each with one process."""
    gpu_gib: float | None = None
    """Memory of a GPU in GiB; None: nothing is said on what fits."""
    num_prompts: int | None = None
    """Size of the training pool where its file is not there."""
    sample: int = 500
    """Prompts of a split whose tokens are measured."""
    throughput: Throughput = field(default_factory=Throughput)
    """Tokens a second, stated or measured."""
    calibrates: bool = False
    """Whether a few real steps are trained on this machine, to measure the throughput."""
    out: Path | None = None
    """Folder of the run, whose disk must have room."""
    compares: bool = True
    """Whether memory is also computed for other ways to train the model."""

    @property
    def gpu_bytes(self) -> float | None:
        """Memory of a GPU in bytes."""
        return None if self.gpu_gib is None else self.gpu_gib * GIB


@dataclass(frozen=True, slots=True, kw_only=True)
class Plan:
    """What a recipe's run takes, each part empty or None where it is not known."""

    recipe: str
    num_gpus: int
    gpu_gib: float | None
    prompts: Mapping[str, int]
    """Prompts by split."""
    tokens: Mapping[str, TokenSummary]
    """Tokens a prompt by split, of the prompts at hand."""
    model: ModelPlan | None
    memory: Mapping[str, DeviceMemory]
    """Memory of one GPU by stage: `sft`, `grpo`, `evaluate`."""
    other_ways: Mapping[str, DeviceMemory]
    """Memory of one GPU in GRPO, with all weights or adapters, plain or ZeRO-3."""
    sft: SftPlan | None
    grpo: GrpoPlan | None
    generated: Mapping[str, float]
    """Tokens to generate by purpose: at most, or as stated or measured for a rollout."""
    disk_bytes: float | None
    """Room that the run's folder takes, at most."""
    throughput: Throughput
    """Tokens a second of one GPU, stated or measured."""
    hours: Mapping[str, float]
    """Hours by purpose, where a throughput is known."""
    problems: tuple[str, ...]
    """What would end the run with an error."""
    notes: tuple[str, ...]
    """What the plan does not know, and what it assumes."""

    def to_json(self) -> dict[str, Any]:
        """Return the plan as JSON values."""
        return {"schema": SCHEMA_VERSION, **asdict(self)}
