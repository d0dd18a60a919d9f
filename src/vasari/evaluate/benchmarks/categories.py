"""Accuracy by each benchmark's own categories, as a page of tables."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from vasari.evaluate.benchmarks.table import markdown_row


def as_category_markdown(result: Mapping[str, Any]) -> str:
    """Markdown with a table for each set and category: prompts, and accuracy in percent by every
    protocol.

    Args:
        result: Of `evaluate_benchmarks`.
    """
    protocols = list(result["protocols"])
    lines = [
        (
            "Accuracy in percent ± clustered standard error. A prompt with several labels of a"
            " category counts in each; what is undecided counts as not solved."
        ),
        "",
    ]
    for name, one in result["sets"].items():
        scores = one["protocols"]
        if not scores:
            continue
        for heading in scores[protocols[0]]["by_category"]:
            lines += [
                markdown_row([f"{name}: {heading}", "prompts", *protocols]),
                "| --- |" + " ---: |" * (len(protocols) + 1),
            ]
            by_protocol = [scores[protocol]["by_category"][heading] for protocol in protocols]
            for label, first in by_protocol[0].items():
                cells = (_cell(found[label]) for found in by_protocol)
                lines.append(markdown_row([label, f"{first['num_prompts']:,}", *cells]))
            lines.append("")
    return "\n".join(lines)


def _cell(found: Mapping[str, Any]) -> str:
    if found["num_undecided"] == found["num_rollouts"]:
        return "-"
    accuracy = found["accuracy"]
    return (
        f"{'≥ ' if found['num_undecided'] else ''}{100 * accuracy['mean']:.1f} ±"
        f" {100 * accuracy['standard_error']:.1f}"
    )
