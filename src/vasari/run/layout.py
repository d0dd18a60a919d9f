"""Paths of the files and folders of a run."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path


@dataclass(frozen=True, slots=True)
class RunDir:
    """Paths of the files and folders in a run's folder."""

    root: Path

    @property
    def settings(self) -> Path:
        """Path of the file with the full recipe, the seed and package versions."""
        return self.root / "settings.json"

    @property
    def prompts(self) -> Path:
        """Path of the folder with the prompt files `train.parquet`, `validation.parquet`, ..."""
        return self.root / "prompts"

    @property
    def cold_start(self) -> Path:
        """Path of the folder of supervised training: checkpoints, metrics, weights in `model`."""
        return self.root / "cold_start"

    def rl(self, arm: str) -> Path:
        """Path of the folder of one GRPO run: checkpoints, metrics, weights `best` and `last`."""
        return self.root / "rl" / arm

    def groups(self, arm: str) -> Path:
        """Path of the folder with the rollout groups of a GRPO run, one Parquet file per batch."""
        return self.rl(arm) / "groups"

    @property
    def evaluation(self) -> Path:
        """Path of the folder with the evaluation results and rollouts of each model."""
        return self.root / "evaluation"

    def evaluation_of(self, which: str) -> Path:
        """Path of the folder with the evaluation results of `best` weights, or of the `last`."""
        return self.evaluation if which == "best" else self.evaluation / which

    @property
    def stages(self) -> Path:
        """Path of the folder with a JSON file per finished stage: its results, time and memory."""
        return self.root / "stages"

    @property
    def summary(self) -> Path:
        """Path of the file with the run's summary numbers."""
        return self.root / "summary.json"

    @property
    def report(self) -> Path:
        """Path of the run's HTML report."""
        return self.root / "report.html"
