"""Parts of data curation, as functions over prompts and arrays: grading, balance, near-duplicates, decontamination."""

from vasari.curate.balance import Allocation, Balanced, balance_prompts, water_fill
from vasari.curate.dropped import Dropped
from vasari.curate.grading import Difficulty, Grade, Grader, GradingSettings, Tally, wilson_interval

__all__ = [
    "Allocation",
    "Balanced",
    "Difficulty",
    "Dropped",
    "Grade",
    "Grader",
    "GradingSettings",
    "Tally",
    "balance_prompts",
    "water_fill",
    "wilson_interval",
]
