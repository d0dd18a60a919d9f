"""`vasari score`: print a summary of prompt scores."""

from __future__ import annotations

import numpy as np
from rich.console import Console

from vasari.cli.tables import score_table
from vasari.evaluate.prompt_scores import PromptScores

_TITLES = {
    "pass_rate": "pass rate",
    "mean_reward": "mean reward",
    "ovs": "outcome variance (OVS)",
    "tds": "trajectory diversity (TDS)",
    "vps": "promotion score (VPS)",
}


def print_scores(scores: PromptScores) -> None:
    """Print numbers of prompts and rollouts, each score's mean and range, and the file's path."""
    console = Console(highlight=False)

    def column(name: str) -> np.ndarray:
        """Return one score of all prompts, without unknown values."""
        values = np.array([row[name] for row in scores.rows], dtype=np.float64)
        return values[~np.isnan(values)]

    num_rollouts, num_unverifiable = (
        int(column(name).sum()) for name in ("num_rollouts", "num_unverifiable")
    )
    console.print(
        f"{len(scores.rows):,} prompts, {num_rollouts:,} rollouts, {num_unverifiable:,} of them"
        " unverifiable"
    )
    if scores.num_earlier:
        console.print(
            f"{scores.num_earlier:,} rollouts of earlier batches left out; --groups pool counts"
            " them"
        )
    table = score_table("scores of prompts", [""], ["prompts", "mean", "least", "median", "most"])
    for name, title in _TITLES.items():
        known = column(name)
        if known.size:
            numbers = (known.mean(), known.min(), np.median(known), known.max())
            table.add_row(title, f"{known.size:,}", *(f"{number:.3f}" for number in numbers))
    console.print(table)
    rates = column("pass_rate")
    if rates.size:
        never, always = int((rates == 0).sum()), int((rates == 1).sum())
        console.print(
            f"never solved: {never:,}; always: {always:,}; mixed: {rates.size - never - always:,}"
        )
    else:
        console.print("graded rewards have no pass rate; ovs is their variance")
    if scores.unit:
        console.print(f"diversity is of {scores.unit}")
    console.print(f"scores: {scores.path}", soft_wrap=True)
