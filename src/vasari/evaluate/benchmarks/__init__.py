"""Evaluate a model on published benchmarks or a benchmark of your own."""

from vasari.evaluate.benchmarks.catalogue import BENCHMARKS, Benchmark, find_benchmark
from vasari.evaluate.benchmarks.job import (
    BenchmarkPlan,
    collect_benchmarks,
    evaluate_benchmarks,
    open_folder,
    plan_benchmarks,
    read_scores,
    score_benchmarks,
)
from vasari.evaluate.benchmarks.settings import BenchmarkDir, BenchmarkSet, BenchmarkSettings
from vasari.evaluate.benchmarks.table import (
    as_html,
    as_latex,
    as_markdown,
    results_table,
    write_tables,
)

__all__ = [
    "BENCHMARKS",
    "Benchmark",
    "BenchmarkDir",
    "BenchmarkPlan",
    "BenchmarkSet",
    "BenchmarkSettings",
    "as_html",
    "as_latex",
    "as_markdown",
    "collect_benchmarks",
    "evaluate_benchmarks",
    "find_benchmark",
    "open_folder",
    "plan_benchmarks",
    "read_scores",
    "results_table",
    "score_benchmarks",
    "write_tables",
]
