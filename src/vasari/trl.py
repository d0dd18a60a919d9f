"""Variance-aware sampling for TRL: `VarianceAwareGRPOTrainer` in the place of `GRPOTrainer`."""

from vasari.train.group_file import GroupLog
from vasari.train.loop import LoopOptions
from vasari.train.trl_settings import ALGORITHMS, TrlAlgorithm, trl_algorithm
from vasari.train.trl_trainer import VarianceAwareGRPOTrainer
from vasari.train.verdicts import CORRECT_FROM, VerdictReader, Verify

__all__ = [
    "ALGORITHMS",
    "CORRECT_FROM",
    "GroupLog",
    "LoopOptions",
    "TrlAlgorithm",
    "VarianceAwareGRPOTrainer",
    "VerdictReader",
    "Verify",
    "trl_algorithm",
]
