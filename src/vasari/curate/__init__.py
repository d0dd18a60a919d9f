"""Building blocks of data curation, as plain functions over prompts and arrays.

Grading, balance over categories, near-duplicates, and leaks of benchmark prompts.
"""

from vasari.curate.choose.balance import Allocation, Balanced, balance_prompts, water_fill
from vasari.curate.choose.grading import (
    Difficulty,
    Grade,
    Grader,
    GradingSettings,
    Tally,
    wilson_interval,
)
from vasari.curate.match.decontaminate import BenchmarkIndex, LeakSettings
from vasari.curate.match.image_hash import (
    ImageIndex,
    hamming,
    hash_crops,
    hash_thumbnails,
    index_images,
    thumbnail,
)
from vasari.curate.match.near_duplicates import DuplicateSettings, near_duplicates
from vasari.curate.stage import Dropped

__all__ = [
    "Allocation",
    "Balanced",
    "BenchmarkIndex",
    "Difficulty",
    "Dropped",
    "DuplicateSettings",
    "Grade",
    "Grader",
    "GradingSettings",
    "ImageIndex",
    "LeakSettings",
    "Tally",
    "balance_prompts",
    "hamming",
    "hash_crops",
    "hash_thumbnails",
    "index_images",
    "near_duplicates",
    "thumbnail",
    "water_fill",
    "wilson_interval",
]
