"""Paths of the files and folders of a run."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path


@dataclass(frozen=True, slots=True)
class RunDir:
    """The paths below a run's folder."""

    root: Path

    @property
    def settings(self) -> Path:
        """The full resolved recipe, with seeds and versions."""
        return self.root / "settings.json"

    @property
    def prompts(self) -> Path:
        """Prompt files: `train.parquet`, `validation.parquet`, `test.parquet`, ..."""
        return self.root / "prompts"

    @property
    def cold_start(self) -> Path:
        """Supervised training: checkpoints, metrics, and the weights in `model`."""
        return self.root / "cold_start"

    def rl(self, arm: str) -> Path:
        """Reinforcement training with one sampler: checkpoints, metrics, `best` and `last`."""
        return self.root / "rl" / arm

    def groups(self, arm: str) -> Path:
        """Every group of an arm, one Parquet file a batch."""
        return self.rl(arm) / "groups"

    @property
    def evaluation(self) -> Path:
        """Results by model: `cold_start.json`, ... and their rollouts."""
        return self.root / "evaluation"

    @property
    def stages(self) -> Path:
        """What each finished stage took and gave, a JSON file a stage."""
        return self.root / "stages"

    @property
    def summary(self) -> Path:
        """The run in numbers."""
        return self.root / "summary.json"

    @property
    def report(self) -> Path:
        """The run as a page."""
        return self.root / "report.html"
